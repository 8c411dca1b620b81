// RISC-V start in machine mode: memory, the guard of the stack, traps, and what happens at a fault.
// SPDX-License-Identifier: Apache-2.0
#include <stddef.h>
#include <stdint.h>

#include "board.h"
#include "fault.h"

// From sections_riscv.ld.
extern uint32_t data_load[], data_start[], data_end[], bss_start[], bss_end[];
extern uint8_t guard_start[], guard_end[];

#define PMP_LOCKED_NAPOT 0x98u  // nobody may touch it, machine mode included, until the next reset

int main(void);
void reset_handler(void) __attribute__((noreturn));
void start(void) __attribute__((noreturn, used));
void trap(void);
void trap_interrupt(void) __attribute__((interrupt("machine"), used));

// Execution begins at the first byte of FLASH.
__attribute__((naked, section(".vectors.core"), used)) void reset_handler(void) {
    __asm volatile(".option push\n\t.option norelax\n\tla gp, __global_pointer$\n\t.option pop\n\t"
                   "csrci mstatus, 8\n\t"
                   "la sp, stack_top\n\t"
                   "la t0, trap\n\t"
                   "csrw mtvec, t0\n\t"
                   "j start");
}

// The page below the stack faults: an overflow would otherwise overwrite what lies under it.
static void guard_stack(void) {
    const uint32_t size = (uint32_t)(guard_end - guard_start);
    const uint32_t where = (uint32_t)(uintptr_t)guard_start / 4 | (size / 8 - 1);
    __asm volatile("csrw pmpaddr0, %0\n\tcsrw pmpcfg0, %1" ::"r"(where), "r"(PMP_LOCKED_NAPOT));
}

void start(void) {
    const uint32_t *from = data_load;
    for (uint32_t *to = data_start; to < data_end;) *to++ = *from++;
    for (uint32_t *to = bss_start; to < bss_end;) *to++ = 0;
    guard_stack();
    (void)main();
    board_reset();
}

// A fault takes a fresh stack, for the stack may be what failed; an interrupt goes on with the one there is.
__attribute__((naked, aligned(4), used)) void trap(void) {
    __asm volatile("csrw mscratch, t0\n\t"
                   "csrr t0, mcause\n\t"
                   "bltz t0, 1f\n\t"
                   "csrr a0, mcause\n\t"
                   "csrr a1, mepc\n\t"
                   "mv a2, ra\n\t"
                   "la sp, stack_top\n\t"
                   "j fault_note\n"
                   "1: csrr t0, mscratch\n\t"
                   "j trap_interrupt");
}

void trap_interrupt(void) { board_interrupt(); }
