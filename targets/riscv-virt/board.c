// QEMU's RISC-V machine `virt`: UART, its interrupt through the PLIC, and the reset register.
// SPDX-License-Identifier: Apache-2.0
#include "board.h"

#include "cpu.h"
#include "uart.h"
#include "uart_16550.h"

#define RESET (*(volatile uint32_t *)0x00100000u)
#define RESET_KEY 0x7777u

// The platform-level interrupt controller, for machine mode of the first core.
#define PLIC_PRIORITY(irq) (*(volatile uint32_t *)(0x0C000000u + 4 * (irq)))
#define PLIC_ENABLE (*(volatile uint32_t *)0x0C002000u)
#define PLIC_THRESHOLD (*(volatile uint32_t *)0x0C200000u)
#define PLIC_CLAIM (*(volatile uint32_t *)0x0C200004u)

enum { UART_IRQ = 10 };

const char board_name[] = "riscv-virt";

const uart_16550_t board_uart = {.base = 0x10000000u, .stride = 1, .divider = 3686400u / (16u * 115200u)};

void board_init(void) {
    uart_16550_start();
    PLIC_PRIORITY(UART_IRQ) = 1;
    PLIC_ENABLE = 1u << UART_IRQ;
    PLIC_THRESHOLD = 0;
    external_interrupts_on();
}

void board_interrupt(void) {
    uint32_t irq = PLIC_CLAIM;
    if (irq == UART_IRQ) serial_interrupt();
    if (irq != 0) PLIC_CLAIM = irq;
}

void board_reset(void) {
    RESET = RESET_KEY;
    for (;;) wait_for_interrupt();
}
