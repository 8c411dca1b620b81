// The kernels of Armv6-M cores (Cortex-M0, M0+): assembly, and what it leaves to C.
// SPDX-License-Identifier: Apache-2.0
#include "kernels.h"

#ifdef EDGE_ARM_V6M
// In v6m_forward.S.
void edge_v6m_add_rows(int32_t *u, const uint8_t *w, uint32_t m4, const uint16_t *list, uint32_t n,
                       uint32_t leak);
uint32_t edge_v6m_fire(const int32_t *u, const uint16_t *last, int32_t alpha, int32_t theta, uint32_t n);

// Rows still to update.
typedef struct edge_v6m_rows {
    const uint8_t *history, *history_end;
    uint32_t history_bytes, seed;
    uint8_t *w;
    uint32_t m4;
    const uint32_t *eps;
    uint32_t stride;     // bytes from step to step; 0 if flat
    uint32_t flat, few;  // few: times 4
    const edge_bounds_t *tests;
    uint32_t moved, spikes;  // so far; spikes: times 4
    edge_row_t row;
} edge_v6m_rows_t;

// In v6m_update.S.
void edge_v6m_update_rows(edge_v6m_rows_t *rows);

static uint32_t fire(const int32_t *u, const uint16_t *last, const edge_threshold_t *th, uint32_t t,
                     uint32_t first, uint32_t n) {
    const uint32_t fours = n & ~(uint32_t)3;
    if (th->theta0s || fours == 0) return edge_portable_fire(u, last, th, t, first, n);
    const int32_t theta = th->theta0 + 255 - th->alpha * ((int32_t)t - 1 + th->ahead);
    const uint32_t fired = edge_v6m_fire(u + first, last + first, th->alpha, theta, fours);
    if (fours == n) return fired;
    return fired | edge_portable_fire(u, last, th, t, first + fours, n - fours) << fours;
}

#ifndef EDGE_NO_LEARN
static edge_moves_t update(uint8_t *w, uint32_t m4, const edge_tile_t *tile, uint32_t from, uint32_t to) {
    const uint32_t bytes = tile->history_bytes;
    if (tile->words < 4 || bytes < 4 || bytes > 8) return edge_portable_update(w, m4, tile, from, to);
    // What has no error does not move: rows are tested by fours of groups and summed by twos.
    const uint32_t groups = tile->words < 8 ? 2 : (tile->groups + 3) & ~(uint32_t)3;
    edge_tests_t tests;
    edge_prepare_tests(&tests, tile, groups);
    edge_v6m_rows_t rows = {.history = tile->history + (size_t)from * bytes,
                            .history_end = tile->history + (size_t)to * bytes,
                            .history_bytes = bytes,
                            .seed = tile->row_seed + 2 * from,
                            .w = w + (size_t)from * m4,
                            .m4 = m4,
                            .eps = tile->eps,
                            .stride = tile->flat ? 0 : 4 * tile->words,
                            .flat = tile->flat,
                            .few = 4 * tests.few,
                            .tests = tests.bounds[0],
                            .moved = 0,
                            .spikes = 0,
                            .row = {0, tile->column_keys, tile->column_keys + groups}};
    edge_v6m_update_rows(&rows);
    return (edge_moves_t){rows.moved, rows.spikes / 4};
}
#endif

const edge_kernels_t *edge_v6m_kernels(void) {
    static const edge_kernels_t kernels = {.together = 1,
                                           .add_rows = edge_v6m_add_rows,
                                           .fire = fire,
                                           EDGE_TO_LEARN(.update = update, .errors = edge_word_errors)};
    return &kernels;
}
#else
// An empty translation unit is not C.
typedef int edge_no_v6m_t;
#endif
