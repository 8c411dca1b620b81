// A UART with the registers that nearly all have. Change their places and bits.
// SPDX-License-Identifier: Apache-2.0
#include "uart.h"

#define REGISTER(offset) (*(volatile uint32_t *)(0x40010000u + (offset)))
#define DATA REGISTER(0x00)
#define STATUS REGISTER(0x04)
#define INTERRUPTS REGISTER(0x08)
#define DIVIDER REGISTER(0x0C)

enum { RECEIVED = 1 << 0, ROOM = 1 << 1 };  // in STATUS and in INTERRUPTS

int uart_receive(void) { return STATUS & RECEIVED ? (int)(DATA & 0xFF) : -1; }

int uart_send(uint8_t byte) {
    if (!(STATUS & ROOM)) return 0;
    DATA = byte;
    return 1;
}

void uart_notify(int wanted) { INTERRUPTS = wanted ? RECEIVED | ROOM : RECEIVED; }

void uart_start(uint32_t clock_hz, uint32_t baud) {
    DIVIDER = clock_hz / baud;
    uart_notify(0);
}
