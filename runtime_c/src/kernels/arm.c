// The kernels of Thumb-2 cores (Cortex-M3, M4, M7, M33, M55): assembly, and what it leaves to portable C.
// SPDX-License-Identifier: Apache-2.0
#include "spikes.h"

#ifdef EDGE_ARM_THUMB2
#ifdef EDGE_LANES
#define LANES 1
#else
#define LANES 0
#endif
#if defined(EDGE_ARM_DSP) && !defined(EDGE_ARM_HELIUM)
#define LARGEST_ALPHA INT16_MAX
#else
#define LARGEST_ALPHA INT32_MAX
#endif

// In arm_forward.S or helium_forward.S.
void edge_arm_add_rows(int32_t *u, const uint8_t *w, uint32_t m4, const uint16_t *list, uint32_t n,
                       uint32_t leak);
uint32_t edge_arm_fire(const int32_t *u, const uint16_t *last, int32_t alpha, int32_t theta, uint32_t n);
void edge_arm_fire_words(const edge_firing_t *f, uint32_t words, uint8_t *spikes, int32_t theta);

// In arm_update.S.
edge_moves_t edge_arm_update(uint8_t *w, uint32_t m4, const edge_tile_t *tile, uint32_t from, uint32_t to);

#ifndef EDGE_NO_LEARN
// What edge_arm_errors is given (arm_errors.S), and how far it has come.
typedef struct edge_arm_errors {
    const uint8_t *history, *gates;  // of the next neuron, rows of `bytes`
    int32_t bytes;
    int32_t low_at, low_shift, high_at,
        high_shift;  // words of a row, from its start: its first 32 steps, and those after
    const uint8_t *weights;
    uint32_t m4;
    const int16_t *scores;
    int16_t *eps;
    uint32_t neuron, neurons;
    uint32_t *largest;
    uint32_t stride;  // in bytes
    uint32_t down_half, down_shift;
    int32_t error_limit;
    int32_t scale, linear;
    int32_t rate_left, rate_half, rate_right, update_limit;
    uint32_t reset_mult;
    int32_t theta, alpha;  // of a spike `since` steps after another: theta - alpha since, not yet held at 0
    uint32_t reset_half[2], reset_shift;
    uint32_t *cursor;
    const uint8_t *gate_bytes;
} edge_arm_errors_t;

// In arm_errors.S. The tile is zero; m4 of the readout is a multiple of 4, not 0.
void edge_arm_errors(const edge_arm_errors_t *e, uint64_t *spiking);
#endif

// Called from there.
void edge_arm_update_row(uint8_t *row, const edge_tile_t *tile, const uint8_t *history, edge_moves_t *moves,
                         uint32_t row_seed);

static uint32_t fire(const int32_t *u, const uint16_t *last, const edge_threshold_t *th, uint32_t t,
                     uint32_t first, uint32_t n) {
    const uint32_t fours = n & ~(uint32_t)3;
    if (th->theta0s || th->alpha > LARGEST_ALPHA || fours == 0)
        return edge_portable_fire(u, last, th, t, first, n);
    const int32_t theta = th->theta0 + 255 - th->alpha * ((int32_t)t - 1 + th->ahead);
    const uint32_t fired = edge_arm_fire(u + first, last + first, th->alpha, theta, fours);
    if (fours == n) return fired;
    return fired | edge_portable_fire(u, last, th, t, first + fours, n - fours) << fours;
}

static void restart(const edge_firing_t *f, uint32_t n, uint8_t *spikes) {
    const edge_threshold_t *th = f->threshold;
    const int32_t theta = th->theta0 + 255 - th->alpha * ((int32_t)f->t - 1 + th->ahead);
    uint32_t first = 0;
    if (!th->theta0s && th->alpha <= LARGEST_ALPHA && theta >= 0 && n >= 32) {
        edge_arm_fire_words(f, n / 32, spikes, theta);
        first = n & ~(uint32_t)31;
    }
    for (; first < n; first += 32) {
        const uint32_t left = n - first;
        const uint32_t fired = fire(f->u, f->last, th, f->t, first, left < 32 ? left : 32);
        edge_store32(spikes + first / 8, fired);
        if (fired) (void)edge_restart_fired(f, first, fired);
    }
}

