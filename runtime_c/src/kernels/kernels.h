// The hot loops. A vector version has the same signatures in its own file; all give the same bits.
// SPDX-License-Identifier: Apache-2.0
#ifndef EDGE_KERNELS_H
#define EDGE_KERNELS_H

// Where code is to be small, plain loops do the work, in the order in which the arithmetic is written.
#ifdef EDGE_SMALL
#define EDGE_FAST 0
#else
#define EDGE_FAST 1
#endif

#include "../bytes.h"
#include "arm.h"
#include "rv32.h"

#define EDGE_ROWS \
    64  // input lines added at once: 64 * 512 <= 2^15, so 16-bit lanes hold a sum of 10-bit weights too
#define EDGE_MAX_TILE 64  // outputs in a tile

// The thresholds of a layer (docs/arithmetic.md 2.4): tensors, or NULL and the scalars.
typedef struct edge_threshold {
    const uint8_t *theta0s, *alphas;
    int32_t theta0, alpha;
    int32_t ahead;  // decays beyond age - 1: 0 for LIF, 1 for IF
} edge_threshold_t;

// theta of neuron i at an age, 8 fractional bits. theta0 + alpha (T + 1) <= 2^31 - 256: nothing overflows.
static inline int32_t edge_theta(const edge_threshold_t *th, uint32_t i, uint32_t age) {
    const int32_t theta0 = th->theta0s ? edge_tensor32(th->theta0s, i) : th->theta0;
    const int32_t alpha = th->alphas ? edge_tensor32(th->alphas, i) : th->alpha;
    const int32_t theta = theta0 - alpha * ((int32_t)age - 1 + th->ahead);
    return theta > 0 ? theta : 0;
}

// The least integer membrane potential that fires.
static inline int32_t edge_ceiling(int32_t theta) { return (theta + 255) >> 8; }

// A tile being learned (docs/image.md section 5): the errors eps2 of up to 64 outputs at every step.
typedef struct edge_tile {
    const uint32_t
        *eps;         // pairs: row t, word 2 g: outputs 4 g and 4 g + 2, word 2 g + 1: 4 g + 1 and 4 g + 3
    uint32_t flat;    // whether there is one row only, for every step
    uint32_t groups;  // of four outputs that exist
    uint32_t words;   // of one row of eps
    const uint8_t *history;       // input-major spikes: row j, bit t % 8 of byte t / 8
    uint32_t history_bytes;       // of one row
    uint32_t row_seed;            // row_key(j) = lowbias32(row_seed + 2 j) | 1
    const uint32_t *column_keys;  // EDGE_MAX_TILE / 4, one a group; beyond them anything
    const uint8_t
        *bounds;  // EDGE_MAX_TILE, one an output: |eps| <= 32 times it; 255: any; at a multiple of 4
} edge_tile_t;

// What one call did.
typedef struct edge_moves {
    uint32_t moved;   // weights that changed
    uint32_t spikes;  // of the rows
} edge_moves_t;

// Of four weights: c and 2 c in each byte of their random word, c <= 64.
//
// A weight moves only if r16 >= 65536 - 2 |S| or r16 < 2 |S|. With |S| <= 128 c its high byte, which is a byte of the
// random word, then is within c of an end: byte + c, modulo 256, is below 2 c.
typedef struct edge_bounds {
    uint32_t c, twice;
} edge_bounds_t;

typedef struct edge_row {
    uint32_t key;
    const uint32_t *keys, *keys_end;  // of the groups
} edge_row_t;

#define EDGE_FEW 4    // the most spikes of a row that is tested
#define EDGE_MANY 32  // the most spikes of a row whose spikes are listed

typedef struct edge_tests {
    uint32_t few;  // rows of at most so many spikes are tested
    edge_bounds_t bounds[EDGE_FEW][EDGE_MAX_TILE / 4];
} edge_tests_t;

// A layer whose neurons fire at step t.
typedef struct edge_firing {
    int32_t *u;
    uint16_t *last;  // step of the last spike
    const edge_threshold_t *threshold;
    uint32_t t;
    uint8_t *history;  // input-major spikes, from the byte of step t; rows of `bytes`; or NULL
    uint8_t *gates;    // of a rectangular surrogate, likewise, or NULL
    uint32_t bytes;
    uint8_t bit;  // of step t
    int32_t gate_width;
    // Of a linear surrogate whose gates are made in 32 bits: gate_most is the least distance that closes one.
    uint32_t gate_mult, gate_shift, gate_most;
} edge_firing_t;

