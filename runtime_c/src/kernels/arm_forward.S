// Rows of weights into membranes, and thresholds, for Thumb-2 cores: docs/decisions/0010-arm-kernels.md.
// SPDX-License-Identifier: Apache-2.0
#include "arm.h"

#ifdef EDGE_ARM_THUMB2
    .syntax unified
    .thumb

#ifndef EDGE_ARM_HELIUM
// Frame, from sp: the list's addresses of weights, less 4 (64, then a sentinel that carries when an offset + 4 is added),
#define U 264       // membranes - 16
#define REST 268    // outputs in tiles of 16, + 4
#define OUTPUTS 272
#define ENTRY 276   // where the spikes after the first begin
#define BIAS 280        // 128 times the spikes
#define OFFSET 284
#define FRAME 292
#define N_ARGUMENT (FRAME + 36)
#define LEAK_ARGUMENT (FRAME + 40)

#ifdef EDGE_ARM_DSP
#define ROW 22          // halfwords of add_sixteen
#define TURN 8          // rows in a turn of the loop

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

.macro add_lanes even, odd
    sxtah   r8, r8, \even
    sxtah   r9, r9, \odd
    add     r10, r10, \even, asr #16
    add     r11, r11, \odd, asr #16
.endm

#else
#define ROW 38
#define TURN 4

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

.macro leaked u
    rsb     \u, r12, \u, asr #1     // 128 times the spikes
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

// Four membranes at lr: leaked, plus the sums.
.macro widen even, odd
    ldm     lr, {r8-r11}
    leaked  r8
    leaked  r9
    leaked  r10
    leaked  r11
    add_lanes \even, \odd
    stm     lr!, {r8-r11}
.endm

