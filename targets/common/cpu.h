// The few instructions and interrupt registers of a core that its boards share: Cortex-M and RISC-V.
// SPDX-License-Identifier: Apache-2.0
#ifndef CPU_H
#define CPU_H

#include <stdint.h>

#if defined(__riscv)

static inline void interrupts_off(void) { __asm volatile("csrci mstatus, 8" ::: "memory"); }
static inline void interrupts_on(void) { __asm volatile("csrsi mstatus, 8" ::: "memory"); }
static inline void wait_for_interrupt(void) { __asm volatile("fence\n\twfi" ::: "memory"); }

// From now on the external interrupt of the interrupt controller reaches the core.
static inline void external_interrupts_on(void) {
    __asm volatile("csrs mie, %0\n\tcsrsi mstatus, 8" ::"r"(1u << 11) : "memory");
}

#else

// Lets an interrupt of the NVIC through.
static inline void nvic_enable(uint32_t irq) {
    *(volatile uint32_t *)(0xE000E100u + 4 * (irq / 32)) = 1u << (irq % 32);
}

static inline void interrupts_off(void) { __asm volatile("cpsid i" ::: "memory"); }
static inline void interrupts_on(void) { __asm volatile("cpsie i\n\tisb" ::: "memory"); }
static inline void wait_for_interrupt(void) { __asm volatile("dsb\n\twfi" ::: "memory"); }

#endif
#endif
