// The CMSDK UART behind board.h.
// SPDX-License-Identifier: Apache-2.0
#include "uart_cmsdk.h"

#include "board.h"
#include "nvic.h"

typedef struct {
    volatile uint32_t data, state, control, interrupt, divider;
} registers_t;

enum { STATE_TRANSMIT_FULL = 1, STATE_RECEIVED = 2, STATE_OVERRUNS = 12 };
enum { CONTROL_BOTH = 3, CONTROL_BOTH_INTERRUPTS = 12 };
enum { INTERRUPT_TRANSMIT = 1, INTERRUPT_RECEIVE = 2 };
enum { RING = 512 };  // a power of two

static uint8_t ring[RING];
static volatile uint32_t head, tail;  // put at head, sent from tail, modulo 2^32
static volatile uint32_t events;

static registers_t *uart(void) { return (registers_t *)board_uart.base; }

// With the transmit interrupt off, or from it: sends what fits.
static void drain(void) {
    registers_t *u = uart();
    while (tail != head && !(u->state & STATE_TRANSMIT_FULL)) {
        u->data = ring[tail % RING];
        tail = tail + 1;
    }
}

void uart_cmsdk_receive(void) {
    registers_t *u = uart();
    u->interrupt = INTERRUPT_RECEIVE;
    while (u->state & STATE_RECEIVED) firmware_receive((uint8_t)u->data);
    u->state = STATE_OVERRUNS;
    events = events + 1;
}

void uart_cmsdk_transmit(void) {
    uart()->interrupt = INTERRUPT_TRANSMIT;
    drain();
    events = events + 1;
}

void board_init(void) {
    registers_t *u = uart();
    u->divider = board_uart.divider;
    u->control = CONTROL_BOTH | CONTROL_BOTH_INTERRUPTS;
    nvic_enable(board_uart.receive_irq);
    nvic_enable(board_uart.transmit_irq);
}

size_t board_transmit_room(void) { return RING - (head - tail); }

int board_transmit(uint8_t byte) {
    if (head - tail == RING) return 0;
    ring[head % RING] = byte;
    head = head + 1;
    nvic_disable(board_uart.transmit_irq);
    drain();
    nvic_enable(board_uart.transmit_irq);
    return 1;
}

uint32_t board_events(void) { return events; }

// Interrupts are off between the question and the sleep, so that none slips in between; a pending one ends the sleep.
void board_wait(uint32_t seen) {
    interrupts_off();
    if (events == seen) wait_for_interrupt();
    interrupts_on();
}
