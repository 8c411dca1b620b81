// ARM MPS2 board with the AN500 image: Cortex-M7 at 25 MHz, UART 0 at 115200 baud.
// SPDX-License-Identifier: Apache-2.0
#include "board.h"
#include "uart.h"
#include "uart_cmsdk.h"

const char board_name[] = "mps2-an500";

const uart_cmsdk_t board_uart = {
    .base = 0x40004000u, .divider = 25000000u / 115200u, .receive_irq = 0, .transmit_irq = 1};

__attribute__((section(".vectors.board"), used)) static void (*const interrupts[])(void) = {serial_interrupt,
                                                                                            serial_interrupt};