// The address of the next row at the offset in r12.
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
// A tile of 16 outputs in eight registers of two 16-bit lanes: 64 * 128 fits. Membranes that do not leak are doubled first: they
// stay below 2^30.
FUNCTION edge_arm_add_rows
    push    {r4-r11, lr}
    sub     sp, sp, #FRAME
    ldrd    r4, r5, [sp, #N_ARGUMENT]
    cbnz    r5, .Lleaks
    cmp     r4, #0
    beq     .Ldone
    mov     r12, r2
0:  ldm     r0, {r5-r8}
    lsl     r5, r5, #1
    lsl     r6, r6, #1
    lsl     r7, r7, #1
    lsl     r8, r8, #1
    stm     r0!, {r5-r8}
    subs    r12, r12, #4
    bne     0b
    sub     r0, r0, r2, lsl #2
.Lleaks:
    cmp     r4, #0
    beq     .Lleak_only
    sub     r0, r0, #16
    str     r0, [sp, #U]
    str     r2, [sp, #OUTPUTS]
    bic     r12, r2, #15
    add     r12, r12, #4
    str     r12, [sp, #REST]
#ifndef EDGE_ARM_DSP
    lsl     r7, r4, #7
    str     r7, [sp, #BIAS]
#endif

    // Four lines at a time become addresses: some too many, the first of them overwritten.
    sub     r1, r1, #4
    mov     r7, sp
    mov     r6, r4
0:  ldrh    r8, [r3], #2
    ldrh    r9, [r3], #2
    mla     r8, r8, r2, r1
    mla     r9, r9, r2, r1
    ldrh    r10, [r3], #2
    ldrh    r11, [r3], #2
    mla     r10, r10, r2, r1
    mla     r11, r11, r2, r1
    stm     r7!, {r8-r11}
    subs    r6, r6, #4
    bhi     0b
    mvn     r9, #0
    str     r9, [sp, r4, lsl #2]

    // The spikes after the first enter the loop where the last will end it.
    rsbs    r8, r4, #1
    and     r9, r8, #TURN - 1
    mov     r10, #ROW
    mul     r9, r9, r10
    it      eq
    moveq   r9, #TURN * ROW + 2     // past the loop and its branch
    adr     r7, .Lturn
    add     r7, r7, r9, lsl #1
    orr     r7, r7, #1
    str     r7, [sp, #ENTRY]

    subs    r12, r12, #16
    blo     .Lrest
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
    .balign 4
.Lturn:
    .rept   TURN
    add_sixteen
    .endr
    bcc.w   .Lturn
    ldr     lr, [sp, #U]
    add     lr, lr, r12, lsl #2
#ifndef EDGE_ARM_DSP
    mov     r8, r12
    ldr     r12, [sp, #BIAS]
    str     r8, [sp, #OFFSET]
#endif
    widen   r0, r1
    widen   r2, r3
    widen   r4, r5
    widen   r6, r7
#ifndef EDGE_ARM_DSP
    ldr     r12, [sp, #OFFSET]
#endif
    subs    r12, r12, #16
    bhs     .Ltile

.Lrest:
    ldrd    r12, r0, [sp, #REST]
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
1:  ldr     lr, [sp, #U]
    add     lr, lr, r12, lsl #2
    add     r1, r12, #8
#ifndef EDGE_ARM_DSP
    ldr     r12, [sp, #BIAS]
#endif
    widen   r2, r3
    widen   r4, r5
    mov     r12, r1
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
    add     lr, lr, r12, lsl #2
#ifndef EDGE_ARM_DSP
    ldr     r12, [sp, #BIAS]
#endif
    widen   r2, r3
.Ldone:
    add     sp, sp, #FRAME
    pop     {r4-r11, pc}

.Lleak_only:
    ldm     r0, {r4-r7}
    asr     r4, r4, #1
    asr     r5, r5, #1
    asr     r6, r6, #1
    asr     r7, r7, #1
    stm     r0!, {r4-r7}
    subs    r2, r2, #4
    bne     .Lleak_only
    b       .Ldone
END edge_arm_add_rows

// Of four neurons: r4 to r7 are u, r8 to r11 u - floor((threshold + 255) / 256), the threshold not held at 0.
.macro differences
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
.endm

// uint32_t edge_arm_fire(const int32_t *u, const uint16_t *last, int32_t alpha, int32_t theta, uint32_t n)
//
// The neurons that fire, as bits; n 4 .. 32, a multiple of 4. alpha < 2^15 with DSP. theta + alpha * last: a threshold (not yet
// held at 0) + 255. Most fours have none that fires: then every u - floor((threshold + 255) / 256) is negative.
FUNCTION edge_arm_fire
    push    {r4-r11, lr}
    ldr     lr, [sp, #36]
    mov     r12, #0
.Lsilent:
    differences
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

// Frame of edge_arm_fire_words, from sp.
#define BIT 0
#define GATES_AHEAD 4   // of the history
#define FIRST 8         // membrane + 16
#define BYTES 12
#define STEP 16
#define HISTORY 20
#define WIDTH 24
#define ALPHA 28        // then theta
#define WORDS 36        // that are left; then where they go
#define NOWHERE 44
#define FIRE_FRAME 52

// One that fires if its difference is not negative. r2 to r6: bit, gates less history, history of the four, bytes, step.
.macro restart number, difference
    cmp     \difference, #0
    blt     2f
    ldr     r7, [sp, #WIDTH]
    orr     r12, r12, #1 << \number
    cmp     \difference, r7
.if \number == 0
    mov     r7, r4
.elseif \number == 1
    add     r7, r4, r5
.else
    add     r7, r4, r5, lsl #1
.if \number == 3
    add     r7, r7, r5
.endif
.endif
    ldrb    \difference, [r7]
    orr     \difference, \difference, r2
    strb    \difference, [r7]
    bge     1f
    ldrb    \difference, [r7, r3]
    orr     \difference, \difference, r2
    strb    \difference, [r7, r3]
1:  mov     r7, #0
    str     r7, [r0, #4 * \number - 16]
    strh    r6, [r1, #2 * \number - 8]
2:
.endm

// void edge_arm_fire_words(const edge_firing_t *f, uint32_t words, uint8_t *spikes, int32_t theta)
//
// Fires and restarts 32 neurons a word. theta >= 0, as edge_arm_fire has it: no threshold is held at 0. alpha < 2^15 with DSP.
FUNCTION edge_arm_fire_words
    push    {r4-r11, lr}
    sub     sp, sp, #FIRE_FRAME
    strd    r1, r2, [sp, #WORDS]
    ldr     r1, [r0, #FIRING_THRESHOLD]
    ldr     r2, [r1, #THRESHOLD_ALPHA]
    strd    r2, r3, [sp, #ALPHA]
    ldrd    r4, r5, [r0, #FIRING_HISTORY]   // and gates
    ldr     r6, [r0, #FIRING_BYTES]
    ldrb    r7, [r0, #FIRING_BIT]
    ldr     r8, [r0, #FIRING_GATE_WIDTH]
    ldr     r9, [r0, #FIRING_T]
    ldrd    r0, r1, [r0]
    cbnz    r4, 0f
    add     r4, sp, #NOWHERE
    mov     r6, #0
0:  cbnz    r5, 1f
    mov     r5, r4
    mov     r8, #0
1:  sub     r5, r5, r4
    add     r10, r0, #16
    strd    r7, r5, [sp, #BIT]
    strd    r10, r6, [sp, #FIRST]
    strd    r9, r4, [sp, #STEP]
    str     r8, [sp, #WIDTH]
.Lword:
    mov     r12, #0
    mov     lr, #32
.Lfour_silent:
    differences
    and     r4, r8, r9
    and     r4, r4, r10
    ands    r4, r4, r11
    bpl     .Lrestart
.Lfour_done:
    subs    lr, lr, #4
    bne     .Lfour_silent
    ldrd    r4, r5, [sp, #WORDS]
    str     r12, [r5], #4
    subs    r4, r4, #1
    strd    r4, r5, [sp, #WORDS]
    bne     .Lword
    add     sp, sp, #FIRE_FRAME
    pop     {r4-r11, pc}
.Lrestart:
    ldm     sp, {r2-r7}
    sub     r4, r0, r4
    mul     r4, r4, r5
    add     r4, r7, r4, lsr #2
    rsb     r7, lr, #32
    ror     r12, r12, r7
    restart 0, r8
    restart 1, r9
    restart 2, r10
    restart 3, r11
    ror     r12, r12, lr
    ldrd    r2, r3, [sp, #ALPHA]
    b       .Lfour_done
END edge_arm_fire_words
#endif

// uint16_t *edge_arm_list_words(uint16_t *list, const uint16_t *full, const uint8_t *spikes, uint32_t *line, uint32_t end)
//
// Lists the spikes of whole words from *line on until `end` or until `full` is reached. Returns the list's end.
FUNCTION edge_arm_list_words
    push    {r4-r8, lr}
    ldr     r12, [sp, #24]
    add     r8, r2, #4
    ldr     r4, [r3]
    add     r12, r2, r12, lsr #3
    add     r2, r2, r4, lsr #3
    mov     lr, #0x80000000
    b       .Lcheck
.Llist_word:
    ldr     r5, [r2], #4
    cbz     r5, .Lcheck
    rbit    r5, r5
    sub     r4, r2, r8
0:  clz     r6, r5
    lsr     r7, lr, r6
    add     r6, r6, r4, lsl #3
    strh    r6, [r0], #2
    bics    r5, r5, r7
    bne     0b
    cmp     r0, r1
    bhs     .Lfull
.Lcheck:
    cmp     r2, r12
    blo     .Llist_word
.Lfull:
    sub     r2, r2, r8
    add     r2, r2, #4
    lsl     r2, r2, #3
    str     r2, [r3]
    pop     {r4-r8, pc}
END edge_arm_list_words
#endif
