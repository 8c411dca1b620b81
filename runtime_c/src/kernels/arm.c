// The kernels of Thumb-2 cores (Cortex-M3, M4, M7, M33, M55): assembly, and what it leaves to portable C.
// SPDX-License-Identifier: Apache-2.0
#include "kernels.h"

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

// In arm_update.S.
edge_moves_t edge_arm_update(uint8_t *w, uint32_t m4, const edge_tile_t *tile, uint32_t from, uint32_t to);

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

const edge_kernels_t *edge_arm_kernels(void) {
    static const edge_kernels_t kernels = {
        .lanes = LANES,
        .together = 1,
        .add_rows = edge_arm_add_rows,
        .fire = fire,
        EDGE_TO_LEARN(.update = edge_arm_update, .errors = edge_word_errors)};
    return &kernels;
}
#else
// An empty translation unit is not C.
typedef int edge_no_arm_t;
#endif
