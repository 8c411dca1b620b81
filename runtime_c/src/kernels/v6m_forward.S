// Rows of weights into membranes, and thresholds, for Armv6-M cores: docs/decisions/0014-small-cores.md.
// SPDX-License-Identifier: Apache-2.0
#include "arm.h"

#ifdef EDGE_ARM_V6M
    .syntax unified
    .thumb

// Frame, from sp: the list's offsets (64, then a sentinel that carries when an address is added), then
#define U 260           // the tile's membranes
#define W 264           // the tile's weights in row 0
#define LEFT 268        // outputs, less 12
#define ENTRY 272       // where the first spike begins
#define WIDEN 276       // where membranes are kept or leaked
#define EVEN 280        // what sums start at, -128 times the spikes in each lane: of bytes 0 and 2,
#define ODD 284         // and of bytes 1, 2 and 3
#define SIGNS 288
#define BYTES 292
#define LEAK 296
#define FRAME 300
#define N_ARGUMENT (FRAME + 36)
#define LEAK_ARGUMENT (FRAME + 40)
#define ROW 36          // bytes of add_twelve

// even, odd += the four weights in w, seen as b = w + 128 so that no lane borrows. r4: the signs, r5: every other byte.
.macro add_word even, odd, w
    eors    \w, r4
    lsrs    r6, \w, #8
    add     \odd, r6
    ands    \w, r5
    add     \even, \w
.endm

// The address of the next row: offset + weights.
.macro next_row
    ldmia   r0!, {r1}
    adds    r1, r1, r7
.endm

// One row of 12 weights.
.macro add_twelve
    ldmia   r1, {r1, r2, r3}
    add_word r8, r9, r1
    add_word r10, r11, r2
    add_word r12, lr, r3
    next_row
.endm

.macro leaked u
    asrs    \u, \u, #1
.endm

.macro kept u
.endm

// Four membranes at r0: leaked or kept, plus the sums.
.macro widen way, even, odd
    mov     r3, \even
    mov     r4, \odd
    sxth    r1, r3
    subs    r3, r3, r1
    asrs    r3, r3, #16
    lsls    r2, r3, #8
    subs    r4, r4, r2
    sxth    r2, r4
    subs    r4, r4, r2
    asrs    r4, r4, #16
    ldmia   r0!, {r5, r6}
    \way    r5
    \way    r6
    adds    r1, r1, r5
    adds    r2, r2, r6
    ldmia   r0!, {r5, r6}
    \way    r5
    \way    r6
    adds    r3, r3, r5
    adds    r4, r4, r6
    subs    r0, r0, #16
    stmia   r0!, {r1-r4}
.endm

