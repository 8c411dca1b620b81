// Rows of weights into membranes, and thresholds, for Thumb-2 cores: docs/decisions/0010-arm-kernels.md.
// SPDX-License-Identifier: Apache-2.0
#include "arm.h"

#ifdef EDGE_ARM_THUMB2
    .syntax unified
    .thumb

// Frame, from sp: the list's offsets (64, then a sentinel that carries when an address is added), then
#define U 264       // the tile's membranes
#define U_END 268   // where tiles of 16 end
#define LEAK 272
#define W 276       // the tile's weights in row 0, where no register has them
#define ENTRY 280   // where the spikes after the first begin
#define REST 284    // outputs beyond tiles of 16
#define WIDEN 288       // where membranes are kept or leaked
#define BIAS 292        // 128 times the spikes
#define FRAME 296
#define N_ARGUMENT (FRAME + 36)
#define LEAK_ARGUMENT (FRAME + 40)

#ifdef EDGE_ARM_DSP
#define ROW 22          // halfwords of add_sixteen

// even, odd += the four weights in w, as 16-bit lanes.
.macro add_word even, odd, w
    sxtab16 \even, \even, \w
    sxtab16 \odd, \odd, \w, ror #8
.endm

.macro first_word even, odd, w
    sxtb16  \even, \w
    sxtb16  \odd, \w, ror #8
.endm

.macro leaked u
    asr     \u, \u, #1
.endm

.macro kept u
.endm

.macro add_lanes even, odd
    sxtah   r8, r8, \even
    sxtah   r9, r9, \odd
    add     r10, r10, \even, asr #16
    add     r11, r11, \odd, asr #16
.endm

#else
#define ROW 38

// Weights are seen as b = w + 128, so that no lane borrows: even holds b0 + 65536 b2, odd holds b1 + 256 b2 + 65536 b3.
.macro add_word even, odd, w
    eor.w   \w, \w, #0x80808080
    add.w   \odd, \odd, \w, lsr #8
    and.w   \w, \w, #0x00FF00FF
    add.w   \even, \even, \w
.endm

.macro first_word even, odd, w
    eor     \w, \w, #0x80808080
    lsr     \odd, \w, #8
    and     \even, \w, #0x00FF00FF
.endm

// r12: 128 times the spikes.
.macro leaked u
    rsb     \u, r12, \u, asr #1
.endm

.macro kept u
    sub     \u, \u, r12
.endm

.macro add_lanes even, odd
    add     r8, r8, \even
    lsr     \even, \even, #16
    sub     r8, r8, \even, lsl #16
    add     r10, r10, \even
    sub     \odd, \odd, \even, lsl #8
    add     r9, r9, \odd
    lsr     \odd, \odd, #16
    sub     r9, r9, \odd, lsl #16
    add     r11, r11, \odd
.endm
#endif

// Four membranes at lr: leaked or kept, plus the sums.
.macro widen way, even, odd
    ldm     lr, {r8-r11}
    \way    r8
    \way    r9
    \way    r10
    \way    r11
    add_lanes \even, \odd
    stm     lr!, {r8-r11}
.endm

