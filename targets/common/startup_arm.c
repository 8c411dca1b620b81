// Cortex-M start: vector table, FPU, memory, and what happens at a fault.
// SPDX-License-Identifier: Apache-2.0
#include <stddef.h>
#include <stdint.h>

#include "board.h"
#include "fault.h"

// From sections_arm.ld.
extern uint32_t stack_bottom[], stack_top[], data_load[], data_start[], data_end[], bss_start[], bss_end[];

#define VTOR (*(volatile uint32_t *)0xE000ED08u)
#define CPACR (*(volatile uint32_t *)0xE000ED88u)
#define AIRCR (*(volatile uint32_t *)0xE000ED0Cu)
#define CFSR (*(volatile uint32_t *)0xE000ED28u)
#define RESET_KEY 0x05FA0004u

typedef void (*vector_t)(void);

typedef struct {
    const void *stack;
    vector_t handler[15];
} vectors_t;

static const vectors_t vectors;

int main(void);
void reset_handler(void) __attribute__((noreturn));
void fault_handler(void);
void fault_report(const uint32_t *frame) __attribute__((noreturn, used));

// The FPU comes first: a vectorizing compiler may use its registers in the loops below.
void reset_handler(void) {
#if defined(__ARM_FP)
    CPACR |= 0xFu << 20;
    __asm volatile("dsb\n\tisb" ::: "memory");
#endif
#if !defined(__ARM_ARCH_6M__)
    VTOR = (uint32_t)(uintptr_t)&vectors;  // a boot loader may have had its own
#endif
    const uint32_t *from = data_load;
    for (uint32_t *to = data_start; to < data_end;) *to++ = *from++;
    for (uint32_t *to = bss_start; to < bss_end;) *to++ = 0;
    (void)main();
    board_reset();
}

// The stack may be what failed: note where it was and start it afresh.
__attribute__((naked)) void fault_handler(void) {
    __asm volatile("mrs r0, msp\n\t"
                   "ldr r1, =stack_top\n\t"
                   "msr msp, r1\n\t"
                   "b fault_report\n\t"
                   ".ltorg");
}

// An exception frame is r0-r3, r12, lr, pc, psr, all of it inside the stack. Cores without a CFSR read 0 there.
void fault_report(const uint32_t *frame) {
    int whole = frame >= stack_bottom && frame + 8 <= stack_top;
    fault_note(CFSR, whole ? frame[6] : 0, whole ? frame[5] : 0);
}

void board_reset(void) {
    __asm volatile("dsb" ::: "memory");
    AIRCR = RESET_KEY;
    for (;;) __asm volatile("dsb" ::: "memory");
}

// The core's part of the table; the board's interrupts follow it in .vectors.board.
__attribute__((section(".vectors.core"), used)) static const vectors_t vectors = {
    stack_top,
    {reset_handler, fault_handler, fault_handler, fault_handler, fault_handler, fault_handler, NULL, NULL,
     NULL, NULL, fault_handler, fault_handler, NULL, fault_handler, fault_handler}};