// void edge_v6m_add_rows(int32_t *u, const uint8_t *w, uint32_t m4, const uint16_t *list, uint32_t n, uint32_t leak)
//
// A tile of 12 outputs in six high registers of two 16-bit lanes: 64 * 255 fits.
FUNCTION edge_v6m_add_rows
    push    {r4-r7, lr}
    mov     r4, r8
    mov     r5, r9
    mov     r6, r10
    mov     r7, r11
    push    {r4-r7}
    sub     sp, sp, #FRAME
    ldr     r4, [sp, #N_ARGUMENT]
    ldr     r5, [sp, #LEAK_ARGUMENT]
    cmp     r4, #0
    bne     0f
    b       .Lleak_only
0:  str     r0, [sp, #U]
    str     r1, [sp, #W]
    str     r5, [sp, #LEAK]
    ldr     r6, =.Lkept
    cmp     r5, #0
    beq     0f
    ldr     r6, =.Lleaked
0:  adds    r6, #1
    str     r6, [sp, #WIDEN]
    lsls    r5, r4, #7
    rsbs    r5, r5, #0
    lsls    r6, r5, #16
    adds    r6, r6, r5
    str     r6, [sp, #EVEN]
    lsls    r5, r5, #8
    adds    r6, r6, r5
    str     r6, [sp, #ODD]
    ldr     r5, =0x80808080
    str     r5, [sp, #SIGNS]
    ldr     r5, =0x00FF00FF
    str     r5, [sp, #BYTES]

    // The first spike enters the loop of four where the last will end it.
    rsbs    r5, r4, #0
    movs    r6, #3
    ands    r5, r6
    movs    r6, #ROW
    muls    r5, r6
    ldr     r6, =.Lfour + 1
    adds    r5, r5, r6
    str     r5, [sp, #ENTRY]

    mov     r6, sp
0:  ldrh    r5, [r3]
    adds    r3, #2
    muls    r5, r2
    stmia   r6!, {r5}
    subs    r4, r4, #1
    bne     0b
    subs    r4, r4, #1
    str     r4, [r6]

    subs    r2, #12
    str     r2, [sp, #LEFT]
    bhs     .Ltile
    b       .Lrest
    .balign 4
.Ltile:
    mov     r0, sp
    ldr     r1, [sp, #EVEN]
    ldr     r2, [sp, #ODD]
    mov     r8, r1
    mov     r10, r1
    mov     r12, r1
    mov     r9, r2
    mov     r11, r2
    mov     lr, r2
    add     r3, sp, #SIGNS
    ldmia   r3!, {r4, r5}
    ldr     r7, [sp, #W]
    ldr     r6, [sp, #ENTRY]
    next_row
    bx      r6
    .balign 4
.Lfour:
    add_twelve
    add_twelve
    add_twelve
    add_twelve
    bcc     .Lfour
    adds    r7, #12
    str     r7, [sp, #W]
    ldr     r0, [sp, #U]
    ldr     r6, [sp, #WIDEN]
    bx      r6
    .balign 4
.Lkept:
    widen   kept, r8, r9
    widen   kept, r10, r11
    widen   kept, r12, lr
    b       .Lwidened
    .balign 4
.Lleaked:
    widen   leaked, r8, r9
    widen   leaked, r10, r11
    widen   leaked, r12, lr
.Lwidened:
    str     r0, [sp, #U]
    ldr     r6, [sp, #LEFT]
    subs    r6, #12
    str     r6, [sp, #LEFT]
    blo     .Lrest
    b       .Ltile

// Four outputs at a time.
.Lrest:
    ldr     r6, [sp, #LEFT]
    adds    r6, #8
    bmi     .Ldone
    str     r6, [sp, #LEFT]
.Lrest_of_four:
    mov     r0, sp
    ldr     r1, [sp, #EVEN]
    ldr     r2, [sp, #ODD]
    mov     r8, r1
    mov     r9, r2
    add     r3, sp, #SIGNS
    ldmia   r3!, {r4, r5}
    ldr     r7, [sp, #W]
    next_row
0:  ldr     r1, [r1]
    add_word r8, r9, r1
    next_row
    bcc     0b
    adds    r7, #4
    str     r7, [sp, #W]
    ldr     r0, [sp, #U]
    ldr     r6, [sp, #LEAK]
    cmp     r6, #0
    bne     1f
    widen   kept, r8, r9
    b       2f
1:  widen   leaked, r8, r9
2:  str     r0, [sp, #U]
    ldr     r6, [sp, #LEFT]
    subs    r6, #4
    str     r6, [sp, #LEFT]
    bhs     .Lrest_of_four
.Ldone:
    add     sp, sp, #FRAME
    pop     {r4-r7}
    mov     r8, r4
    mov     r9, r5
    mov     r10, r6
    mov     r11, r7
    pop     {r4-r7, pc}

.Lleak_only:
    cmp     r5, #0
    beq     .Ldone
0:  ldmia   r0!, {r4-r7}
    asrs    r4, r4, #1
    asrs    r5, r5, #1
    asrs    r6, r6, #1
    asrs    r7, r7, #1
    subs    r0, #16
    stmia   r0!, {r4-r7}
    subs    r2, r2, #4
    bne     0b
    b       .Ldone
    .ltorg
END edge_v6m_add_rows

// Whether u is below the threshold, or negative: a bit into r4.
.macro silent k
    ldrh    r5, [r1, #2 * \k]
    muls    r5, r2
    adds    r5, r5, r3
    asrs    r5, r5, #8
    ldr     r6, [r0, #4 * \k]
    subs    r5, r6, r5
    orrs    r5, r6
    adds    r5, r5, r5
    adcs    r4, r4
.endm

// uint32_t edge_v6m_fire(const int32_t *u, const uint16_t *last, int32_t alpha, int32_t theta, uint32_t n)
//
// The neurons that fire, as bits; n 4 .. 32, a multiple of 4. theta + alpha * last: a threshold (not yet held at 0) + 255.
FUNCTION edge_v6m_fire
    push    {r4-r7, lr}
    ldr     r7, [sp, #20]
    lsls    r4, r7, #1
    adds    r1, r1, r4
    lsls    r4, r7, #2
    adds    r0, r0, r4
    movs    r4, #0
    mvns    r4, r4
0:  subs    r0, #16
    subs    r1, #8
    silent  3
    silent  2
    silent  1
    silent  0
    subs    r7, #4
    bne     0b
    mvns    r0, r4
    pop     {r4-r7, pc}
END edge_v6m_fire
#endif
