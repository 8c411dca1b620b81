// The 16550 UART, with its registers at any distance from one another.
// SPDX-License-Identifier: Apache-2.0
#ifndef UART_16550_H
#define UART_16550_H

#include <stdint.h>

// One UART of a board.
typedef struct uart_16550 {
    uint32_t base;     // of its registers
    uint32_t stride;   // bytes from one to the next
    uint32_t divider;  // clock / (16 * baud rate)
} uart_16550_t;

// Stated by the board.
extern const uart_16550_t board_uart;

// Sets up the UART: 8 bits, no parity, its receive interrupt on.
void uart_16550_start(void);

#endif