// The same for few outputs.
.macro widen_either even, odd
    ldr     r8, [sp, #LEAK]
    cmp     r8, #0
    bne     2f
    widen   kept, \even, \odd
    b       3f
2:  widen   leaked, \even, \odd
3:
.endm

// The address of the next row: offset + weights.
.macro next_row row
    ldr     \row, [lr], #4
    adds    \row, \row, r12
.endm

// One row of 16 weights.
.macro add_sixteen
    ldm     r8, {r8-r11}
    add_word r0, r1, r8
    add_word r2, r3, r9
    add_word r4, r5, r10
    add_word r6, r7, r11
    next_row r8
.endm

// void edge_arm_add_rows(int32_t *u, const uint8_t *w, uint32_t m4, const uint16_t *list, uint32_t n, uint32_t leak)
//
// A tile of 16 outputs in eight registers of two 16-bit lanes: 64 * 128 fits.
FUNCTION edge_arm_add_rows
    push    {r4-r11, lr}
    sub     sp, sp, #FRAME
    ldr     r4, [sp, #N_ARGUMENT]
    ldr     r12, [sp, #LEAK_ARGUMENT]
    cmp     r4, #0
    beq     .Lleak_only
    bic     r5, r2, #15
    add     r5, r0, r5, lsl #2
    strd    r0, r5, [sp, #U]
    str     r12, [sp, #LEAK]
    adr     r6, .Lkept
    adr     r7, .Lleaked
    cmp     r12, #0
    it      eq
    moveq   r7, r6
    orr     r7, r7, #1
    str     r7, [sp, #WIDEN]
#ifndef EDGE_ARM_DSP
    str     r1, [sp, #W]
    lsl     r12, r4, #7
    str     r12, [sp, #BIAS]
#endif
    and     r6, r2, #15
    str     r6, [sp, #REST]
    mov     r6, r4

    // Lines become offsets, two at a time: one too many if n is odd, and overwritten.
    mov     r7, sp
0:  ldr     r9, [r3], #4
    uxth    r8, r9
    lsr     r9, r9, #16
    mul     r8, r8, r2
    mul     r9, r9, r2
    strd    r8, r9, [r7], #8
    subs    r6, r6, #2
    bhi     0b
    add     r7, sp, r4, lsl #2
    mvn     r9, #0
    str     r9, [r7]

    // The spikes after the first enter the loop of four where the last will end it.
    subs    r8, r4, #1
    it      eq
    moveq   r9, #4 * ROW + 2    // past the loop and its branch
    itttt   ne
    rsbne   r9, r8, #0
    andne   r9, r9, #3
    movne   r10, #ROW
    mulne   r9, r9, r10
    adr     r7, .Lfour
    add     r7, r7, r9, lsl #1
    orr     r7, r7, #1
    str     r7, [sp, #ENTRY]

    mov     r12, r1
    cmp     r0, r5
    beq     .Lrest
.Ltile:
    mov     lr, sp
    next_row r8
    ldm     r8, {r8-r11}
    first_word r0, r1, r8
    first_word r2, r3, r9
    first_word r4, r5, r10
    first_word r6, r7, r11
    next_row r8
    ldr     pc, [sp, #ENTRY]
.Lfour:
    add_sixteen
    add_sixteen
    add_sixteen
    add_sixteen
    bcc.w   .Lfour
    ldr     lr, [sp, #U]
#ifndef EDGE_ARM_DSP
    ldr     r12, [sp, #BIAS]
#endif
    ldr     pc, [sp, #WIDEN]
.Lkept:
    widen   kept, r0, r1
    widen   kept, r2, r3
    widen   kept, r4, r5
    widen   kept, r6, r7
    b       .Lwidened
    .balign 4
.Lleaked:
    widen   leaked, r0, r1
    widen   leaked, r2, r3
    widen   leaked, r4, r5
    widen   leaked, r6, r7
.Lwidened:
    str     lr, [sp, #U]
    ldr     r8, [sp, #U_END]
#ifndef EDGE_ARM_DSP
    ldr     r12, [sp, #W]
#endif
    add     r12, r12, #16
#ifndef EDGE_ARM_DSP
    str     r12, [sp, #W]
#endif
    cmp     lr, r8
    bne     .Ltile

.Lrest:
    ldr     r0, [sp, #REST]
    tst     r0, #8
    beq     .Lrest_of_four
    mov     lr, sp
    next_row r8
    ldm     r8, {r8, r9}
    first_word r2, r3, r8
    first_word r4, r5, r9
    next_row r8
    bcs     1f
0:  ldm     r8, {r8, r9}
    add_word r2, r3, r8
    add_word r4, r5, r9
    next_row r8
    bcc     0b
1:  mov     r1, r12
    ldr     lr, [sp, #U]
#ifndef EDGE_ARM_DSP
    ldr     r12, [sp, #BIAS]
#endif
    widen_either r2, r3
    widen_either r4, r5
    str     lr, [sp, #U]
    add     r12, r1, #8
.Lrest_of_four:
    tst     r0, #4
    beq     .Ldone
    mov     lr, sp
    next_row r8
    ldr     r8, [r8]
    first_word r2, r3, r8
    next_row r8
    bcs     1f
0:  ldr     r8, [r8]
    add_word r2, r3, r8
    next_row r8
    bcc     0b
1:  ldr     lr, [sp, #U]
#ifndef EDGE_ARM_DSP
    ldr     r12, [sp, #BIAS]
#endif
    widen_either r2, r3
.Ldone:
    add     sp, sp, #FRAME
    pop     {r4-r11, pc}

.Lleak_only:
    cmp     r12, #0
    beq     .Ldone
0:  ldm     r0, {r4-r7}
    asr     r4, r4, #1
    asr     r5, r5, #1
    asr     r6, r6, #1
    asr     r7, r7, #1
    stm     r0!, {r4-r7}
    subs    r2, r2, #4
    bne     0b
    b       .Ldone
END edge_arm_add_rows

// uint32_t edge_arm_fire(const int32_t *u, const uint16_t *last, int32_t alpha, int32_t theta, uint32_t n)
//
// The neurons that fire, as bits; n 4 .. 32, a multiple of 4. alpha < 2^15 with DSP. theta + alpha * last: a threshold (not yet
// held at 0) + 255. Most fours have none that fires: then every u - floor((threshold + 255) / 256) is negative.
FUNCTION edge_arm_fire
    push    {r4-r11, lr}
    ldr     lr, [sp, #36]
    mov     r12, #0
.Lsilent:
    ldm     r0!, {r4-r7}
#ifdef EDGE_ARM_DSP
    ldrd    r8, r10, [r1], #8
    smlatb  r9, r8, r2, r3
    smlabb  r8, r8, r2, r3
    smlatb  r11, r10, r2, r3
    smlabb  r10, r10, r2, r3
#else
    ldrh    r8, [r1], #2
    ldrh    r9, [r1], #2
    ldrh    r10, [r1], #2
    ldrh    r11, [r1], #2
    mla     r8, r8, r2, r3
    mla     r9, r9, r2, r3
    mla     r10, r10, r2, r3
    mla     r11, r11, r2, r3
#endif
    sub     r8, r4, r8, asr #8
    sub     r9, r5, r9, asr #8
    sub     r10, r6, r10, asr #8
    sub     r11, r7, r11, asr #8
    and     r4, r8, r9
    and     r4, r4, r10
    ands    r4, r4, r11
    bpl     .Lmaybe
.Lnext:
    subs    lr, lr, #4
    bne     .Lsilent
    ldr     lr, [sp, #36]
    rsb     lr, lr, #0
    ror     r0, r12, lr
    pop     {r4-r11, pc}
.Lmaybe:    // a neuron fires where neither its difference nor u is negative
    ldr     r4, [r0, #-16]
    orr     r8, r8, r4
    orr     r9, r9, r5
    orr     r10, r10, r6
    orr     r11, r11, r7
    lsr     r8, r8, #31
    lsr     r9, r9, #31
    lsr     r10, r10, #31
    lsr     r11, r11, #31
    orr     r8, r8, r9, lsl #1
    orr     r8, r8, r10, lsl #2
    orr     r8, r8, r11, lsl #3
    eor     r8, r8, #15
    ror     r8, r8, lr      // by what is left: the whole is rotated back at the end
    orr     r12, r12, r8
    b       .Lnext
END edge_arm_fire

// uint16_t *edge_arm_list_words(uint16_t *list, const uint16_t *full, const uint8_t *spikes, uint32_t *line, uint32_t end)
//
// Lists the spikes of whole words from *line on until `end` or until `full` is reached. Returns the list's end.
FUNCTION edge_arm_list_words
    push    {r4-r7, lr}
    ldr     r12, [sp, #20]
    ldr     r4, [r3]
    mov     lr, #0x80000000
    add     r2, r2, r4, lsr #3
    b       .Lcheck
.Llist_word:
    ldr     r5, [r2], #4
    rbit    r5, r5
    cbz     r5, .Llist_next
0:  clz     r6, r5
    lsr     r7, lr, r6
    add     r6, r6, r4
    strh    r6, [r0], #2
    bics    r5, r5, r7
    bne     0b
    cmp     r0, r1
    bhs     .Lfull
.Llist_next:
    add     r4, r4, #32
.Lcheck:
    cmp     r4, r12
    blo     .Llist_word
    str     r4, [r3]
    pop     {r4-r7, pc}
.Lfull:
    add     r4, r4, #32
    str     r4, [r3]
    pop     {r4-r7, pc}
END edge_arm_list_words
#endif
