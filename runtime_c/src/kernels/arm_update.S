// The update of a tile of 8-bit weights, for Thumb-2 cores: docs/decisions/0010-arm-kernels.md.
// SPDX-License-Identifier: Apache-2.0
#include "arm.h"

#ifdef EDGE_ARM_THUMB2
    .syntax unified
    .thumb

// Fields of edge_tile_t.
#define TILE_EPS 0
#define TILE_FLAT 4
#define TILE_GROUPS 8
#define TILE_WORDS 12
#define TILE_HISTORY 16
#define TILE_HISTORY_BYTES 20
#define TILE_ROW_SEED 24
#define TILE_COLUMN_KEYS 28
#define TILE_BOUNDS 32

// Frame, from sp: the offsets in eps of the row's spikes. A word of history adds up to 32 to less than 40, then bytes 24.
#define HISTORY 384     // of the next row; so SEED
#define SEED 388
#define WEIGHTS 392     // of this row - keys - 4
#define HISTORY_BYTES 396
#define STRIDE 400      // bytes from step to step in eps, 0 if flat
#define M4 404
#define HISTORY_END 408
#define TAIL 412        // shift of the last word of a row whose first word is taken; 64: rows of less than 4 or more than 8 bytes
#define HASH1 416
#define HASH2 420
#define KEYS 424
#define KEYS_END 428
#define EPS 432         // eps - 2 * keys: two words of eps belong to one key
#define COUNT 436       // spikes of this row, times 4
#define FAST 440        // rows of at most so many spikes, times 4, go the fast way
#define ENTRY 444       // where the spikes after the first are added
#define KEY 448         // of the four groups at hand
#define ROW_KEY 452
#define MASK 456
#define KEPT 460        // four words
#define RESULT 476
#define MOVED 480
#define SPIKES 484      // times 4
#define TILE 488
#define LINK 492
#define LAST_KEY 496    // the end of keys of outputs that exist, + 16
#define FAST_MANY 500   // 8 spikes, times 4, if rows of more than four go the fast way, else 0
#define TABLES 504      // for 1 .. 4 and 8 spikes: two words for each of 16 groups
#define FRAME (TABLES + 640)
#ifdef EDGE_ARM_HELIUM
#define SAVED 100
#else
#define SAVED 36
#endif
#define FROM_ARGUMENT (FRAME + SAVED)
#define TO_ARGUMENT (FRAME + SAVED + 4)

#ifdef EDGE_ARM_DSP
#define ADD_PAIR sadd16 // lanes
#else
#define ADD_PAIR add    // low + 65536 high
#endif

// Offsets of the spikes in some bits, the first on top.
.macro list_spikes bits
    rbit    \bits, \bits
    cbz     \bits, 1f
0:  clz     r9, \bits
    lsr     r10, r7, r9
    mla     r9, r9, r4, r6
    str     r9, [r5], #4
    bics    \bits, \bits, r10
    bne     0b
1:
.endm