// A row with more spikes than edge_arm_update lists; it counts them times four.
void edge_arm_update_row(uint8_t *row, const edge_tile_t *tile, const uint8_t *history, edge_moves_t *moves,
                         uint32_t row_seed) {
    const uint32_t row_key = edge_hash(row_seed) | 1;
    int32_t sums[EDGE_MAX_TILE] = {0};
    uint32_t spikes = 0;
    for (uint32_t b = 0; b < tile->history_bytes; b++) {
        for (uint32_t bits = history[b]; bits; bits &= bits - 1, spikes++) {
            const uint32_t step = tile->flat ? 0 : 8 * b + edge_lowest_bit(bits);
            const uint32_t *eps = tile->eps + (size_t)step * tile->words;
            for (uint32_t i = 0; i < 2 * tile->groups; i++) {
                const int32_t low = edge_signed16((uint16_t)(eps[i] & 0xFFFF));
                const uint32_t borrowed = LANES ? 0 : (uint32_t)low;
                sums[2 * i] += low;
                sums[2 * i + 1] += edge_signed16((uint16_t)((eps[i] - borrowed) >> 16));
            }
        }
    }
    moves->spikes += 4 * (tile->flat ? 1 : spikes);
    for (uint32_t g = 0; g < tile->groups; g++) {
        const uint32_t a = edge_random(row_key, tile->column_keys[g]);
        for (uint32_t k = 0; k < 4; k++) {
            const int32_t sum = sums[4 * g + 2 * (k % 2) + k / 2];
            moves->moved += edge_move(row + 4 * g + k, 8, NULL, sum, edge_rotate_right(a, 8 * k) & 0xFFFF);
        }
    }
}

#ifndef EDGE_NO_LEARN
static uint64_t errors(const edge_errors_t *e, uint32_t first, uint32_t n, int16_t *eps, uint32_t *largest) {
    const edge_threshold_t *th = e->threshold;
    if (th->theta0s) return edge_word_errors(e, first, n, eps, largest);
    const int32_t bytes = (int32_t)e->history_bytes, shift = 8 * (bytes < 4 ? 4 - bytes : 8 - bytes);
    const uint32_t row = first * e->history_bytes;
    const uint32_t down = e->down_shift, right = e->rate > 0 ? (uint32_t)e->rate : 0;
    edge_arm_errors_t a = {.history = e->history + row, .gates = (e->cursor ? e->history : e->gates) + row};
    a.bytes = bytes;
    a.high_at = bytes - 4;
    a.high_shift = shift;
    if (bytes < 4) {
        a.low_at = bytes - 4;
        a.low_shift = shift;
        a.high_shift = 32;
    }
    a.weights = e->weights + (size_t)first * e->m4;
    a.m4 = e->m4;
    a.scores = e->scores;
    a.eps = eps;
    a.neurons = n;
    a.largest = largest;
    a.stride = 2 * e->stride;
    a.down_half = (uint32_t)1 << down >> 1;
    a.down_shift = down;
    a.error_limit = e->error_limit;
    a.scale = e->reset_mult ? 2 : 0;
    a.linear = e->cursor != NULL;
    a.rate_left = e->rate < 0 ? -e->rate : 0;
    a.rate_half = (int32_t)((uint32_t)1 << right >> 1);
    a.rate_right = (int32_t)right;
    a.update_limit = e->update_limit;
    a.reset_mult = e->reset_mult;
    a.theta = th->theta0 + th->alpha * (1 - th->ahead);
    a.alpha = th->alpha;
    const uint64_t reset_half = (uint64_t)1 << e->reset_shift >> 1;
    a.reset_half[0] = (uint32_t)(reset_half & 0xFFFFFFFF);
    a.reset_half[1] = (uint32_t)(reset_half >> 32);
    a.reset_shift = e->reset_shift;
    a.cursor = e->cursor;
    a.gate_bytes = e->gates;
    uint64_t spiking;
    edge_clear(eps, (size_t)2 * e->stride * e->window);
    edge_arm_errors(&a, &spiking);
    return spiking;
}
#endif

const edge_kernels_t *edge_arm_kernels(void) {
    static const edge_kernels_t kernels = {.lanes = LANES,
                                           .together = 1,
                                           .add_rows = edge_arm_add_rows,
                                           .fire = fire,
                                           .restart = restart,
                                           EDGE_TO_LEARN(.update = edge_arm_update, .errors = errors)};
    return &kernels;
}
#else
// An empty translation unit is not C.
typedef int edge_no_arm_t;
#endif
