// STM32L476 at 16 MHz (HSI): USART 2 on PA2 and PA3, which the Nucleo's ST-LINK has; a watchdog of 8 s (RM0351).
// SPDX-License-Identifier: Apache-2.0
#include "board.h"
#include "cpu.h"
#include "uart.h"
#include "uart_stm32.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define RCC_CR REGISTER(0x40021000u)
#define RCC_CFGR REGISTER(0x40021008u)
#define RCC_AHB2ENR REGISTER(0x4002104Cu)
#define RCC_APB1ENR1 REGISTER(0x40021058u)
#define GPIOA_MODER REGISTER(0x48000000u)
#define GPIOA_AFRL REGISTER(0x48000020u)
#define IWDG_KEY REGISTER(0x40003000u)
#define IWDG_PRESCALER REGISTER(0x40003004u)
#define IWDG_RELOAD REGISTER(0x40003008u)
#define IWDG_STATUS REGISTER(0x4000300Cu)

enum { HSI_ON = 1 << 8, HSI_READY = 1 << 10, SYSTEM_IS_HSI = 1 };
enum { CLOCK_GPIOA = 1 << 0, CLOCK_USART2 = 1 << 17 };
enum { ALTERNATE = 2, USART = 7 };  // modes of a pin
enum { IWDG_START = 0xCCCC, IWDG_UNLOCK = 0x5555, IWDG_FEED = 0xAAAA, IWDG_BY_64 = 4 };
enum { USART2_IRQ = 38 };

const char board_name[] = "stm32l476";

const uart_stm32_t board_uart = {.base = 0x40004400u, .divider = 16000000u / 115200u};

void board_init(void) {
    RCC_CR |= HSI_ON;
    while (!(RCC_CR & HSI_READY)) continue;
    RCC_CFGR = (RCC_CFGR & ~3u) | SYSTEM_IS_HSI;
    RCC_AHB2ENR |= CLOCK_GPIOA;
    RCC_APB1ENR1 |= CLOCK_USART2;
    GPIOA_AFRL = (GPIOA_AFRL & ~0xFF00u) | USART << 8 | USART << 12;
    GPIOA_MODER = (GPIOA_MODER & ~0xF0u) | ALTERNATE << 4 | ALTERNATE << 6;
    uart_stm32_start();
    nvic_enable(USART2_IRQ);
    IWDG_KEY = IWDG_START;
    IWDG_KEY = IWDG_UNLOCK;
    IWDG_PRESCALER = IWDG_BY_64;  // 32 kHz / 64
    IWDG_RELOAD = 4000;
    while (IWDG_STATUS) continue;
    IWDG_KEY = IWDG_FEED;
}

// It runs on in sleep: a timer has to wake a board that hears nothing for 8 s, or its option bytes stop it.
void board_alive(void) { IWDG_KEY = IWDG_FEED; }

__attribute__((section(".vectors.board"), used)) static void (*const interrupts[])(void) = {
    [USART2_IRQ] = serial_interrupt};
