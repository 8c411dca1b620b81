// Driver of the UART of nRF51 and nRF52 parts.
// SPDX-License-Identifier: Apache-2.0
#include "uart_nrf.h"

#include "uart.h"

enum {
    START_RECEIVE = 0x000,
    START_SEND = 0x008,
    RECEIVED = 0x108,
    SENT = 0x11C,
    INTERRUPTS_ON = 0x304,
    INTERRUPTS_OFF = 0x308,
    ENABLE = 0x500,
    PIN_SEND = 0x50C,
    PIN_RECEIVE = 0x514,
    DATA_RECEIVED = 0x518,
    DATA_TO_SEND = 0x51C,
    BAUD = 0x524
};
enum { ENABLED = 4, ON_RECEIVED = 1 << 2, ON_SENT = 1 << 7 };

static int under_way;  // a byte was given and SENT tells when it has left

static volatile uint32_t *reg(uint32_t offset) { return (volatile uint32_t *)(board_uart.base + offset); }

// Read back, so that the event is gone before the interrupt returns.
static void clear(uint32_t event) {
    *reg(event) = 0;
    (void)*reg(event);
}

int uart_receive(void) {
    if (!*reg(RECEIVED)) return -1;
    clear(RECEIVED);
    return (int)(*reg(DATA_RECEIVED) & 0xFF);
}

int uart_send(uint8_t byte) {
    if (under_way && !*reg(SENT)) return 0;
    clear(SENT);
    *reg(DATA_TO_SEND) = byte;
    under_way = 1;
    return 1;
}

void uart_notify(int wanted) { *reg(wanted ? INTERRUPTS_ON : INTERRUPTS_OFF) = ON_SENT; }

void uart_nrf_start(void) {
    *reg(PIN_SEND) = board_uart.transmit_pin;
    *reg(PIN_RECEIVE) = board_uart.receive_pin;
    *reg(BAUD) = board_uart.baud;
    *reg(ENABLE) = ENABLED;
    *reg(INTERRUPTS_ON) = ON_RECEIVED;
    *reg(START_SEND) = 1;
    *reg(START_RECEIVE) = 1;
}
