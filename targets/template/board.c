// The board itself: its name, clock, pins and interrupts.
// SPDX-License-Identifier: Apache-2.0
#include "board.h"
#include "cpu.h"
#include "uart.h"

enum { UART_IRQ = 5 };  // its number in the part's vector table

void uart_start(uint32_t clock_hz, uint32_t baud);  // uart.c

const char board_name[] = "template";

// 1. The clock tree, until it is stable. 2. Clock and pins of the UART. 3. The UART. 4. Its interrupt.
void board_init(void) {
    uart_start(16000000, 115200);
    nvic_enable(UART_IRQ);
}

// Where a watchdog is fed. It must outlast one slice of learning (BUDGET) and one erase of a sector.
void board_alive(void) {}

__attribute__((section(".vectors.board"), used)) static void (*const interrupts[])(void) = {
    [UART_IRQ] = serial_interrupt};
