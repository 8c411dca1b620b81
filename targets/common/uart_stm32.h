// The USART of STM32 parts, in its two layouts of registers.
// SPDX-License-Identifier: Apache-2.0
#ifndef UART_STM32_H
#define UART_STM32_H

#include <stdint.h>

// One USART of a board. Clocks and pins are the board's.
typedef struct uart_stm32 {
    uint32_t base;     // of its registers
    uint32_t divider;  // clock / baud rate
} uart_stm32_t;

// Stated by the board.
extern const uart_stm32_t board_uart;

// Sets up the USART: 8 bits, no parity, its receive interrupt on.
void uart_stm32_start(void);

#endif
