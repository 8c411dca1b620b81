// Driver of the STM32 USART: F1, F2, F4, L1; with UART_STM32_NEW the layout of F0, F3, F7, G, H, L4, U, WB.
// SPDX-License-Identifier: Apache-2.0
#include "uart_stm32.h"

#include "uart.h"

#ifdef UART_STM32_NEW
typedef struct {
    volatile uint32_t control, control2, control3, divider, guard, timeout, request, status, clear, received,
        sent;
} registers_t;

enum { ON = 1 << 0 };
enum { CLEAR_OVERRUN = 1 << 3 };
#else
typedef struct {
    volatile uint32_t status, data, divider, control;
} registers_t;

enum { ON = 1 << 13 };
#endif

enum { TRANSMITTER = 1 << 3, RECEIVER = 1 << 2, ON_RECEIVED = 1 << 5, ON_ROOM = 1 << 7 };
enum { STATUS_RECEIVED = 1 << 5, STATUS_ROOM = 1 << 7 };

static registers_t *uart(void) { return (registers_t *)board_uart.base; }

// In the old layout reading status and then data takes back an overrun.
int uart_receive(void) {
    registers_t *u = uart();
#ifdef UART_STM32_NEW
    u->clear = CLEAR_OVERRUN;
    return u->status & STATUS_RECEIVED ? (int)(u->received & 0xFF) : -1;
#else
    return u->status & STATUS_RECEIVED ? (int)(u->data & 0xFF) : -1;
#endif
}

int uart_send(uint8_t byte) {
    registers_t *u = uart();
    if (!(u->status & STATUS_ROOM)) return 0;
#ifdef UART_STM32_NEW
    u->sent = byte;
#else
    u->data = byte;
#endif
    return 1;
}

void uart_notify(int wanted) {
    registers_t *u = uart();
    u->control = wanted ? u->control | ON_ROOM : u->control & ~(uint32_t)ON_ROOM;
}

void uart_stm32_start(void) {
    registers_t *u = uart();
    u->divider = board_uart.divider;
    u->control = ON | TRANSMITTER | RECEIVER | ON_RECEIVED;
}