// What the errors of a hidden LIF layer below a linear readout are made of, in the update unit (docs/arithmetic.md 3.3 to
// 3.5).
typedef struct edge_errors {
    const uint8_t *history;  // spikes, rows of history_bytes, at most 8
    const uint8_t *gates;  // bits as in the history; with a cursor, bytes, and sixteen can be read from each
    uint32_t *cursor;      // the index of the next neuron's spike at each step, moved on; NULL for bits
    const edge_threshold_t *threshold;
    const uint8_t *weights;  // of the readout, 8 bits, rows of m4
    const int16_t *scores;   // its errors, m4
    uint32_t m4, down_shift;
    uint32_t history_bytes, window, reset_mult, reset_shift;
    int32_t error_limit, update_limit;
    int32_t rate;     // r, -15 .. 31
    uint32_t stride;  // of eps, from step to step
} edge_errors_t;

typedef struct edge_kernels {
    // How a word of eps holds a pair of int16: 1 as two lanes, 0 packed as low + 65536 high, so that plain adds do.
    uint32_t lanes;

    // `errors` takes multiples of this number of neurons.
    uint32_t together;

    // As edge_list_spikes, or NULL. Beyond the list it may write up to 31 numbers.
    uint32_t (*list_spikes)(uint16_t *list, uint32_t room, const uint8_t *spikes, uint32_t *line,
                            uint32_t lines);

    // u[i] <- floor(u[i] / 2^leak) + the sum of the 8-bit weights of rows list[0 .. n - 1] of w. n <= EDGE_ROWS; m4 a
    // multiple of 4; leak 0 or 1; |u| < 2^30. The list can be read up to a multiple of four.
    void (*add_rows)(int32_t *u, const uint8_t *w, uint32_t m4, const uint16_t *list, uint32_t n,
                     uint32_t leak);

    // Neurons first .. first + n - 1 (n <= 32) that fire at step t, as bits. last: the step of each one's
    // last spike.
    uint32_t (*fire)(const int32_t *u, const uint16_t *last, const edge_threshold_t *th, uint32_t t,
                     uint32_t first, uint32_t n);

    // The update of spike inputs `from` .. `to` - 1 into the tile's 8-bit weights (docs/arithmetic.md 3.5 to
    // 3.7).
    // w: first weight of row 0 in the tile; m4: bytes from row to row.
    edge_moves_t (*update)(uint8_t *w, uint32_t m4, const edge_tile_t *tile, uint32_t from, uint32_t to);

    // All steps of eps of neurons first .. first + n - 1 (n <= EDGE_MAX_TILE), the first step at *eps. largest: receives their largest magnitudes. Returns
    // who of them spikes, as bits. NULL where there is no such kernel.
    uint64_t (*errors)(const edge_errors_t *e, uint32_t first, uint32_t n, int16_t *eps, uint32_t *largest);

    // Fires n neurons, keeps their spikes (also as bits in `spikes`, whole words) and their gates of a linear surrogate,
    // and starts them again. gates: room for n + 32. Returns how many fired. NULL where there is no such kernel.
    uint32_t (*record)(const edge_firing_t *f, uint32_t n, uint8_t *spikes, uint8_t *gates);

    // The same with gates of a rectangular surrogate, if any. NULL where there is no such kernel.
    void (*restart)(const edge_firing_t *f, uint32_t n, uint8_t *spikes);
} edge_kernels_t;

// Entries of a table that only fast learning uses.
#if !defined(EDGE_NO_LEARN) && !defined(EDGE_SMALL)
#define EDGE_TO_LEARN(...) __VA_ARGS__
#else
#define EDGE_TO_LEARN(...)
#endif

// The kernels of this machine. Returns a constant table.
const edge_kernels_t *edge_kernels(void);

// Desktop processors: chosen at run time, so that one library runs everywhere.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(EDGE_PORTABLE) && !defined(EDGE_SMALL) && \
    !defined(EDGE_NO_LEARN)
