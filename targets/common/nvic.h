// The few Cortex-M instructions and interrupt registers that boards share.
// SPDX-License-Identifier: Apache-2.0
#ifndef NVIC_H
#define NVIC_H

#include <stdint.h>

// A register bank of one bit for each interrupt.
static inline volatile uint32_t *nvic_word(uint32_t base, uint32_t irq) {
    return (volatile uint32_t *)(base + 4 * (irq / 32));
}

static inline void nvic_enable(uint32_t irq) { *nvic_word(0xE000E100u, irq) = 1u << (irq % 32); }

static inline void nvic_disable(uint32_t irq) {
    *nvic_word(0xE000E180u, irq) = 1u << (irq % 32);
    __asm volatile("dsb\n\tisb" ::: "memory");
}

static inline void interrupts_off(void) { __asm volatile("cpsid i" ::: "memory"); }
static inline void interrupts_on(void) { __asm volatile("cpsie i\n\tisb" ::: "memory"); }
static inline void wait_for_interrupt(void) { __asm volatile("dsb\n\twfi" ::: "memory"); }

#endif
