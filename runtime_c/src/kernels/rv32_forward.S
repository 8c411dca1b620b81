// Rows of weights into membranes, and thresholds, for RV32IM: docs/decisions/0014-small-cores.md.
// SPDX-License-Identifier: Apache-2.0
#include "rv32.h"

#ifdef EDGE_RV32

.macro FUNCTION name
    .section .text.\name, "ax", @progbits
    .globl  \name
    .type   \name, @function
    .balign 4
\name:
.endm

.macro END name
    .size   \name, . - \name
.endm

// Frame, from sp: the list's offsets (64), then saved registers.
#define SAVED 256
#define FRAME 320

// even, odd += the four weights at an offset from t0, seen as b = w + 128 so that no lane borrows. t5: the signs, t6: every other
// byte.
.macro add_word even, odd, at
    lw      t1, \at(t0)
    xor     t1, t1, t5
    srli    t2, t1, 8
    add     \odd, \odd, t2
    and     t1, t1, t6
    add     \even, \even, t1
.endm

.macro add_32
    add_word s0, s1, 0
    add_word s2, s3, 4
    add_word s4, s5, 8
    add_word s6, s7, 12
    add_word s8, s9, 16
    add_word s10, s11, 20
    add_word a2, a3, 24
    add_word a4, a5, 28
.endm

// One membrane, halved ra times, plus its sum.
.macro add_to at, sum
    lw      t2, \at(a0)
    sra     t2, t2, ra
    add     t2, t2, \sum
    sw      t2, \at(a0)
.endm

// Four membranes at an offset from a0. What sums started at has taken 128 from each weight.
.macro widen even, odd, at
    slli    t0, \even, 16
    srai    t0, t0, 16
    sub     \even, \even, t0
    srai    \even, \even, 16
    add_to  \at, t0
    add_to  \at + 8, \even
    slli    t0, \even, 8
    sub     \odd, \odd, t0
    slli    t0, \odd, 16
    srai    t0, t0, 16
    sub     \odd, \odd, t0
    srai    \odd, \odd, 16
    add_to  \at + 4, t0
    add_to  \at + 12, \odd
.endm

// void edge_rv32_add_rows(int32_t *u, const uint8_t *w, uint32_t m4, const uint16_t *list, uint32_t n, uint32_t leak)
//
// A tile of 32 outputs in sixteen registers of two 16-bit lanes: 64 * 255 fits.
FUNCTION edge_rv32_add_rows
    addi    sp, sp, -FRAME
    sw      ra, SAVED(sp)
    sw      s0, SAVED + 4(sp)
    sw      s1, SAVED + 8(sp)
    sw      s2, SAVED + 12(sp)
    sw      s3, SAVED + 16(sp)
    sw      s4, SAVED + 20(sp)
    sw      s5, SAVED + 24(sp)
    sw      s6, SAVED + 28(sp)
    sw      s7, SAVED + 32(sp)
    sw      s8, SAVED + 36(sp)
    sw      s9, SAVED + 40(sp)
    sw      s10, SAVED + 44(sp)
    sw      s11, SAVED + 48(sp)
    mv      ra, a5
    beqz    a4, .Lleak_only

    mv      t3, sp
    slli    t4, a4, 2
    add     t4, t4, sp
0:  lhu     t0, 0(a3)
    addi    a3, a3, 2
    mul     t0, t0, a2
    sw      t0, 0(t3)
    addi    t3, t3, 4
    bne     t3, t4, 0b

    // -128 times the spikes in each lane: of bytes 0 and 2, and of bytes 1, 2 and 3.
    slli    t0, a4, 7
    neg     t0, t0
    slli    a6, t0, 16
    add     a6, a6, t0
    slli    t0, t0, 8
    add     a7, a6, t0
    li      t5, 0x80808080
    li      t6, 0x00FF00FF
    sw      a2, SAVED + 52(sp)  // outputs left
    andi    a4, a4, 1
    sw      a4, SAVED + 56(sp)
    addi    a2, a2, -32
    bltz    a2, .Lrest
