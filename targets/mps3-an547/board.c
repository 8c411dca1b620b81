// ARM MPS3 board with the AN547 image: Cortex-M55 at 32 MHz, UART 0 at 115200 baud.
// SPDX-License-Identifier: Apache-2.0
#include "board.h"
#include "uart.h"
#include "uart_cmsdk.h"

const char board_name[] = "mps3-an547";

const uart_cmsdk_t board_uart = {
    .base = 0x59303000u, .divider = 32000000u / 115200u, .receive_irq = 33, .transmit_irq = 34};

__attribute__((section(".vectors.board"), used)) static void (*const interrupts[])(void) = {
    [33] = serial_interrupt, [34] = serial_interrupt};
