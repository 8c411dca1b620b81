// The update of one row of a tile, for Armv6-M cores: docs/decisions/0011-small-cores.md.
// SPDX-License-Identifier: Apache-2.0
#include "arm.h"

#ifdef EDGE_ARM_V6M
    .syntax unified
    .thumb

// Fields of edge_tile_t.
#define TILE_EPS 0
#define TILE_FLAT 4
#define TILE_WORDS 12
#define TILE_HISTORY_BYTES 20

#define MANY 32     // EDGE_MANY

// const uint32_t **edge_v6m_list_steps(const uint32_t **list, const edge_tile_t *tile, const uint8_t *history)
FUNCTION edge_v6m_list_steps
    push    {r4-r7, lr}
    ldr     r5, [r1, #TILE_HISTORY_BYTES]
    adds    r5, r5, r2
    mov     r12, r5
    movs    r5, #4 * MANY
    adds    r5, r5, r0
    mov     lr, r5
    ldr     r4, [r1, #TILE_EPS]
    ldr     r3, [r1, #TILE_WORDS]
    lsls    r3, r3, #2
    ldr     r5, [r1, #TILE_FLAT]
    cmp     r5, #0
    beq     0f
    movs    r3, #0
0:  ldr     r6, =0x077CB531     // edge_lowest_bit
    ldr     r7, =edge_bit_table
.Lmore:
    cmp     r0, lr
    bhi     .Llisted
    ldrb    r1, [r2]
    mov     r5, r12
    subs    r5, r5, r2
    cmp     r5, #4
    blo     .Lbyte
    ldrb    r5, [r2, #1]
    lsls    r5, r5, #8
    orrs    r1, r5
    ldrb    r5, [r2, #2]
    lsls    r5, r5, #16
    orrs    r1, r5
    ldrb    r5, [r2, #3]
    lsls    r5, r5, #24
    orrs    r1, r5
    beq     2f
1:  rsbs    r5, r1, #0
    ands    r5, r1
    eors    r1, r5
    muls    r5, r6
    lsrs    r5, r5, #27
    ldrb    r5, [r7, r5]
    muls    r5, r3
    adds    r5, r5, r4
    stmia   r0!, {r5}
    cmp     r1, #0
    bne     1b
2:  lsls    r5, r3, #5
    adds    r4, r4, r5
    adds    r2, #4
    cmp     r2, r12
    bne     .Lmore
.Llisted:
    pop     {r4-r7, pc}
.Lbyte:
    cmp     r1, #0
    beq     2f
1:  rsbs    r5, r1, #0
    ands    r5, r1
    eors    r1, r5
    muls    r5, r6
    lsrs    r5, r5, #27
    ldrb    r5, [r7, r5]
    muls    r5, r3
    adds    r5, r5, r4
    stmia   r0!, {r5}
    cmp     r1, #0
    bne     1b
2:  lsls    r5, r3, #3
    adds    r4, r4, r5
    adds    r2, #1
    cmp     r2, r12
    bne     .Lmore
    pop     {r4-r7, pc}
    .ltorg
END edge_v6m_list_steps

// Frame of both, from sp. Lists are of addresses.
#define LIST 0
#define LIST_END 4
#define MASK 8          // 0x7FFF7FFF
#define ROW_KEY 12
#define MOVED 16
#define KEPT 20         // three words
#define KEYS_END 32
#define FRAME 36
#define ROW_ARGUMENT (FRAME + 36)

.macro enter
    push    {r4-r7, lr}
    mov     r4, r8
    mov     r5, r9
    mov     r6, r10
    mov     r7, r11
    push    {r4-r7}
    sub     sp, sp, #FRAME
    str     r1, [sp, #LIST]
    str     r2, [sp, #LIST_END]
    movs    r4, #0
    str     r4, [sp, #MOVED]
    ldr     r4, =0x7FFF7FFF
    str     r4, [sp, #MASK]
.endm

.macro leave
    ldr     r0, [sp, #MOVED]
    add     sp, sp, #FRAME
    pop     {r4-r7}
    mov     r8, r4
    mov     r9, r5
    mov     r10, r6
    mov     r11, r7
    pop     {r4-r7, pc}
.endm

// Two random words in r0 and r1, and what differs between neighbouring bits of each.
.macro two_random
    ldmia   r4!, {r0, r1}
    muls    r0, r7
    muls    r1, r7
    lsrs    r2, r0, #16
    eors    r0, r2
    lsrs    r2, r1, #16
    eors    r1, r2
    lsrs    r2, r0, #1
    eors    r0, r2
    lsrs    r2, r1, #1
    eors    r1, r2
.endm

// uint32_t edge_v6m_test_row(uint8_t *w, const uint32_t *const *list, const uint32_t *const *end, const edge_bounds_t *bounds,
//                            const edge_row_t *row)
//
// Most pairs of groups have no random byte near an end: their sums are never made. Returns how many weights moved.
FUNCTION edge_v6m_test_row
    enter
    mov     r5, r3
    ldr     r7, [sp, #ROW_ARGUMENT]
    ldmia   r7, {r4, r6, r7}
    str     r4, [sp, #ROW_KEY]
    mov     r8, r7          // the end of the keys
    mov     r7, r4
    mov     r4, r6          // keys
    ldr     r6, =0x80808080
    mov     r9, r6
    subs    r0, r0, r4
    subs    r0, #4
    mov     r10, r0         // weights - keys - 4
    lsls    r6, r4, #1
    rsbs    r6, r6, #0
    subs    r6, #8
    mov     r11, r6         // -2 * (keys + 4): two words of eps belong to one key
    mov     lr, r2
.Lpair:
    two_random
    ldmia   r5!, {r2, r3}
    ands    r0, r3
    subs    r6, r2, r0
    ldmia   r5!, {r2, r3}
    ands    r1, r3
    subs    r2, r2, r1
    orrs    r6, r2          // bit 7 of a byte: one of the bytes of two random words is near an end
    mov     r2, r9
    tst     r6, r2
    bne     .Lnear
.Lpair_next:
    cmp     r4, r8
    bne     .Lpair
    leave

.Lnear:
    str     r4, [sp, #KEYS_END]
    subs    r4, #8
    subs    r5, #16
.Lgroup:
    ldmia   r4!, {r0}
    muls    r0, r7
    lsrs    r1, r0, #16
    eors    r0, r1
    lsrs    r1, r0, #1
    eors    r1, r0
    ldmia   r5!, {r2, r3}
    ands    r1, r3
    subs    r2, r2, r1
    mov     r1, r9
    tst     r2, r1
    bne     .Lsum
.Lgroup_next:
    ldr     r1, [sp, #KEYS_END]
    cmp     r4, r1
    bne     .Lgroup
    b       .Lpair_next

.Lsum:      // r0: the random word
    mov     r12, r5
    ldr     r3, [sp, #LIST]
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
    ldr     r7, [sp, #MASK]
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
    ldr     r1, [sp, #MOVED]
    adds    r1, r1, r0
    str     r1, [sp, #MOVED]
    ldr     r1, [sp, #KEPT]
    mov     r12, r1
    ldr     r1, [sp, #LIST_END]
    mov     lr, r1
1:  mov     r5, r12
    ldr     r7, [sp, #ROW_KEY]
    b       .Lgroup_next
END edge_v6m_test_row

// uint32_t edge_v6m_sum_row(uint8_t *w, const uint32_t *const *list, const uint32_t *const *end, const edge_bounds_t *bounds,
//                           const edge_row_t *row)
//
// Every sum, two groups at a time; bounds are not used. Returns how many weights moved.
FUNCTION edge_v6m_sum_row
    enter
    ldr     r4, [sp, #MASK]
    mov     r11, r4
    ldr     r6, [sp, #ROW_ARGUMENT]
    ldmia   r6, {r4-r6}
    str     r4, [sp, #ROW_KEY]
    str     r6, [sp, #KEYS_END]
    mov     r10, r5
    subs    r0, r0, r5
    mov     r12, r0         // weights - keys
    mov     r8, r2
    movs    r5, #0
    mov     r9, r5          // from a row of eps to its part for these groups
.Lsum_pair:
    ldr     r0, [sp, #LIST]
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
    ldr     r3, [sp, #ROW_KEY]
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
    ldr     r0, [sp, #KEYS_END]
    cmp     r10, r0
    bne     .Lsum_pair
    leave

.Lmove:
    mov     r0, r12
    str     r0, [sp, #KEPT]
    mov     r3, r10
    subs    r3, #8
    adds    r0, r0, r3
    ldr     r3, [r3]
    mov     r1, r4
    mov     r2, r5
    bl      .Lmove_group
    ldr     r0, [sp, #KEPT]
    mov     r12, r0
    mov     r3, r10
    subs    r3, #4
    adds    r0, r0, r3
    ldr     r3, [r3]
    mov     r1, r6
    mov     r2, r7
    bl      .Lmove_group
    ldr     r0, [sp, #KEPT]
    mov     r12, r0
    b       .Lsum_pair_next

// r0: weights, r1 and r2: sums, r3: column key.
.Lmove_group:
    mov     r4, lr
    ldr     r5, [sp, #ROW_KEY]
    muls    r3, r5
    lsrs    r5, r3, #16
    eors    r3, r5
    bl      edge_move_group
    ldr     r1, [sp, #MOVED]
    adds    r1, r1, r0
    str     r1, [sp, #MOVED]
    bx      r4
    .ltorg
END edge_v6m_sum_row
#endif
