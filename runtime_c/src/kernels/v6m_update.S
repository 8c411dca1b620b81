// The update of rows of a tile, for Armv6-M cores: docs/decisions/0014-small-cores.md.
// SPDX-License-Identifier: Apache-2.0
#include "arm.h"

#ifdef EDGE_ARM_V6M
    .syntax unified
    .thumb

// Fields of edge_v6m_rows_t.
#define HISTORY 0
#define HISTORY_END 4
#define HISTORY_BYTES 8
#define SEED 12
#define WEIGHTS 16
#define M4 20
#define EPS 24
#define STRIDE 28
#define FLAT 32
#define FEW 36
#define TESTS 40
#define MOVED 44
#define SPIKES 48
#define KEY 52          // of an edge_row_t
#define KEYS 56
#define KEYS_END 60

// The eps of the spikes in r1, the first step at r4, into the list at r0. r3: bytes from step to step, r6 and r7: as
// edge_lowest_bit.
.macro list_spikes
0:  rsbs    r5, r1, #0
    ands    r5, r1
    eors    r1, r5
    muls    r5, r6
    lsrs    r5, r5, #27
    ldrb    r5, [r7, r5]
    muls    r5, r3
    adds    r5, r5, r4
    stmia   r0!, {r5}
    cmp     r1, #0
    bne     0b
.endm

// Frame, from sp: an argument, the list of up to 64 spikes, then
#define LIST 4
#define ROWS 260
#define LIST_END 264
#define ROW_KEY 268
#define KEYS_LIMIT 272
#define KEPT 276
#define FRAME 284

