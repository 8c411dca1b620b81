// Rows of weights into membranes, and thresholds, for cores with Helium (Cortex-M55, M85): docs/decisions/0010-arm-kernels.md.
// SPDX-License-Identifier: Apache-2.0
#include "arm.h"

#ifdef EDGE_ARM_HELIUM
    .syntax unified
    .thumb

// Frame, from sp: addresses of the list's weights (64), then eight sums.
#define SUMS 256
#define FRAME 272
#define N_ARGUMENT (FRAME + 100)
#define LEAK_ARGUMENT (FRAME + 104)

// Rows of 8 * \vectors weights of the spikes listed, at the offset in r1, as 16-bit lanes from q0 on: the first, up to three, then
// four at a time. r9: spikes after the first modulo 4; r8: fours of them.
.macro add_all vectors
    mov     r3, sp
    ldr     r6, [r3], #4
    add     r6, r6, r1
    .set    k, 0
    .rept   \vectors
    load    %k, r6
    .set    k, k + 1
    .endr
    wls     lr, r9, 2f
1:  ldr     r6, [r3], #4
    add     r6, r6, r1
    .set    k, 0
    .rept   \vectors
    add_one %k
    .set    k, k + 1
    .endr
    le      lr, 1b
2:  wls     lr, r8, 4f
3:  ldm     r3!, {r4-r7}
    add     r4, r4, r1
    add     r5, r5, r1
    add     r6, r6, r1
    add     r7, r7, r1
    .set    k, 0
    .rept   \vectors
    add_four %k
    .set    k, k + 1
    .endr
    le      lr, 3b
4:
.endm

    .altmacro
