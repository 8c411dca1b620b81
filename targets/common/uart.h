// What a UART driver gives serial.c, and what it calls.
// SPDX-License-Identifier: Apache-2.0
#ifndef UART_H
#define UART_H

#include <stdint.h>

// Takes a byte that has arrived. Returns it, or -1 if there is none.
int uart_receive(void);

// Gives the UART a byte to send. Returns 1, or 0 if it has no room now.
int uart_send(uint8_t byte);

// Whether the UART interrupts when it has room again.
void uart_notify(int wanted);

// The handler of every interrupt of the UART.
void serial_interrupt(void);

#endif