// void edge_v6m_update_rows(edge_v6m_rows_t *rows)
//
// Rows of 4 to 8 bytes of history. r8: the end of the keys; r9: the signs; r11: -2 * (keys + 4), since two words of eps belong to
// one key.
FUNCTION edge_v6m_update_rows
    push    {r4-r7, lr}
    mov     r4, r8
    mov     r5, r9
    mov     r6, r10
    mov     r7, r11
    push    {r4-r7}
    sub     sp, sp, #FRAME
    str     r0, [sp, #ROWS]
    ldr     r1, [r0, #KEYS]
    lsls    r1, r1, #1
    rsbs    r1, r1, #0
    subs    r1, #8
    mov     r11, r1
    ldr     r1, [r0, #KEYS_END]
    mov     r8, r1
    ldr     r1, =0x80808080
    mov     r9, r1
.Lrow:
    ldr     r4, [sp, #ROWS]
    ldr     r2, [r4, #HISTORY]
    ldr     r0, [r4, #HISTORY_END]
    cmp     r2, r0
    bne     0f
    b       .Lend
0:  ldr     r3, [r4, #HISTORY_BYTES]
    adds    r3, r3, r2
    str     r3, [r4, #HISTORY]
    mov     r12, r3
    ldr     r5, [r4, #SEED]
    adds    r5, #2
    str     r5, [r4, #SEED]
    ldr     r5, [r4, #WEIGHTS]
    ldr     r6, [r4, #M4]
    adds    r5, r5, r6
    str     r5, [r4, #WEIGHTS]
    ldr     r3, [r4, #STRIDE]
    ldr     r4, [r4, #EPS]
    ldr     r6, =0x077CB531
    ldr     r7, =edge_bit_table
    add     r0, sp, #LIST
    ldrb    r1, [r2]
    ldrb    r5, [r2, #1]
    lsls    r5, r5, #8
    orrs    r1, r5
    ldrb    r5, [r2, #2]
    lsls    r5, r5, #16
    orrs    r1, r5
    ldrb    r5, [r2, #3]
    lsls    r5, r5, #24
    orrs    r1, r5
    beq     1f
    list_spikes
1:  lsls    r5, r3, #5
    adds    r4, r4, r5
    adds    r2, #4
    b       3f
.Lbyte:
    ldrb    r1, [r2]
    adds    r2, #1
    cmp     r1, #0
    beq     2f
    list_spikes
2:  lsls    r5, r3, #3
    adds    r4, r4, r5
3:  cmp     r2, r12
    bne     .Lbyte
    add     r1, sp, #LIST
    subs    r5, r0, r1
    beq     .Lrow
    ldr     r4, [sp, #ROWS]

    // The row's key, edge_hash(seed) | 1.
    ldr     r7, [r4, #SEED]
    subs    r7, #2
    lsrs    r6, r7, #16
    eors    r7, r6
    ldr     r6, =0x7feb352d
    muls    r7, r6
    lsrs    r6, r7, #15
    eors    r7, r6
    ldr     r6, =0x846ca68b
    muls    r7, r6
    lsrs    r6, r7, #16
    eors    r7, r6
    movs    r6, #1
    orrs    r7, r6
    ldr     r6, [r4, #SPIKES]
    adds    r6, r6, r5
    ldr     r2, [r4, #FLAT]
    cmp     r2, #0
    beq     4f
    subs    r6, r6, r5
    adds    r6, #4
4:  str     r6, [r4, #SPIKES]
    ldr     r2, [r4, #WEIGHTS]
    ldr     r3, [r4, #M4]
    subs    r2, r2, r3
    ldr     r6, [r4, #FEW]
    cmp     r5, r6
    bhi     .Levery_sum

    // Most pairs of groups have no random byte near an end: their sums are never made.
    mov     lr, r0
    str     r0, [sp, #LIST_END]
    str     r7, [sp, #ROW_KEY]
    lsls    r5, r5, #5
    ldr     r6, [r4, #TESTS]
    adds    r5, r5, r6
    subs    r5, #128
    ldr     r4, [r4, #KEYS]
    subs    r2, r2, r4
    subs    r2, #4
    mov     r10, r2         // weights - keys - 4
.Lpair:
    ldmia   r4!, {r0, r1}
    muls    r0, r7
    muls    r1, r7
    lsrs    r2, r0, #16
    eors    r0, r2
    lsrs    r2, r1, #16
    eors    r1, r2
    ldmia   r5!, {r2, r3}
    adds    r0, r0, r2
    subs    r6, r0, r3
    bics    r6, r0
    ldmia   r5!, {r2, r3}
    adds    r1, r1, r2
    subs    r2, r1, r3
    bics    r2, r1
    orrs    r6, r2          // bit 7 of a byte: one of the bytes of two random words is near an end
    mov     r2, r9
    tst     r6, r2
    bne     .Lnear
.Lpair_next:
    cmp     r4, r8
    bne     .Lpair
    b       .Lrow

.Levery_sum:
    str     r7, [r4, #KEY]
    mov     r6, r4
    adds    r6, #KEY
    str     r6, [sp]
    mov     r6, r2
    mov     r2, r0
    mov     r0, r6
    bl      edge_v6m_sum_row
    ldr     r1, [r4, #MOVED]
    adds    r1, r1, r0
    str     r1, [r4, #MOVED]
    b       .Lrow

.Lnear:
    str     r4, [sp, #KEYS_LIMIT]
    subs    r4, #8
    subs    r5, #16
.Lgroup:
    ldmia   r4!, {r0}
    muls    r0, r7
    lsrs    r1, r0, #16
    eors    r0, r1
    ldmia   r5!, {r2, r3}
    adds    r2, r2, r0
    subs    r3, r2, r3
    bics    r3, r2
    mov     r1, r9
    tst     r3, r1
    bne     .Lsum
.Lgroup_next:
    ldr     r1, [sp, #KEYS_LIMIT]
    cmp     r4, r1
    bne     .Lgroup
    b       .Lpair_next

.Lsum:      // r0: the random word
    mov     r12, r5
    add     r3, sp, #LIST
    mov     r6, r11
    adds    r6, r6, r4
    adds    r6, r6, r4
    movs    r1, #0
    movs    r2, #0
0:  ldmia   r3!, {r5}
    adds    r5, r5, r6
    ldmia   r5, {r5, r7}
    adds    r1, r1, r5
    adds    r2, r2, r7
    cmp     r3, lr
    bne     0b
    ldr     r7, =0x7FFF7FFF
    lsrs    r3, r0, #1
    ands    r3, r7
    adds    r3, r3, r1
    movs    r5, #9
    mov     r6, r0
    rors    r6, r5
    ands    r6, r7
    adds    r6, r6, r2
    orrs    r3, r6
    bics    r3, r7
    beq     1f
    mov     r3, r12
    str     r3, [sp, #KEPT]
    mov     r3, r0
    mov     r0, r10
    adds    r0, r0, r4
    bl      edge_move_group
    ldr     r2, [sp, #ROWS]
    ldr     r1, [r2, #MOVED]
    adds    r1, r1, r0
    str     r1, [r2, #MOVED]
    ldr     r1, [sp, #KEPT]
    mov     r12, r1
    ldr     r1, [sp, #LIST_END]
    mov     lr, r1
1:  mov     r5, r12
    ldr     r7, [sp, #ROW_KEY]
    b       .Lgroup_next

.Lend:
    add     sp, sp, #FRAME
    pop     {r4-r7}
    mov     r8, r4
    mov     r9, r5
    mov     r10, r6
    mov     r11, r7
    pop     {r4-r7, pc}
    .ltorg
END edge_v6m_update_rows

// Frame, from sp.
#define SUM_LIST 0
#define SUM_ROW_KEY 4
#define SUM_MOVED 8
#define SUM_KEPT 12
#define SUM_KEYS_END 16
#define SUM_FRAME 20
#define SUM_ROW_ARGUMENT (SUM_FRAME + 36)

// uint32_t edge_v6m_sum_row(uint8_t *w, const uint32_t *const *list, const uint32_t *const *end, uint32_t unused,
//                           const edge_row_t *row)
//
// Every sum, two groups at a time. Returns how many weights moved.
FUNCTION edge_v6m_sum_row
    push    {r4-r7, lr}
    mov     r4, r8
    mov     r5, r9
    mov     r6, r10
    mov     r7, r11
    push    {r4-r7}
    sub     sp, sp, #SUM_FRAME
    str     r1, [sp, #SUM_LIST]
    mov     r8, r2
    movs    r4, #0
    str     r4, [sp, #SUM_MOVED]
    ldr     r4, =0x7FFF7FFF
    mov     r11, r4
    ldr     r6, [sp, #SUM_ROW_ARGUMENT]
    ldmia   r6, {r4-r6}
    str     r4, [sp, #SUM_ROW_KEY]
    str     r6, [sp, #SUM_KEYS_END]
    mov     r10, r5
    subs    r0, r0, r5
    mov     r12, r0         // weights - keys
    movs    r5, #0
    mov     r9, r5          // from a row of eps to its part for these groups
.Lsum_pair:
    ldr     r0, [sp, #SUM_LIST]
    ldmia   r0!, {r1}
    add     r1, r9
    ldmia   r1!, {r4-r7}
    cmp     r0, r8
    beq     1f
0:  ldmia   r0!, {r1}
    add     r1, r9
    ldmia   r1!, {r2, r3}
    adds    r4, r4, r2
    adds    r5, r5, r3
    ldmia   r1!, {r2, r3}
    adds    r6, r6, r2
    adds    r7, r7, r3
    cmp     r0, r8
    bne     0b
1:  mov     r0, r10
    ldmia   r0!, {r1, r2}
    mov     r10, r0
    ldr     r3, [sp, #SUM_ROW_KEY]
    muls    r1, r3
    muls    r2, r3
    lsrs    r3, r1, #16
    eors    r1, r3
    lsrs    r3, r2, #16
    eors    r2, r3
    mov     r3, r11
    lsrs    r0, r1, #1
    ands    r0, r3
    adds    r0, r0, r4
    movs    r3, #9
    rors    r1, r3
    mov     r3, r11
    ands    r1, r3
    adds    r1, r1, r5
    orrs    r0, r1
    lsrs    r1, r2, #1
    ands    r1, r3
    adds    r1, r1, r6
    orrs    r0, r1
    movs    r1, #9
    rors    r2, r1
    ands    r2, r3
    adds    r2, r2, r7
    orrs    r0, r2
    bics    r0, r3
    bne     .Lmove
.Lsum_pair_next:
    movs    r0, #16
    add     r9, r0
    ldr     r0, [sp, #SUM_KEYS_END]
    cmp     r10, r0
    bne     .Lsum_pair
    ldr     r0, [sp, #SUM_MOVED]
    add     sp, sp, #SUM_FRAME
    pop     {r4-r7}
    mov     r8, r4
    mov     r9, r5
    mov     r10, r6
    mov     r11, r7
    pop     {r4-r7, pc}

.Lmove:
    mov     r0, r12
    str     r0, [sp, #SUM_KEPT]
    mov     r3, r10
    subs    r3, #8
    adds    r0, r0, r3
    ldr     r3, [r3]
    mov     r1, r4
    mov     r2, r5
    bl      .Lmove_group
    ldr     r0, [sp, #SUM_KEPT]
    mov     r12, r0
    mov     r3, r10
    subs    r3, #4
    adds    r0, r0, r3
    ldr     r3, [r3]
    mov     r1, r6
    mov     r2, r7
    bl      .Lmove_group
    ldr     r0, [sp, #SUM_KEPT]
    mov     r12, r0
    b       .Lsum_pair_next

// r0: weights, r1 and r2: sums, r3: column key.
.Lmove_group:
    mov     r4, lr
    ldr     r5, [sp, #SUM_ROW_KEY]
    muls    r3, r5
    lsrs    r5, r3, #16
    eors    r3, r5
    bl      edge_move_group
    ldr     r1, [sp, #SUM_MOVED]
    adds    r1, r1, r0
    str     r1, [sp, #SUM_MOVED]
    bx      r4
    .ltorg
END edge_v6m_sum_row
#endif