#define EDGE_AVX2 1
const edge_kernels_t *edge_avx2_kernels(void);
const edge_kernels_t *edge_avx512_kernels(void);
uint64_t edge_avx2_errors(const edge_errors_t *e, uint32_t first, uint32_t n, int16_t *eps,
                          uint32_t *largest);
uint32_t edge_avx2_fire(const int32_t *u, const uint16_t *last, const edge_threshold_t *th, uint32_t t,
                        uint32_t first, uint32_t n);
#endif

// Kernels that may be NULL: whether any table of this machine has them. EDGE_ANY_TABLE: the table is another's, and may.
#if defined(EDGE_AVX2) || defined(EDGE_ANY_TABLE)
#define EDGE_WIDE 1  // list_spikes, record
#else
#define EDGE_WIDE 0
#endif
#if defined(EDGE_ARM_THUMB2) || defined(EDGE_ANY_TABLE)
#define EDGE_RESTART 1  // restart
#else
#define EDGE_RESTART 0
#endif
#if EDGE_WIDE || defined(EDGE_ARM_THUMB2) || defined(EDGE_ARM_V6M) || defined(EDGE_RV32)
#define EDGE_TOGETHER 1  // errors
#else
#define EDGE_TOGETHER 0
#endif

#ifdef EDGE_ARM_THUMB2
const edge_kernels_t *edge_arm_kernels(void);
#endif

#ifdef EDGE_ARM_V6M
const edge_kernels_t *edge_v6m_kernels(void);
#endif

#ifdef EDGE_RV32
const edge_kernels_t *edge_rv32_kernels(void);
#endif

/// Portable C, also for what no core needs faster ///

// The table of portable kernels. Returns it.
const edge_kernels_t *edge_portable_kernels(void);

// Its fire.
uint32_t edge_portable_fire(const int32_t *u, const uint16_t *last, const edge_threshold_t *th, uint32_t t,
                            uint32_t first, uint32_t n);

// Neurons first .. first + n - 1 (n <= 32) that are due, as bits.
static inline uint32_t edge_fire(const edge_firing_t *f, uint32_t first, uint32_t n) {
    return EDGE_FAST ? edge_kernels()->fire(f->u, f->last, f->threshold, f->t, first, n)
                     : edge_portable_fire(f->u, f->last, f->threshold, f->t, first, n);
}

// Its update.
edge_moves_t edge_portable_update(uint8_t *w, uint32_t m4, const edge_tile_t *tile, uint32_t from,
                                  uint32_t to);

// What it tests rows of a tile with.
void edge_prepare_tests(edge_tests_t *tests, const edge_tile_t *tile, uint32_t groups);

// Errors for tables of kernels without vectors, whole tiles only, as the table's `lanes` want them.
uint64_t edge_word_errors(const edge_errors_t *e, uint32_t first, uint32_t n, int16_t *eps,
                          uint32_t *largest);

// Moves four 8-bit weights by their packed sums and random word. Returns how many changed.
uint32_t edge_move_group(uint8_t *w, uint32_t pair02, uint32_t pair13, uint32_t a);

// u <- floor(u / 2) of n neurons.
void edge_leak(int32_t *u, uint32_t n);

// u[i] += x * w of one row, 8 or 10 bits; |x| <= 128.
void edge_add_row(int32_t *u, const uint8_t *row, uint32_t bits, uint32_t m4, int32_t x);

// lowbias32 of docs/arithmetic.md 3.6.
static inline uint32_t edge_hash(uint32_t x) {
    x ^= x >> 16;
    x *= 0x7feb352du;
    x ^= x >> 15;
    x *= 0x846ca68bu;
    return x ^ x >> 16;
}

// The random word of four weights.
static inline uint32_t edge_random(uint32_t row_key, uint32_t column_key) {
    const uint32_t r = row_key * column_key;
    return r ^ r >> 16;
}

static inline uint32_t edge_rotate_right(uint32_t x, uint32_t n) { return n ? x >> n | x << (32 - n) : x; }

// How one weight of any width moves (docs/arithmetic.md 3.7). w: one or two bytes; carry: one byte or NULL.
//
// Returns 1 if it changed, else 0.
uint32_t edge_move(uint8_t *w, uint32_t bits, uint8_t *carry, int32_t sum, uint32_t r16);

#endif