.Ltile:
    sw      a2, SAVED + 52(sp)
    lw      t0, SAVED + 56(sp)
    mv      t3, sp
    mv      s0, a6
    mv      s1, a7
    mv      s2, a6
    mv      s3, a7
    mv      s4, a6
    mv      s5, a7
    mv      s6, a6
    mv      s7, a7
    mv      s8, a6
    mv      s9, a7
    mv      s10, a6
    mv      s11, a7
    mv      a2, a6
    mv      a3, a7
    mv      a4, a6
    mv      a5, a7
    beqz    t0, .Ltwo
    addi    t3, t3, -4
    j       .Lone
.Ltwo:
    lw      t0, 0(t3)
    add     t0, t0, a1
    add_32
.Lone:
    lw      t0, 4(t3)
    addi    t3, t3, 8
    add     t0, t0, a1
    add_32
    bne     t3, t4, .Ltwo
    widen   s0, s1, 0
    widen   s2, s3, 16
    widen   s4, s5, 32
    widen   s6, s7, 48
    widen   s8, s9, 64
    widen   s10, s11, 80
    widen   a2, a3, 96
    widen   a4, a5, 112
    addi    a0, a0, 128
    addi    a1, a1, 32
    lw      a2, SAVED + 52(sp)
    addi    a2, a2, -32
    bgez    a2, .Ltile
.Lrest:
    addi    a2, a2, 32
    beqz    a2, .Ldone
.Lrest_of_four:
    mv      t3, sp
    mv      s0, a6
    mv      s1, a7
0:  lw      t0, 0(t3)
    addi    t3, t3, 4
    add     t0, t0, a1
    add_word s0, s1, 0
    bne     t3, t4, 0b
    widen   s0, s1, 0
    addi    a0, a0, 16
    addi    a1, a1, 4
    addi    a2, a2, -4
    bnez    a2, .Lrest_of_four
.Ldone:
    lw      ra, SAVED(sp)
    lw      s0, SAVED + 4(sp)
    lw      s1, SAVED + 8(sp)
    lw      s2, SAVED + 12(sp)
    lw      s3, SAVED + 16(sp)
    lw      s4, SAVED + 20(sp)
    lw      s5, SAVED + 24(sp)
    lw      s6, SAVED + 28(sp)
    lw      s7, SAVED + 32(sp)
    lw      s8, SAVED + 36(sp)
    lw      s9, SAVED + 40(sp)
    lw      s10, SAVED + 44(sp)
    lw      s11, SAVED + 48(sp)
    addi    sp, sp, FRAME
    ret

.Lleak_only:
    beqz    ra, .Ldone
0:  lw      t0, 0(a0)
    lw      t1, 4(a0)
    lw      t2, 8(a0)
    lw      t3, 12(a0)
    srai    t0, t0, 1
    srai    t1, t1, 1
    srai    t2, t2, 1
    srai    t3, t3, 1
    sw      t0, 0(a0)
    sw      t1, 4(a0)
    sw      t2, 8(a0)
    sw      t3, 12(a0)
    addi    a0, a0, 16
    addi    a2, a2, -4
    bnez    a2, 0b
    j       .Ldone
END edge_rv32_add_rows

// Whether u is below the threshold, or negative: a bit into a5.
.macro silent at
    lhu     t0, 2 * \at(a1)
    lw      t1, 4 * \at(a0)
    mul     t0, t0, a2
    add     t0, t0, a3
    srai    t0, t0, 8
    sub     t0, t1, t0
    or      t0, t0, t1
    srli    t0, t0, 31
    slli    a5, a5, 1
    or      a5, a5, t0
.endm

// uint32_t edge_rv32_fire(const int32_t *u, const uint16_t *last, int32_t alpha, int32_t theta, uint32_t n)
//
// The neurons that fire, as bits; n 4 .. 32, a multiple of 4. theta + alpha * last: a threshold (not yet held at 0) + 255.
FUNCTION edge_rv32_fire
    mv      t3, a0
    slli    t0, a4, 2
    add     a0, a0, t0
    slli    t0, a4, 1
    add     a1, a1, t0
    li      a5, -1
0:  addi    a0, a0, -16
    addi    a1, a1, -8
    silent  3
    silent  2
    silent  1
    silent  0
    bne     a0, t3, 0b
    not     a0, a5
    ret
END edge_rv32_fire
#endif