// The eps of spike k into the sums of four groups.
.macro add_spike k
    ldr     r8, [sp, #4 * \k]
    add     r8, r8, r12
    ldm     r8!, {r9, r10, r11, lr}
    ADD_PAIR r0, r0, r9
    ADD_PAIR r1, r1, r10
    ADD_PAIR r2, r2, r11
    ADD_PAIR r3, r3, lr
    ldm     r8, {r9, r10, r11, lr}
    ADD_PAIR r4, r4, r9
    ADD_PAIR r5, r5, r10
    ADD_PAIR r6, r6, r11
    ADD_PAIR r7, r7, lr
.endm

// Sums are made in general where, on the average, bounds in units of 32 times spikes exceed 2^(FAST_BOUND - 2).
#define FAST_BOUND 7

#ifdef EDGE_ARM_HELIUM
// r5: whether a byte of the random words of four groups is near an end.
.macro near_four keys
    vmul.i32 q0, \keys, r12
    vshr.u32 q1, q0, #16
    veor    q0, q0, q1
    vld20.32 {q1, q2}, [r6]
    vld21.32 {q1, q2}, [r6]!
    vadd.i8 q1, q1, q0      // byte + c
    vcmp.u8 hi, q2, q1      // is below 2 c
    vmrs    r5, p0
.endm
#endif

// c and 2 c of four outputs for a number of spikes, into a table; bounds times spikes in units of 32, below 253.
.macro bound sums, table
    add     r1, \sums, r4
    bic     r1, r1, r4
    lsr     r1, r1, #2
    lsl     r2, r1, #1
.if \table
    strd    r1, r2, [lr, #\table]
.else
    strd    r1, r2, [lr], #8
.endif
.endm

// Bit 7 of a byte of the random word: it is within c of an end. Without DSP a byte so near the upper end, or below 2 c, changes
// the bytes above it: that some byte is near is exact. Then 2 c <= 128.
.macro near word, c, twice
#ifdef EDGE_ARM_DSP
    uadd8   \word, \word, \c      // byte + c
    uhsub8  \word, \word, \twice  // is below 2 c
#else
    add     \word, \word, \c
    sub     \twice, \word, \twice
    bic     \word, \twice, \word
#endif
.endm

// Whether a weight of two groups moves: bit 15 of some lane of S + r.
.macro test_pair a02, a13, b02, b13, slow
    ldrd    r9, r10, [r8], #8
    mul     r9, r9, r12
    mul     r10, r10, r12
    eor     r9, r9, r9, lsr #16
    eor     r10, r10, r10, lsr #16
    and     r11, lr, r9, ror #9
    and     r9, lr, r9, lsr #1
    ADD_PAIR r11, r11, \a13
    ADD_PAIR r9, r9, \a02
    orr     r9, r9, r11
    and     r11, lr, r10, ror #9
    and     r10, lr, r10, lsr #1
    ADD_PAIR r11, r11, \b13
    ADD_PAIR r10, r10, \b02
    orr     r9, r9, r11
    orr     r9, r9, r10
    bics    r9, r9, lr
    bne     \slow
.endm

// The group whose key ends `before` bytes before r8, if a random byte of it is near an end.
.macro move_near bytes, before
    tst     \bytes, #0x80808080
    beq     0f
    sub     r8, r8, #\before
    bl      .Lgroup
    add     r8, r8, #\before
0:
.endm

// edge_moves_t edge_arm_update(uint8_t *w, uint32_t m4, const edge_tile_t *tile, uint32_t from, uint32_t to)
FUNCTION edge_arm_update
    push    {r4-r11, lr}
#ifdef EDGE_ARM_HELIUM
    vpush   {d8-d15}
#endif
    sub     sp, sp, #FRAME
    mov     r4, #0
    str     r0, [sp, #RESULT]
    strd    r4, r4, [sp, #MOVED]
    str     r2, [sp, #M4]
    str     r3, [sp, #TILE]
    ldr     r0, [r3, #TILE_COLUMN_KEYS]
    ldr     r7, [r3, #TILE_EPS]
    sub     r7, r7, r0, lsl #1
    str     r0, [sp, #KEYS]
    str     r7, [sp, #EPS]
    ldr     r4, [sp, #FROM_ARGUMENT]
    ldr     r5, [sp, #TO_ARGUMENT]
    mla     r1, r4, r2, r1
    sub     r1, r1, r0
    sub     r1, r1, #4
    sub     r1, r1, r2
    str     r1, [sp, #WEIGHTS]
    ldr     r1, [r3, #TILE_HISTORY]
    ldr     r6, [r3, #TILE_HISTORY_BYTES]
    mla     r5, r5, r6, r1
    mla     r1, r4, r6, r1
    str     r1, [sp, #HISTORY]
    str     r6, [sp, #HISTORY_BYTES]
    str     r5, [sp, #HISTORY_END]
    rsb     r7, r6, #8
    lsl     r7, r7, #3
    cmp     r7, #32
    it      hi
    movhi   r7, #64
    str     r7, [sp, #TAIL]
    ldr     r5, [r3, #TILE_ROW_SEED]
    add     r5, r5, r4, lsl #1
    str     r5, [sp, #SEED]
    ldr     r5, [r3, #TILE_WORDS]
    ldr     r6, [r3, #TILE_FLAT]
    lsl     r7, r5, #2
    cmp     r6, #0
    it      ne
    movne   r7, #0
    str     r7, [sp, #STRIDE]
    // Whole fours of groups where the tile has room for them: what has no error does not move.
    ldr     r7, [r3, #TILE_GROUPS]
    ldr     r12, [r3, #TILE_BOUNDS]
#ifdef EDGE_ARM_HELIUM
    add     r8, r0, r7, lsl #2
    add     r8, r8, #16
    str     r8, [sp, #LAST_KEY]
#endif
    cmp     r5, #8
    itt     hs
    addhs   r7, r7, #3
    bichs   r7, r7, #3
    add     r5, r0, r7, lsl #2
    str     r5, [sp, #KEYS_END]
    mov     r8, #-4         // a tile too small: never
    str     r8, [sp, #FAST]
    mov     r8, #0
    str     r8, [sp, #FAST_MANY]
    blo     .Lbounded

    // A weight moves only if r16 >= 65536 - 2 |S| or r16 < 2 |S|. With |S| <= 128 c its high byte, which is a byte of the
    // random word, is then within c of an end. c of an output stands where that byte does.
#ifdef EDGE_ARM_DSP
    mov     r11, #0
#else
    mov     r11, #0x00FF00FF
#endif
    mov     r10, #0         // OR of the bounds
    mov     r9, #0          // sum
    mov     r4, #0x03030303
    mov     r5, #0xC0C0C0C0
    add     lr, sp, #TABLES
    add     r6, r12, r7, lsl #2
0:  ldr     r0, [r12], #4
    ror     r0, r0, #24
#ifdef EDGE_ARM_DSP
    usada8  r9, r0, r11, r9
#else
    and     r1, r0, #0x00FF00FF
    add     r9, r9, r1
    and     r1, r11, r0, lsr #8
    add     r9, r9, r1
#endif
    orr     r10, r10, r0
    bound   r0, 0
    add     r3, r0, r0, lsl #1
    bound   r3, 248
    lsl     r3, r0, #1
    bound   r3, 120
    lsl     r3, r0, #2
    bound   r3, 376
    lsl     r1, r2, #1
    strd    r2, r1, [lr, #504]
    cmp     r12, r6
    bne     0b
    // Spikes for which few sums are made, on the average.
#ifndef EDGE_ARM_DSP
    add     r9, r9, r9, lsl #16
    lsr     r9, r9, #16
#endif
    orr     r9, r9, #1
    lsl     r7, r7, #FAST_BOUND
    udiv    r8, r7, r9
    tst     r10, r5
    it      ne
    movne   r8, #0
    bics    r9, r8, #7
    it      ne
    movne   r9, #32
#ifndef EDGE_ARM_DSP
    tst     r10, #0xE0E0E0E0
    it      ne
    movne   r9, #0
#endif
    str     r9, [sp, #FAST_MANY]
    cmp     r8, #4
    it      hi
    movhi   r8, #4
    lsl     r8, r8, #2
    str     r8, [sp, #FAST]
.Lbounded:
    ldr     r5, =0x7feb352d
    ldr     r6, =0x846ca68b
    ldr     r7, =0x7FFF7FFF
    str     r5, [sp, #HASH1]
    str     r6, [sp, #HASH2]
    str     r7, [sp, #MASK]
#ifdef EDGE_ARM_HELIUM
    ldrd    r0, r1, [sp, #KEYS]     // and their end
    ldr     r2, =.Lfew + 1
    sub     r1, r1, r0
    cmp     r1, #64
    bne     0f
    ldr     r2, =.Lsixteen + 1
    vldrw.u32 q4, [r0]
    vldrw.u32 q5, [r0, #16]
    vldrw.u32 q6, [r0, #32]
    vldrw.u32 q7, [r0, #48]
0:  str     r2, [sp, #ENTRY]
#endif

.Lnext:
    add     lr, sp, #HISTORY
    ldm     lr, {r0-r7}
    cmp     r0, r6
    beq     .Lend
    add     r8, r0, r3
    add     r9, r1, #2
    add     r10, r2, r5
    stm     lr, {r8-r10}

    // The row's spikes. r7: the top bit; r6: offset of the step that it stands for.
    mov     r11, sp
    mov     r5, sp
    mov     r6, #0
    cmp     r7, #64
    beq     .Lany_length
    ldr     r2, [r0]
    ldr     r3, [r8, #-4]
    lsr     r3, r3, r7
    mov     r7, #0x80000000
    list_spikes r2
    add     r6, r6, r4, lsl #5
    list_spikes r3
.Llisted:
    subs    r5, r5, r11
    beq     .Lnext
    str     r5, [sp, #COUNT]
    ldr     r3, [sp, #SPIKES]
    cmp     r4, #0
    beq     .Lflat
    add     r3, r3, r5
.Lcounted:
    str     r3, [sp, #SPIKES]

    // The row's key, edge_hash(seed) | 1.
    ldrd    r6, r7, [sp, #HASH1]
    eor     r1, r1, r1, lsr #16
    mul     r1, r1, r6
    eor     r1, r1, r1, lsr #15
    mul     r1, r1, r7
    ldr     r8, [sp, #KEYS]
    ldr     r6, [sp, #FAST]
    eor     r1, r1, r1, lsr #16
    orr     r12, r1, #1
#ifndef EDGE_ARM_DSP
    str     r12, [sp, #ROW_KEY]
#endif
    cmp     r5, r6
    bgt     .Lmore_spikes

    // Most fours of groups have no random byte near an end: their sums are never made.
    add     r6, sp, #TABLES - 128
    add     r6, r6, r5, lsl #5
.Lfew_or_more:
#ifdef EDGE_ARM_HELIUM
    ldr     pc, [sp, #ENTRY]
    .balign 4
.Lsixteen:  // groups, whose keys have registers
    near_four q4
    cbnz    r5, .Lnear0
.Lfar0:
    near_four q5
    cbnz    r5, .Lnear1
.Lfar1:
    near_four q6
    cbnz    r5, .Lnear2
.Lfar2:
    near_four q7
    cbnz    r5, .Lnear3
    b       .Lnext
.Lnear0:
    add     r8, r8, #16
    bl      .Lmove_four
    sub     r8, r8, #16
    b       .Lfar0
.Lnear1:
    add     r8, r8, #32
    bl      .Lmove_four
    sub     r8, r8, #32
    b       .Lfar1
.Lnear2:
    add     r8, r8, #48
    bl      .Lmove_four
    sub     r8, r8, #48
    b       .Lfar2
.Lnear3:
    add     r8, r8, #64
    bl      .Lmove_four
    b       .Lnext
    .balign 4
.Lfew:      // groups
    ldr     r4, [sp, #KEYS_END]
.Lfast:
    vldrw.u32 q3, [r8], #16
    near_four q3
    cbnz    r5, .Lnear
#else
    ldr     r4, [sp, #KEYS_END]
.Lfast:
    ldm     r8!, {r0-r3}
    mul     r0, r0, r12
    mul     r1, r1, r12
    mul     r2, r2, r12
    mul     r3, r3, r12
    eor     r0, r0, r0, lsr #16
    eor     r1, r1, r1, lsr #16
    eor     r2, r2, r2, lsr #16
    eor     r3, r3, r3, lsr #16
    ldm     r6!, {r5, r7, r9, r10}
    near    r0, r5, r7
    near    r1, r9, r10
    ldm     r6!, {r5, r7, r9, r10}
    near    r2, r5, r7
    near    r3, r9, r10
    orr     r5, r0, r1
    orr     r7, r2, r3
    orr     r5, r5, r7
    tst     r5, #0x80808080
    bne     .Lnear
#endif
.Lfast_next:
    cmp     r8, r4
    bne     .Lfast
    b       .Lnext
.Lend:
    ldr     r0, [sp, #RESULT]
    ldrd    r1, r2, [sp, #MOVED]
    lsr     r2, r2, #2
    strd    r1, r2, [r0]
    add     sp, sp, #FRAME
#ifdef EDGE_ARM_HELIUM
    vpop    {d8-d15}
#endif
    pop     {r4-r11, pc}

.Lflat:     // counts once
    add     r3, r3, #4
    b       .Lcounted

#ifdef EDGE_ARM_HELIUM
.Lnear:
    bl      .Lmove_four
    b       .Lfast_next
#else
.Lnear:
    strd    r2, r3, [sp, #KEPT]
    mov     r7, r1
    move_near r0, 12
    move_near r7, 8
    ldrd    r4, r7, [sp, #KEPT]
    move_near r4, 4
    move_near r7, 0
    ldr     r4, [sp, #KEYS_END]
    b       .Lfast_next
#endif

.Lany_length:
    mov     r7, #0x80000000
    subs    r3, r3, #4
    blo     .Lbytes
.Lword:
    ldr     r2, [r0], #4
    list_spikes r2
    add     r6, r6, r4, lsl #5
    subs    r3, r3, #4
    blo     .Lbytes
    sub     r9, r5, r11
    cmp     r9, #160
    blo     .Lword
    b       .Llong_row
.Lbytes:
    adds    r3, r3, #4
    beq     .Llisted
.Lbyte:
    ldrb    r2, [r0], #1
    list_spikes r2
    subs    r3, r3, #1
    beq     .Llisted
    add     r6, r6, r4, lsl #3
    b       .Lbyte

.Lmore_spikes:
    ldr     r9, [sp, #FAST_MANY]
    cmp     r5, r9
    bhi     .Lgeneral
    add     r6, sp, #TABLES + 512
    b       .Lfew_or_more

// Every sum. First the eps of four groups in registers, then their random words.
.Lgeneral:
    str     r12, [sp, #ROW_KEY]
    cmp     r6, #0
    blt     .Lsmall
#ifdef EDGE_ARM_HELIUM
    ldr     r4, [sp, #KEYS_END]
0:  add     r8, r8, #16
    bl      .Lmove_four
    cmp     r8, r4
    bne     0b
    b       .Lnext

// The four groups whose keys end at r8. Keeps r0 to r4, r6, r8 and r12.
.Lmove_four:
    ldr     r9, [sp, #EPS]
    ldr     r11, [sp, #COUNT]
    add     r9, r9, r8, lsl #1
    sub     r9, r9, #32
    mov     r7, sp
    ldr     r10, [r7], #4
    add     r10, r10, r9
    vld20.32 {q2, q3}, [r10]
    vld21.32 {q2, q3}, [r10]
    subs    r11, r11, #4
    beq     1f
0:  ldr     r10, [r7], #4
    add     r10, r10, r9
    vld20.32 {q0, q1}, [r10]
    vld21.32 {q0, q1}, [r10]
    vadd.i16 q2, q2, q0
    vadd.i16 q3, q3, q1
    subs    r11, r11, #4
    bne     0b
1:  vldrw.u32 q0, [r8, #-16]
    vmul.i32 q0, q0, r12
    vshr.u32 q1, q0, #16
    veor    q0, q0, q1
    vshr.u32 q1, q0, #8
    vsli.32 q1, q0, #24
    vshr.u16 q0, q0, #1
    vshr.u16 q1, q1, #1
    vhadd.s16 q2, q2, q0    // floor((S + r) / 2): 16384 and more goes up, below 0 down
    vhadd.s16 q3, q3, q1
    vshrnb.i16 q2, q2, #8
    vshrnt.i16 q2, q3, #8
    vshr.s8 q2, q2, #6
    vcmp.i8 ne, q2, zr
    vmrs    r7, p0
    cbz     r7, 2f
    ldr     r9, [sp, #WEIGHTS]
    ldr     r10, [sp, #LAST_KEY]
    ldr     r11, [sp, #MOVED]
    add     r9, r9, r8
    sub     r10, r10, r8
    vctp.8  r10             // not beyond the tile
    sub     r9, r9, #12
    vpst
    vldrbt.u8 q0, [r9]
    vqadd.s8 q1, q0, q2
    vpstt
    vstrbt.8 q1, [r9]
    vabavt.s8 r11, q0, q1
    str     r11, [sp, #MOVED]
2:  bx      lr
#else
    adr     r0, .Lentries
    cmp     r5, #20
    it      hi
    movhi   r5, #20
    ldr     r0, [r0, r5]
    str     r0, [sp, #ENTRY]
.Lfour_groups:
    ldr     r12, [sp, #EPS]
    str     r8, [sp, #KEY]
    add     r12, r12, r8, lsl #1
    ldr     r8, [sp]
    add     r8, r8, r12
    ldm     r8, {r0-r7}
    ldr     pc, [sp, #ENTRY]
.Lmore:
    ldr     r8, [sp, #COUNT]
    sub     r8, r8, #4
0:  ldr     r9, [sp, r8]
    add     r9, r9, r12
    ldm     r9!, {r10, r11}
    ADD_PAIR r0, r0, r10
    ADD_PAIR r1, r1, r11
    ldm     r9!, {r10, r11}
    ADD_PAIR r2, r2, r10
    ADD_PAIR r3, r3, r11
    ldm     r9!, {r10, r11}
    ADD_PAIR r4, r4, r10
    ADD_PAIR r5, r5, r11
    ldm     r9!, {r10, r11}
    ADD_PAIR r6, r6, r10
    ADD_PAIR r7, r7, r11
    sub     r8, r8, #4
    cmp     r8, #16
    bhs     0b
.Lfour:
    add_spike 3
.Lthree:
    add_spike 2
.Ltwo:
    add_spike 1
.Lone:
    ldr     r8, [sp, #KEY]
    ldrd    r12, lr, [sp, #ROW_KEY]
    test_pair r0, r1, r2, r3, .Lmove_first
.Lsecond:
    test_pair r4, r5, r6, r7, .Lmove_second
.Lfour_groups_next:
    ldr     r9, [sp, #KEYS_END]
    cmp     r8, r9
    bne     .Lfour_groups
    b       .Lnext
.Lmove_first:
    strd    r2, r3, [sp, #KEPT]
    sub     r8, r8, #4
    bl      .Lmove
    ldrd    r0, r1, [sp, #KEPT]
    add     r8, r8, #4
    bl      .Lmove
    ldr     lr, [sp, #MASK]
    b       .Lsecond
.Lmove_second:
    mov     r0, r4
    mov     r1, r5
    sub     r8, r8, #4
    bl      .Lmove
    mov     r0, r6
    mov     r1, r7
    add     r8, r8, #4
    bl      .Lmove
    b       .Lfour_groups_next

    .balign 4
.Lentries:  // by COUNT
    .word   0, .Lone + 1, .Ltwo + 1, .Lthree + 1, .Lfour + 1, .Lmore + 1
#endif

// Tiles of 4 and 8 outputs.
.Lsmall:
    ldr     r4, [sp, #KEYS_END]
0:  add     r8, r8, #4
    bl      .Lgroup
    cmp     r8, r4
    bne     0b
    b       .Lnext

// More spikes than the list takes.
.Llong_row:
    str     r1, [sp]
    ldr     r0, [sp, #KEYS]
    ldr     r2, [sp, #WEIGHTS]
    add     r0, r0, #4
    add     r0, r0, r2
    ldr     r1, [sp, #TILE]
    ldr     r2, [sp, #HISTORY]
    ldr     r3, [sp, #HISTORY_BYTES]
    sub     r2, r2, r3
    add     r3, sp, #MOVED
    bl      edge_arm_update_row
    b       .Lnext

// The sums of the group whose key is at r8 - 4, and its move. Keeps r4, r6, r7, r8 and r12.
.Lgroup:
    ldr     r9, [sp, #EPS]
    ldr     r10, [sp, #COUNT]
    ldr     r5, [sp]
    add     r9, r9, r8, lsl #1
    add     r5, r5, r9
    ldrd    r0, r1, [r5, #-8]
    subs    r10, r10, #4
    beq     .Lmove
    add     r5, sp, #4
0:  ldr     r2, [r5], #4
    add     r2, r2, r9
    ldrd    r2, r3, [r2, #-8]
    ADD_PAIR r0, r0, r2
    ADD_PAIR r1, r1, r3
    subs    r10, r10, #4
    bne     0b

// The move of that group by its sums r0 and r1. Lanes with S + r in 32768 .. go up, those below 0 go down. Keeps r4 to
// r8 and r12.
.Lmove:
    ldr     r9, [r8, #-4]
    ldr     r11, [sp, #MASK]
    mul     r9, r9, r12
#ifdef EDGE_ARM_DSP
    eor     r9, r9, r9, lsr #16
    and     r10, r11, r9, ror #9
    and     r9, r11, r9, lsr #1
    ADD_PAIR r10, r10, r1
    ADD_PAIR r9, r9, r0
    bic     r10, r10, r11
    bic     r9, r9, r11
    orrs    r2, r9, r10
    beq     0f
    and     r2, r9, r0
    bic     r9, r9, r0
    and     r3, r10, r1
    bic     r10, r10, r1
    lsr     r9, r9, #15
    orr     r9, r9, r10, lsr #7     // 1 in each byte that goes up
    lsr     r2, r2, #15
    orr     r2, r2, r3, lsr #7      // down
    ldr     r10, [sp, #WEIGHTS]
    ldr     r3, [r10, r8]
    qadd8   r9, r3, r9
    qsub8   r9, r9, r2
    str     r9, [r10, r8]
    ldr     r10, [sp, #MOVED]
    eor     r3, r3, #0x80808080
    eor     r9, r9, #0x80808080
    usada8  r10, r9, r3, r10
    str     r10, [sp, #MOVED]
0:  bx      lr
#else
    eor     r3, r9, r9, lsr #16
    and     r10, r11, r3, ror #9
    and     r9, r11, r3, lsr #1
    add     r10, r10, r1
    add     r9, r9, r0
    orr     r9, r9, r10
    bics    r9, r9, r11
    it      eq
    bxeq    lr
    str     lr, [sp, #LINK]
    mov     r2, r1
    mov     r1, r0
    ldr     r0, [sp, #WEIGHTS]
    add     r0, r0, r8
    bl      edge_move_group
    ldr     r1, [sp, #MOVED]
    add     r1, r1, r0
    str     r1, [sp, #MOVED]
    ldr     r12, [sp, #ROW_KEY]
    ldr     pc, [sp, #LINK]
#endif
    .ltorg
END edge_arm_update
#endif
