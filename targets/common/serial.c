// Bytes in and out of any UART: a ring for what is to be sent, and sleep until something happens.
// SPDX-License-Identifier: Apache-2.0
#include "board.h"
#include "cpu.h"
#include "uart.h"

#ifndef BOARD_TRANSMIT_RING
#define BOARD_TRANSMIT_RING 512  // a power of two
#endif

static uint8_t ring[BOARD_TRANSMIT_RING];
static volatile uint32_t head, tail;  // put at head, sent from tail, modulo 2^32
static volatile uint32_t events;

// With interrupts off: sends what fits, and asks to be told when more does.
static void drain(void) {
    while (tail != head && uart_send(ring[tail % BOARD_TRANSMIT_RING])) tail = tail + 1;
    uart_notify(tail != head);
}

void serial_interrupt(void) {
    int byte;
    while ((byte = uart_receive()) >= 0) firmware_receive((uint8_t)byte);
    drain();
    events = events + 1;
}

size_t board_transmit_room(void) { return BOARD_TRANSMIT_RING - (head - tail); }

int board_transmit(uint8_t byte) {
    if (head - tail == BOARD_TRANSMIT_RING) return 0;
    ring[head % BOARD_TRANSMIT_RING] = byte;
    interrupts_off();
    head = head + 1;
    drain();
    interrupts_on();
    return 1;
}

uint32_t board_events(void) { return events; }

// Interrupts are off between the question and the sleep, so that none slips in between; a pending one ends the sleep.
void board_wait(uint32_t seen) {
    interrupts_off();
    if (events == seen) board_sleep();
    interrupts_on();
}
