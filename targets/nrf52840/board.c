// nRF52840 at 64 MHz from the crystal: the UART on the development kit's USB pins, a watchdog of 8 s.
// SPDX-License-Identifier: Apache-2.0
#include "board.h"
#include "cpu.h"
#include "flash_nrf.h"
#include "uart.h"
#include "uart_nrf.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define CRYSTAL_START REGISTER(0x40000000u)
#define CRYSTAL_RUNS REGISTER(0x40000100u)
#define WATCHDOG_START REGISTER(0x40010000u)
#define WATCHDOG_TICKS REGISTER(0x40010504u)  // of 32768 Hz
#define WATCHDOG_CONFIG REGISTER(0x4001050Cu)
#define WATCHDOG_RELOAD REGISTER(0x40010600u)
#define WATCHDOG_KEY 0x6E524635u
#define GPIO_SET REGISTER(0x50000508u)
#define GPIO_OUTPUT REGISTER(0x50000518u)
#define GPIO_PIN(pin) REGISTER(0x50000700u + 4 * (pin))

enum { TRANSMIT_PIN = 6, RECEIVE_PIN = 8, UART_IRQ = 2, PIN_INPUT = 0 };

const char board_name[] = "nrf52840";
const uint32_t flash_nrf_page = 4096;

const uart_nrf_t board_uart = {
    .base = 0x40002000u, .transmit_pin = TRANSMIT_PIN, .receive_pin = RECEIVE_PIN, .baud = UART_NRF_115200};

void board_init(void) {
    CRYSTAL_START = 1;
    while (!CRYSTAL_RUNS) continue;
    GPIO_SET = 1u << TRANSMIT_PIN;
    GPIO_OUTPUT = 1u << TRANSMIT_PIN;
    GPIO_PIN(RECEIVE_PIN) = PIN_INPUT;
    uart_nrf_start();
    nvic_enable(UART_IRQ);
    WATCHDOG_TICKS = 8 * 32768;
    WATCHDOG_CONFIG = 0;  // it stands still while the core sleeps or a debugger halts it
    WATCHDOG_START = 1;
}

void board_alive(void) { WATCHDOG_RELOAD = WATCHDOG_KEY; }

__attribute__((section(".vectors.board"), used)) static void (*const interrupts[])(void) = {
    [UART_IRQ] = serial_interrupt};
