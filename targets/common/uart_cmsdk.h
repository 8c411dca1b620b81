// The UART of ARM's CMSDK (MPS2, MPS3 boards).
// SPDX-License-Identifier: Apache-2.0
#ifndef UART_CMSDK_H
#define UART_CMSDK_H

#include <stdint.h>

// One UART of a board.
typedef struct uart_cmsdk {
    uint32_t base;         // of its registers
    uint32_t divider;      // clock / baud rate, at least 16
    uint32_t receive_irq;  // numbers of its two interrupts
    uint32_t transmit_irq;
} uart_cmsdk_t;

// Stated by the board.
extern const uart_cmsdk_t board_uart;

#endif