.macro load k, row
    vldrb.s16 q\k, [\row, #8 * \k]
.endm

.macro add_one k
    vldrb.s16 q6, [r6, #8 * \k]
    vadd.i16 q\k, q\k, q6
.endm

.macro add_four k
    vldrb.s16 q6, [r4, #8 * \k]
    vldrb.s16 q7, [r5, #8 * \k]
    vadd.i16 q\k, q\k, q6
    vldrb.s16 q6, [r6, #8 * \k]
    vadd.i16 q\k, q\k, q7
    vldrb.s16 q7, [r7, #8 * \k]
    vadd.i16 q\k, q\k, q6
    vadd.i16 q\k, q\k, q7
.endm

// Eight membranes at r0: half of u + twice the sum.
.macro widen sums, spare
    vld20.32 {q6, q7}, [r0]
    vld21.32 {q6, q7}, [r0]
    vshllb.s16 \spare, \sums, #1
    vshllt.s16 \sums, \sums, #1
    vhadd.s32 q6, q6, \spare
    vhadd.s32 q7, q7, \sums
    vst20.32 {q6, q7}, [r0]
    vst21.32 {q6, q7}, [r0]!
.endm

// void edge_arm_add_rows(int32_t *u, const uint8_t *w, uint32_t m4, const uint16_t *list, uint32_t n, uint32_t leak)
//
// 48 outputs at once in six registers of 16-bit lanes: 64 * 128 fits. Membranes that do not leak are doubled first: they stay
// below 2^30.
FUNCTION edge_arm_add_rows
    push    {r4-r11, lr}
    vpush   {d8-d15}
    sub     sp, sp, #FRAME
    ldrd    r4, r5, [sp, #N_ARGUMENT]
    lsr     r6, r2, #2
    cbnz    r5, .Lleaks
    cmp     r4, #0
    beq.w   .Ldone
    mov     r7, r0
    dls     lr, r6
0:  vldrw.u32 q0, [r7]
    vshl.i32 q0, q0, #1
    vstrw.32 q0, [r7], #16
    le      lr, 0b
.Lleaks:
    cbnz    r4, .Lspikes
    dls     lr, r6
0:  vldrw.u32 q0, [r0]
    vshr.s32 q0, q0, #1
    vstrw.32 q0, [r0], #16
    le      lr, 0b
    b       .Ldone
.Lspikes:
    mov     r7, sp
    add     r6, r4, #3
    lsr     r6, r6, #2
    dls     lr, r6
0:  vldrh.u32 q0, [r3], #8
    vmul.i32 q0, q0, r2
    vadd.i32 q0, q0, r1
    vstrw.32 q0, [r7], #16
    le      lr, 0b
    mov     r10, r4
    sub     r4, r4, #1
    and     r9, r4, #3
    lsr     r8, r4, #2
    mov     r1, #0
    subs    r2, r2, #48
    blo     .Lrest
.Ltile:
    add_all 6
    add     r3, sp, #SUMS
    vstrw.32 q5, [r3]
    widen   q0, q5
    widen   q1, q5
    widen   q2, q5
    widen   q3, q5
    vldrw.u32 q5, [r3]
    widen   q4, q0
    widen   q5, q0
    add     r1, r1, #48
    subs    r2, r2, #48
    bhs.w   .Ltile
.Lrest:
    adds    r2, r2, #48
    beq     .Ldone
    subs    r2, r2, #32
    blo     .Lrest_of_32
    add_all 4
    widen   q0, q4
    widen   q1, q4
    widen   q2, q4
    widen   q3, q4
    add     r1, r1, #32
.Lrest_of_32:
    and     r2, r2, #31

// Up to eight outputs at a time.
    cbz     r2, .Ldone
.Lrest_of_eight:
    vctp.16 r2
    mov     r3, sp
    vmov.i32 q0, #0
    dls     lr, r10
0:  ldr     r6, [r3], #4
    add     r6, r6, r1
    vpst
    vldrbt.s16 q1, [r6]
    vadd.i16 q0, q0, q1
    le      lr, 0b
    add     r3, sp, #SUMS
    vstrh.16 q0, [r3]
    add     r1, r1, #8
    add     r6, r3, #16
0:  vldrh.s32 q0, [r3], #8
    vshl.i32 q0, q0, #1
    vldrw.u32 q1, [r0]
    vhadd.s32 q1, q1, q0
    vstrw.32 q1, [r0], #16
    subs    r2, r2, #4
    beq     .Ldone
    cmp     r3, r6
    bne     0b
    b       .Lrest_of_eight
.Ldone:
    add     sp, sp, #FRAME
    vpop    {d8-d15}
    pop     {r4-r11, pc}
END edge_arm_add_rows

// uint32_t edge_arm_fire(const int32_t *u, const uint16_t *last, int32_t alpha, int32_t theta, uint32_t n)
//
// The neurons that fire, as bits; n 4 .. 32, a multiple of 4. theta + alpha * last: a threshold (not yet held at 0) + 255.
FUNCTION edge_arm_fire
    push    {r4, lr}
    ldr     r4, [sp, #8]
    vdup.32 q1, r2
    vmov.i32 q3, #0
    mov     r2, #0
    lsr     r12, r4, #2
    dls     lr, r12
0:  vldrh.u32 q2, [r1], #8
    vldrw.u32 q0, [r0], #16
    vmlas.u32 q2, q1, r3
    vshr.s32 q2, q2, #8
    vmax.s32 q2, q2, q3
    vcmp.s32 ge, q0, q2
    lsr     r2, r2, #4
    vmrs    r12, p0
    cmp     r12, #0
    bne     .Lfired
.Lnext:
    le      lr, 0b
    rsb     r4, r4, #32
    lsr     r0, r2, r4
    pop     {r4, pc}
.Lfired:    // four bits a neuron
    and     r12, r12, #0x11111111
    orr     r12, r12, r12, lsr #3
    orr     r12, r12, r12, lsr #6
    orr     r2, r2, r12, lsl #28
    b       .Lnext
END edge_arm_fire

// void edge_arm_fire_words(const edge_firing_t *f, uint32_t words, uint8_t *spikes, int32_t theta)
//
// Fires and restarts 32 neurons a word. theta >= 0, as edge_arm_fire has it: no threshold is held at 0.
FUNCTION edge_arm_fire_words
    push    {r4-r11, lr}
    vpush   {d8-d13}
    sub     sp, sp, #8
    ldr     r4, [r0, #FIRING_THRESHOLD]
    ldr     r4, [r4, #THRESHOLD_ALPHA]
    vdup.32 q1, r4
    vmov.i32 q3, #0
    ldr     r4, [r0, #FIRING_T]
    vdup.32 q4, r4
    ldrb    r4, [r0, #FIRING_BIT]
    vdup.32 q6, r4
    ldr     r10, [r0, #FIRING_GATE_WIDTH]
    ldr     r9, [r0, #FIRING_BYTES]
    ldrd    r6, r7, [r0, #FIRING_HISTORY]   // and gates
    cbnz    r6, 0f
    mov     r6, sp
    mov     r9, #0
0:  cbnz    r7, 1f
    mov     r7, r6
    mov     r10, #0
1:  mov     r4, #0
    vidup.u32 q5, r4, #1
    vmul.i32 q5, q5, r9     // histories of four neurons
    mov     r11, r1
    ldrd    r0, r1, [r0]
    add     r8, r0, #16
.Lword:
    mov     r5, #0
    mov     lr, #8
    dls     lr, lr
0:  vldrh.u32 q2, [r1], #8
    vldrw.u32 q0, [r0], #16
    vmlas.u32 q2, q1, r3
    vshr.s32 q2, q2, #8
    vcmp.s32 ge, q0, q2
    vmrs    r4, p0
    cbnz    r4, .Lrestart
.Lfour_done:
    le      lr, 0b
    str     r5, [r2], #4
    subs    r11, r11, #1
    bne     .Lword
    add     sp, sp, #8
    vpop    {d8-d13}
    pop     {r4-r11, pc}
.Lrestart:
    sub     r12, r0, r8
    mul     r12, r12, r9
    lsr     r12, r12, #2
    vsub.i32 q0, q0, q2
    add     r12, r12, r6
    vldrb.u32 q2, [r12, q5]
    vorr    q2, q2, q6
    vpstttt
    vstrbt.32 q2, [r12, q5]
    vstrwt.32 q3, [r0, #-16]
    vstrht.32 q4, [r1, #-8]
    vcmpt.s32 lt, q0, r10
    sub     r12, r12, r6
    add     r12, r12, r7
    vldrb.u32 q2, [r12, q5]
    vorr    q2, q2, q6
    vpst
    vstrbt.32 q2, [r12, q5]
    and     r4, r4, #0x11111111     // four bits a neuron
    orr     r4, r4, r4, lsr #3
    orr     r4, r4, r4, lsr #6
    and     r4, r4, #15
    rsb     r12, lr, #8
    lsl     r12, r12, #2
    lsl     r4, r4, r12
    orr     r5, r5, r4
    b       .Lfour_done
END edge_arm_fire_words
#endif
