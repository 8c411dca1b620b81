// Driver of the 16550 UART.
// SPDX-License-Identifier: Apache-2.0
#include "uart_16550.h"

#include "uart.h"

enum { DATA = 0, INTERRUPTS = 1, FIFO = 2, LINE = 3, STATUS = 5 };
enum { DIVIDER_LOW = 0, DIVIDER_HIGH = 1 };  // while LINE_DIVIDER is set
enum { LINE_8_BITS = 3, LINE_DIVIDER = 0x80 };
enum { FIFO_ON = 7 };  // and empty
enum { STATUS_RECEIVED = 1, STATUS_ROOM = 0x20 };
enum { ON_RECEIVED = 1, ON_ROOM = 2 };

static volatile uint8_t *reg(uint32_t index) {
    return (volatile uint8_t *)(board_uart.base + index * board_uart.stride);
}

int uart_receive(void) { return *reg(STATUS) & STATUS_RECEIVED ? *reg(DATA) : -1; }

int uart_send(uint8_t byte) {
    if (!(*reg(STATUS) & STATUS_ROOM)) return 0;
    *reg(DATA) = byte;
    return 1;
}

void uart_notify(int wanted) { *reg(INTERRUPTS) = wanted ? ON_RECEIVED | ON_ROOM : ON_RECEIVED; }

void uart_16550_start(void) {
    *reg(LINE) = LINE_DIVIDER | LINE_8_BITS;
    *reg(DIVIDER_LOW) = (uint8_t)(board_uart.divider & 0xFF);
    *reg(DIVIDER_HIGH) = (uint8_t)(board_uart.divider >> 8 & 0xFF);
    *reg(LINE) = LINE_8_BITS;
    *reg(FIFO) = FIFO_ON;
    uart_notify(0);
}
