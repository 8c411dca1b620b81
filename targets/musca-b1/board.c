// ARM Musca-B1 test chip: Cortex-M33 at 40 MHz, UART 0 at 115200 baud.
// SPDX-License-Identifier: Apache-2.0
#include "board.h"
#include "cpu.h"
#include "uart.h"
#include "uart_pl011.h"

enum { UART_IRQ = 32 + 12 };  // all of the UART's interrupts in one

const char board_name[] = "musca-b1";

const uart_pl011_t board_uart = {.base = 0x50105000u, .divider = 40000000u * 4u / 115200u};

void board_init(void) {
    uart_pl011_start();
    nvic_enable(UART_IRQ);
}

__attribute__((section(".vectors.board"), used)) static void (*const interrupts[])(void) = {
    [UART_IRQ] = serial_interrupt};
