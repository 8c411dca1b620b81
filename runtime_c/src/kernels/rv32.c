// The kernels of RV32IM: assembly for rows and thresholds; portable C is good enough for the update.
// SPDX-License-Identifier: Apache-2.0
#include "kernels.h"

#ifdef EDGE_RV32
// In rv32_forward.S.
void edge_rv32_add_rows(int32_t *u, const uint8_t *w, uint32_t m4, const uint16_t *list, uint32_t n,
                        uint32_t leak);
uint32_t edge_rv32_fire(const int32_t *u, const uint16_t *last, int32_t alpha, int32_t theta, uint32_t n);

static uint32_t fire(const int32_t *u, const uint16_t *last, const edge_threshold_t *th, uint32_t t,
                     uint32_t first, uint32_t n) {
    const uint32_t fours = n & ~(uint32_t)3;
    if (th->theta0s || fours == 0) return edge_portable_fire(u, last, th, t, first, n);
    const int32_t theta = th->theta0 + 255 - th->alpha * ((int32_t)t - 1 + th->ahead);
    const uint32_t fired = edge_rv32_fire(u + first, last + first, th->alpha, theta, fours);
    if (fours == n) return fired;
    return fired | edge_portable_fire(u, last, th, t, first + fours, n - fours) << fours;
}

const edge_kernels_t *edge_rv32_kernels(void) {
    static const edge_kernels_t kernels = {
        .together = 1,
        .add_rows = edge_rv32_add_rows,
        .fire = fire,
        EDGE_TO_LEARN(.update = edge_portable_update, .errors = edge_word_errors)};
    return &kernels;
}
#else
// An empty translation unit is not C.
typedef int edge_no_rv32_t;
#endif
