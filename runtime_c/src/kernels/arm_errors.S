// Errors of hidden neurons below a linear readout, for Thumb-2 cores: docs/decisions/0010-arm-kernels.md.
// SPDX-License-Identifier: Apache-2.0
#include "arm.h"

#if defined(EDGE_ARM_THUMB2) && !defined(EDGE_NO_LEARN)
    .syntax unified
    .thumb

// Frame, from sp: edge_arm_errors_t of arm.c, then what is of one neuron.
#define ROW 0           // of history; then that of gates, and bytes of both
#define WEIGHTS 28      // then m4
#define SCORES 36
#define EPS 40          // the first step's
#define NEURON 44       // then their number
#define LARGEST 52
#define STRIDE 56       // bytes from step to step
#define DOWN_HALF 60    // then the shift
#define ERROR_LIMIT 68
#define SCALE 72        // of a later error: 2, or 0 where nothing is reset; then 1 for a linear surrogate
#define RATE_LEFT 80    // then half, right and the limit
#define RATE_RIGHT 88
#define MULT 96
#define THETA 100       // theta0 + alpha; then alpha
#define HALF 108        // of the reset's shift, 64 bits
#define SHIFT 116
#define CURSOR 120
#define GATES 124
#define GIVEN 128
#define LOW 128         // history's first steps until they have their turn, and gates'
#define COMES_DOWN 136  // d
#define LATER 140       // what a later error would be were nothing reset
#define LATER_STEP 144
#define UNIT 148        // with sign, were nothing reset; then its steps until it is 0, at most 8
#define WAY 156         // how that is spread; then bytes a step
#define WAYS 164        // of this neuron's lane
#define PLAIN 168       // UNIT, if some step has it; then the largest magnitude of others
#define SPIKING 176     // 64 bits, the last neuron on top
#define FRAME 184

// magnitude, sign (0 or -1) <- x
.macro split magnitude, sign, x
    asr     \sign, \x, #31
    eor     \magnitude, \x, \sign
    sub     \magnitude, \magnitude, \sign
.endm

.macro join x, magnitude, sign
    eor     \x, \magnitude, \sign
    sub     \x, \x, \sign
.endm

.macro at_most x, limit
    cmp     \x, \limit
    it      hi
    movhi   \x, \limit
.endm

// Steps until a magnitude is 0, at most 8.
.macro lasting steps, magnitude
    clz     \steps, \magnitude
    rsb     \steps, \steps, #32
    at_most \steps, #8
.endm

// On to the spike before: r12 becomes its distance. r1: spikes before this one, the step before on top; r3: gates, this
// spike's on top.
.macro step_back
    clz     r12, r1
    add     r12, r12, #1
    lsl     r1, r1, r12
    lsl     r3, r3, r12
.endm

// lr: where the code that ends at `way` writes r12 steps.
.macro enter way, size
#ifdef EDGE_LANES
    sub     lr, \way, r12, lsl #3
#else
    mls     lr, r12, \size, \way
#endif
.endm

// r6 to r7, and one step back; r5 bytes from step to step. The words were zero, and low lanes come first.
.macro write width
#ifdef EDGE_LANES
    strh\width r6, [r7]
#else
    str     r6, [r7]
#endif
    subs    r7, r7, r5
.endm

