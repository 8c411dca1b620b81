// The UART of nRF51 and nRF52 parts (the one without DMA, in both).
// SPDX-License-Identifier: Apache-2.0
#ifndef UART_NRF_H
#define UART_NRF_H

#include <stdint.h>

// One UART of a board.
typedef struct uart_nrf {
    uint32_t base;  // of its registers
    uint32_t transmit_pin, receive_pin;
    uint32_t baud;  // code of the baud rate
} uart_nrf_t;

enum { UART_NRF_115200 = 0x01D7E000 };

// Stated by the board, which also makes the transmit pin an output.
extern const uart_nrf_t board_uart;

// Sets up the UART: 8 bits, no parity, its receive interrupt on.
void uart_nrf_start(void);

#endif
