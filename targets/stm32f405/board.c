// STM32F405 on its internal 16 MHz oscillator: USART 1 on PA9 and PA10 at 115200 baud (RM0090).
// SPDX-License-Identifier: Apache-2.0
#include "board.h"
#include "cpu.h"
#include "uart.h"
#include "uart_stm32.h"

#define RCC_AHB1ENR (*(volatile uint32_t *)0x40023830u)
#define RCC_APB2ENR (*(volatile uint32_t *)0x40023844u)
#define GPIOA_MODER (*(volatile uint32_t *)0x40020000u)
#define GPIOA_AFRH (*(volatile uint32_t *)0x40020024u)

enum { CLOCK_GPIOA = 1 << 0, CLOCK_USART1 = 1 << 4 };
enum { ALTERNATE = 2, USART = 7 };  // modes of a pin
enum { USART1_IRQ = 37 };

const char board_name[] = "stm32f405";

const uart_stm32_t board_uart = {.base = 0x40011000u, .divider = 16000000u / 115200u};

void board_init(void) {
    RCC_AHB1ENR |= CLOCK_GPIOA;
    RCC_APB2ENR |= CLOCK_USART1;
    GPIOA_AFRH = (GPIOA_AFRH & ~0xFF0u) | USART << 4 | USART << 8;
    GPIOA_MODER = (GPIOA_MODER & ~(15u << 18)) | ALTERNATE << 18 | ALTERNATE << 20;
    uart_stm32_start();
    nvic_enable(USART1_IRQ);
}

__attribute__((section(".vectors.board"), used)) static void (*const interrupts[])(void) = {
    [USART1_IRQ] = serial_interrupt};
