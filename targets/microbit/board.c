// BBC micro:bit: nRF51822 at 16 MHz; the UART is on the pins of its USB interface chip, 115200 baud.
// SPDX-License-Identifier: Apache-2.0
#include "board.h"
#include "cpu.h"
#include "flash_nrf.h"
#include "uart.h"
#include "uart_nrf.h"

#define GPIO_SET (*(volatile uint32_t *)0x50000508u)
#define GPIO_OUTPUT (*(volatile uint32_t *)0x50000518u)

enum { TRANSMIT_PIN = 24, RECEIVE_PIN = 25, UART_IRQ = 2 };

const char board_name[] = "microbit";

const uart_nrf_t board_uart = {
    .base = 0x40002000u, .transmit_pin = TRANSMIT_PIN, .receive_pin = RECEIVE_PIN, .baud = UART_NRF_115200};

const uint32_t flash_nrf_page = 1024;

void board_init(void) {
    GPIO_SET = 1u << TRANSMIT_PIN;
    GPIO_OUTPUT = 1u << TRANSMIT_PIN;
    uart_nrf_start();
    nvic_enable(UART_IRQ);
}

__attribute__((section(".vectors.board"), used)) static void (*const interrupts[])(void) = {
    [UART_IRQ] = serial_interrupt};
