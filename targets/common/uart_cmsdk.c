// Driver of the CMSDK UART. It interrupts by itself when it has room again.
// SPDX-License-Identifier: Apache-2.0
#include "uart_cmsdk.h"

#include "board.h"
#include "cpu.h"
#include "uart.h"

typedef struct {
    volatile uint32_t data, state, control, interrupt, divider;
} registers_t;

enum { STATE_TRANSMIT_FULL = 1, STATE_RECEIVED = 2, STATE_OVERRUNS = 12 };
enum { CONTROL_BOTH = 3, CONTROL_BOTH_INTERRUPTS = 12 };
enum { INTERRUPT_TRANSMIT = 1, INTERRUPT_RECEIVE = 2 };

static registers_t *uart(void) { return (registers_t *)board_uart.base; }

// The interrupt is cleared before the question, so that no byte is missed between the two.
int uart_receive(void) {
    registers_t *u = uart();
    u->interrupt = INTERRUPT_RECEIVE;
    if (u->state & STATE_RECEIVED) return (int)(u->data & 0xFF);
    u->state = STATE_OVERRUNS;
    return -1;
}

// The interrupt is cleared before the byte that will raise it again.
int uart_send(uint8_t byte) {
    registers_t *u = uart();
    if (u->state & STATE_TRANSMIT_FULL) return 0;
    u->interrupt = INTERRUPT_TRANSMIT;
    u->data = byte;
    return 1;
}

void uart_notify(int wanted) {
    if (!wanted) uart()->interrupt = INTERRUPT_TRANSMIT;
}

void board_init(void) {
    registers_t *u = uart();
    u->divider = board_uart.divider;
    u->control = CONTROL_BOTH | CONTROL_BOTH_INTERRUPTS;
    nvic_enable(board_uart.receive_irq);
    nvic_enable(board_uart.transmit_irq);
}
