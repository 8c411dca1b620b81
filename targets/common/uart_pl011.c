// Driver of the PL011 UART.
// SPDX-License-Identifier: Apache-2.0
#include "uart_pl011.h"

#include "uart.h"

typedef struct {
    volatile uint32_t data, errors, unused0[4], flags, unused1, unused2, baud, fraction, line, control,
        levels, mask, raw, masked, clear;
} registers_t;

enum { FLAGS_RECEIVE_EMPTY = 0x10, FLAGS_TRANSMIT_FULL = 0x20 };
enum { LINE_8_BITS = 0x60, LINE_FIFOS = 0x10 };
enum { CONTROL_ON = 0x301 };                               // UART, transmitter, receiver
enum { ON_RECEIVED = 0x50, ON_ROOM = 0x20, ALL = 0x7FF };  // received: a level of the FIFO, or a pause

static registers_t *uart(void) { return (registers_t *)board_uart.base; }

int uart_receive(void) {
    registers_t *u = uart();
    return u->flags & FLAGS_RECEIVE_EMPTY ? -1 : (int)(u->data & 0xFF);
}

int uart_send(uint8_t byte) {
    registers_t *u = uart();
    if (u->flags & FLAGS_TRANSMIT_FULL) return 0;
    u->data = byte;
    return 1;
}

// The interrupt comes when the FIFO drains below its level, which is also cleared by filling it above.
void uart_notify(int wanted) {
    registers_t *u = uart();
    u->mask = wanted ? ON_RECEIVED | ON_ROOM : ON_RECEIVED;
    if (!wanted) u->clear = ON_ROOM;
}

void uart_pl011_start(void) {
    registers_t *u = uart();
    u->control = 0;
    u->baud = board_uart.divider >> 6;
    u->fraction = board_uart.divider & 63;
    u->line = LINE_8_BITS | LINE_FIFOS;
    u->clear = ALL;
    u->control = CONTROL_ON;
    uart_notify(0);
}