.macro write_high
    ldrh    r0, [r7, #2]
    adds    r0, r0, r6
    strh    r0, [r7, #2]
    subs    r7, r7, r5
.endm

// r6 += r1 8-bit weights at r0 times as many int16 at r2; r1 is not 0, and a multiple of four but with Helium.
.macro products
#if defined(EDGE_ARM_HELIUM)
    dlstp.16 lr, r1
0:  vldrb.s16 q0, [r0], #8
    vldrh.u16 q1, [r2], #16
    vmlava.s16 r6, q0, q1
    letp    lr, 0b
#elif defined(EDGE_ARM_DSP)
0:  ldr     r4, [r0], #4
    ldr     r5, [r2], #4
    ldr     r12, [r2], #4
    sxtb16  r7, r4
    sxtb16  r4, r4, ror #8
    smlabb  r6, r7, r5, r6
    smlabt  r6, r4, r5, r6
    smlatb  r6, r7, r12, r6
    smlatt  r6, r4, r12, r6
    subs    r1, r1, #4
    bne     0b
#else
0:  ldrsb   r4, [r0], #1
    ldrsh   r5, [r2], #2
    mla     r6, r4, r5, r6
    ldrsb   r4, [r0], #1
    ldrsh   r5, [r2], #2
    mla     r6, r4, r5, r6
    ldrsb   r4, [r0], #1
    ldrsh   r5, [r2], #2
    mla     r6, r4, r5, r6
    ldrsb   r4, [r0], #1
    ldrsh   r5, [r2], #2
    mla     r6, r4, r5, r6
    subs    r1, r1, #4
    bne     0b
#endif
.endm

// void edge_arm_errors(const edge_arm_errors_t *e, uint64_t *spiking)
FUNCTION edge_arm_errors
    push    {r1, r4-r11, lr}
    sub     sp, sp, #FRAME
    mov     r12, sp
    mov     lr, #GIVEN / 32
0:  ldm     r0!, {r4-r11}
    stm     r12!, {r4-r11}
    subs    lr, lr, #1
    bne     0b
    mov     r4, #0
    strd    r4, r4, [sp, #SPIKING]

.Lneuron:
    ldm     sp, {r0-r6}
    add     r8, r0, r2
    add     r9, r1, r2
    strd    r8, r9, [sp, #ROW]
    ldr     r8, [r0, r3]
    ldr     r10, [r1, r3]
    ldr     r9, [r0, r5]
    ldr     r11, [r1, r5]
    lsr     r8, r8, r4
    lsr     r10, r10, r4
    lsr     r9, r9, r6
    lsr     r11, r11, r6
    ldrd    r0, r1, [sp, #WEIGHTS]
    ldrd    r2, r3, [sp, #SPIKING]
    add     r4, r0, r1
    str     r4, [sp, #WEIGHTS]
    mov     r4, #0
    strd    r4, r4, [sp, #PLAIN]
    lsrs    r3, r3, #1
    rrx     r2, r2
    orrs    r5, r8, r9
    beq     .Lsilent
    orr     r3, r3, #0x80000000
    strd    r2, r3, [sp, #SPIKING]
    and     r4, r8, r10
    and     r5, r9, r11
    orrs    r4, r4, r5
    beq     .Lneuron_done       // every gate is shut

    // r6: the readout's errors through this neuron's weights.
    ldr     r2, [sp, #SCORES]
    mov     r6, #0
    products
    split   r3, r12, r6
    ldrd    r4, r5, [sp, #DOWN_HALF]
    add     r3, r3, r4
    lsr     r3, r3, r5
    usat    r3, #15, r3
    join    r4, r3, r12
    str     r4, [sp, #COMES_DOWN]

    // The error and its unit where nothing is reset.
    ldr     r4, [sp, #ERROR_LIMIT]
    at_most r3, r4
    join    r4, r3, r12
    ldrd    r5, r2, [sp, #SCALE]
    mla     r4, r4, r5, r2
    str     r4, [sp, #LATER]
    add     r4, sp, #RATE_LEFT
    ldm     r4, {r4-r7}
    lsl     r3, r3, r4
    add     r3, r3, r5
    lsr     r3, r3, r6
    at_most r3, r7
    lasting r5, r3
    join    r4, r3, r12
    strd    r4, r5, [sp, #UNIT]

    // Outputs 4 g and 4 g + 2 share a word, 4 g + 1 and 4 g + 3 the next.
    ldr     r0, [sp, #NEURON]
    ldr     r4, [sp, #EPS]
    bic     r5, r0, #3
    add     r4, r4, r5, lsl #1
    and     r5, r0, #1
    add     r4, r4, r5, lsl #2
    adr     r6, .Lways
#ifdef EDGE_LANES
    and     r5, r0, #2
    add     r4, r4, r5
    and     r12, r12, #4
    ldr     r5, [r6, r12]
    str     r5, [sp, #WAY]
#else
    and     r5, r0, #2
    add     r6, r6, r5, lsl #3
    str     r6, [sp, #WAYS]
    and     r12, r12, #8
    add     r6, r6, r12
    ldrd    r5, r6, [r6]
    strd    r5, r6, [sp, #WAY]
#endif

    // r10: the step, from the last spike's on.
    movs    r1, r9
    mov     r3, r11
    mov     r5, #63
    itttt   eq
    moveq   r1, r8
    moveq   r3, r10
    moveq   r5, #31
    moveq   r8, #0
    strd    r8, r10, [sp, #LOW]
    clz     r12, r1
    sub     r10, r5, r12
    lsl     r3, r3, r12
    lsl     r1, r1, r12
    lsl     r1, r1, #1
    ldrd    r8, r9, [sp, #UNIT]
    ldr     r11, [sp, #WAY]
    ldr     r5, [sp, #STRIDE]

.Lspike:
    cmp     r3, #0
    bge     .Lshut
    cbz     r1, .Lopen_word
    step_back
.Lopen:
    cbnz    r2, .Lreset
    ldr     r2, [sp, #LATER]
    str     r10, [sp, #LATER_STEP]
    mla     r7, r10, r5, r4
    sub     r10, r10, r12
    at_most r12, r9
    str     r8, [sp, #PLAIN]
    mov     r6, r8
#ifndef EDGE_LANES
    ldr     lr, [sp, #WAY + 4]
#endif
    enter   r11, lr
    bx      lr
.Lreset:
    b       .Lgeneral
.Lopen_word:
    bl      .Lfirst_word
    b       .Lopen
.Lshut:
    mov     r2, #0
    cbz     r1, .Lshut_word
    step_back
.Lshut_next:
    subs    r10, r10, r12
    bpl     .Lspike
    b       .Lneuron_done
.Lshut_word:
    bl      .Lfirst_word
    b       .Lshut_next

.Lspread:
    cmp     r10, #0
    bge     .Lspike
.Lneuron_done:
    ldrd    r0, r1, [sp, #PLAIN]
    cmp     r0, #0
    it      lt
    rsblt   r0, r0, #0
    cmp     r0, r1
    it      lo
    movlo   r0, r1
    ldr     r2, [sp, #LARGEST]
    b       .Lkeep
.Lsilent:
    strd    r2, r3, [sp, #SPIKING]
    ldr     r2, [sp, #LARGEST]
    mov     r0, #0
.Lkeep:
    str     r0, [r2], #4
    str     r2, [sp, #LARGEST]
    ldrd    r0, r1, [sp, #NEURON]
    add     r0, r0, #1
    str     r0, [sp, #NEURON]
    cmp     r0, r1
    bne     .Lneuron

    ldrd    r2, r3, [sp, #SPIKING]
    rsb     r1, r1, #64
    ldr     r0, [sp, #FRAME]
0:  cbz     r1, 1f
    lsrs    r3, r3, #1
    rrx     r2, r2
    subs    r1, r1, #1
    b       0b
1:  strd    r2, r3, [r0]
    add     sp, sp, #FRAME
    pop     {r1, r4-r11, pc}

// step_back where a word has no more spikes.
.Lfirst_word:
    ldrd    r1, r0, [sp, #LOW]
    add     r12, r10, #1
    cbz     r1, 0f
    mov     r12, #0
    str     r12, [sp, #LOW]
    clz     r12, r1
    lsl     r3, r0, r12
    lsl     r1, r1, r12
    lsl     r1, r1, #1
    add     r12, r12, r10
    sub     r12, r12, #31
0:  bx      lr

// A spike whose error is not that of its neuron alone: a later one's reset, or a linear surrogate.
.Lgeneral:
    ldr     r6, [sp, #COMES_DOWN]
    asrs    r7, r2, #1
    beq     .Lno_reset
    ldr     r8, [sp, #LATER_STEP]
    mvn     r0, r10
    add     r8, r8, r0          // steps between
    cmp     r8, #7
    bhi     .Lno_reset
    split   r0, r9, r7
    lsrs    r0, r0, r8
    beq     .Lno_reset
    ldr     r8, [sp, #MULT]
    mul     r0, r0, r8          // < 2^31
    ldrd    r8, r9, [sp, #THETA]
    mls     r8, r12, r9, r8
    bic     r8, r8, r8, asr #31
    umull   r8, r9, r8, r0      // < 2^62
    ldrd    r11, lr, [sp, #HALF]
    adds    r8, r8, r11
    adc     r9, r9, lr
    // Shifts by 32 and more, and by less than 0, give 0.
    ldr     r0, [sp, #SHIFT]
    lsr     r8, r8, r0
    rsb     r11, r0, #32
    lsl     r11, r9, r11
    orr     r8, r8, r11
    sub     r11, r0, #32
    lsr     r11, r9, r11
    orr     r8, r8, r11
    lsr     r9, r9, r0
    orrs    r9, r9, r8, lsr #16
    it      ne
    movwne  r8, #65535          // saturates anyway
    cmp     r7, #0
    ite     lt
    addlt   r6, r6, r8
    subge   r6, r6, r8
.Lno_reset:
    split   r6, r8, r6
    usat    r6, #15, r6
    ldr     r7, [sp, #CURSOR]
    cbz     r7, 0f
    ldr     r9, [r7, r10, lsl #2]
    ldr     r11, [sp, #GATES]
    ldrb    r11, [r11, r9]
    add     r9, r9, #1
    str     r9, [r7, r10, lsl #2]
    add     r11, r11, r11, lsr #7
    mul     r6, r6, r11
    add     r6, r6, #128
    lsr     r6, r6, #8
0:  ldr     r9, [sp, #ERROR_LIMIT]
    at_most r6, r9
    join    r2, r6, r8
    ldrd    r9, r11, [sp, #SCALE]
    mla     r2, r2, r9, r11
    str     r10, [sp, #LATER_STEP]
    mla     r7, r10, r5, r4
    sub     r10, r10, r12
    ldrd    r9, r11, [sp, #RATE_LEFT]
    lsl     r6, r6, r9
    add     r6, r6, r11
    ldrd    r9, r11, [sp, #RATE_RIGHT]
    lsr     r6, r6, r9
    at_most r6, r11
    ldr     r9, [sp, #PLAIN + 4]
    cmp     r6, r9
    it      hi
    strhi   r6, [sp, #PLAIN + 4]
    lasting r9, r6
    at_most r12, r9
    join    r6, r6, r8
#ifdef EDGE_LANES
    adr     lr, .Lways
    and     r8, r8, #4
    ldr     lr, [lr, r8]
#else
    ldr     r0, [sp, #WAYS]
    and     r8, r8, #8
    add     r0, r0, r8
    ldrd    lr, r0, [r0]
#endif
    enter   lr, r0
    ldrd    r8, r9, [sp, #UNIT]
    ldr     r11, [sp, #WAY]
    bx      lr

// A number and its halves, towards 0, into eight steps back at most: entered where so many are left.
    .balign 4
    .rept   8
    write   .w
    lsrs    r6, r6, #1
    .endr
.Lpositive:
    b       .Lspread
    .balign 4
    .rept   8
    write   .n
    adds    r6, r6, #1
    asrs    r6, r6, #1
    .endr
.Lnegative:
    b       .Lspread
#ifndef EDGE_LANES
    .rept   8
    write_high
    lsrs    r6, r6, #1
    .endr
.Lpositive_high:
    b       .Lspread
    .rept   8
    write_high
    adds    r6, r6, #1
    asrs    r6, r6, #1
    .endr
.Lnegative_high:
    b       .Lspread
#endif

    .balign 4
.Lways:
#ifdef EDGE_LANES
    .word   .Lpositive + 1, .Lnegative + 1
#else
    .word   .Lpositive + 1, 6, .Lnegative + 1, 8, .Lpositive_high + 1, 10, .Lnegative_high + 1, 12
#endif
END edge_arm_errors

// void edge_arm_add_eps(int32_t *sums, const int16_t *eps, uint32_t n)
//
// sums[i] += eps[i]; n is not 0, and a multiple of four but with Helium.
FUNCTION edge_arm_add_eps
#ifdef EDGE_ARM_HELIUM
    push    {r4, lr}
    dlstp.32 lr, r2
0:  vldrh.s32 q0, [r1], #8
    vldrw.u32 q1, [r0]
    vadd.i32 q1, q1, q0
    vstrw.32 q1, [r0], #16
    letp    lr, 0b
    pop     {r4, pc}
#else
    push    {r4-r7, lr}
0:  ldm     r0, {r3-r6}
#ifdef EDGE_ARM_DSP
    ldr     r7, [r1], #4
    ldr     r12, [r1], #4
    sxtah   r3, r3, r7
    add     r4, r4, r7, asr #16
    sxtah   r5, r5, r12
    add     r6, r6, r12, asr #16
#else
    ldrsh   r7, [r1], #2
    ldrsh   r12, [r1], #2
    add     r3, r3, r7
    add     r4, r4, r12
    ldrsh   r7, [r1], #2
    ldrsh   r12, [r1], #2
    add     r5, r5, r7
    add     r6, r6, r12
#endif
    stm     r0!, {r3-r6}
    subs    r2, r2, #4
    bne     0b
    pop     {r4-r7, pc}
#endif
END edge_arm_add_eps

// int32_t edge_arm_dot(const uint8_t *w, const int16_t *eps, uint32_t n)
//
// Of n as edge_arm_add_eps takes them.
FUNCTION edge_arm_dot
    push    {r4-r7, lr}
    mov     r6, #0
    mov     r3, r1
    mov     r1, r2
    mov     r2, r3
    products
    mov     r0, r6
    pop     {r4-r7, pc}
END edge_arm_dot
#endif
