// ARM's PrimeCell UART, PL011.
// SPDX-License-Identifier: Apache-2.0
#ifndef UART_PL011_H
#define UART_PL011_H

#include <stdint.h>

// One UART of a board.
typedef struct uart_pl011 {
    uint32_t base;     // of its registers
    uint32_t divider;  // 4 * clock / baud rate: 64ths
} uart_pl011_t;

// Stated by the board.
extern const uart_pl011_t board_uart;

// Sets up the UART: 8 bits, no parity, its receive interrupts on.
void uart_pl011_start(void);

#endif
