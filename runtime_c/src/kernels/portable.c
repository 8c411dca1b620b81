// The hot loops in portable C: words as lanes, so that a 32-bit core adds two or four numbers at once.
// SPDX-License-Identifier: Apache-2.0
#include "kernels.h"

#define EVEN 0x00FF00FFu
#define SIGNS 0x80808080u

// floor(u / 2) for every sign: C's >> is not relied on.
void edge_leak(int32_t *u, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) u[i] = (u[i] - (int32_t)((uint32_t)u[i] & 1)) / 2;
}

void edge_add_row(int32_t *u, const uint8_t *row, uint32_t bits, uint32_t m4, int32_t x) {
    if (bits == 8) {
        for (uint32_t i = 0; i < m4; i++) u[i] += x * ((int32_t)(row[i] ^ 0x80u) - 128);
    } else {
        for (uint32_t i = 0; i < m4; i++) u[i] += x * edge_tensor16(row, i);
    }
}

// Weights seen as w + 128, so that lanes never borrow: 64 * 255 < 2^16. The offset leaves with the total.
static void add_rows(int32_t *u, const uint8_t *w, uint32_t m4, const uint16_t *list, uint32_t n) {
    const int32_t offset = 128 * (int32_t)n;
    uint32_t i = 0;
    for (; i + 8 <= m4; i += 8) {
        uint32_t even0 = 0, odd0 = 0, even1 = 0, odd1 = 0;
        for (uint32_t k = 0; k < n; k++) {
            const uint8_t *row = w + (size_t)list[k] * m4 + i;
            const uint32_t a = edge_word(row) ^ SIGNS, b = edge_word(row + 4) ^ SIGNS;
            even0 += a & EVEN;
            odd0 += (a >> 8) & EVEN;
            even1 += b & EVEN;
            odd1 += (b >> 8) & EVEN;
        }
        u[i] += (int32_t)(even0 & 0xFFFF) - offset;
        u[i + 1] += (int32_t)(odd0 & 0xFFFF) - offset;
        u[i + 2] += (int32_t)(even0 >> 16) - offset;
        u[i + 3] += (int32_t)(odd0 >> 16) - offset;
        u[i + 4] += (int32_t)(even1 & 0xFFFF) - offset;
        u[i + 5] += (int32_t)(odd1 & 0xFFFF) - offset;
        u[i + 6] += (int32_t)(even1 >> 16) - offset;
        u[i + 7] += (int32_t)(odd1 >> 16) - offset;
    }
    if (i < m4) {
        uint32_t even = 0, odd = 0;
        for (uint32_t k = 0; k < n; k++) {
            const uint32_t a = edge_word(w + (size_t)list[k] * m4 + i) ^ SIGNS;
            even += a & EVEN;
            odd += (a >> 8) & EVEN;
        }
        u[i] += (int32_t)(even & 0xFFFF) - offset;
        u[i + 1] += (int32_t)(odd & 0xFFFF) - offset;
        u[i + 2] += (int32_t)(even >> 16) - offset;
        u[i + 3] += (int32_t)(odd >> 16) - offset;
    }
}

// A threshold is never negative, so a negative membrane potential never fires.
static uint32_t fire(const int32_t *u, const uint16_t *last, const edge_threshold_t *th, uint32_t t,
                     uint32_t first, uint32_t n) {
    uint32_t fired = 0;
    for (uint32_t k = 0; k < n; k++) {
        const uint32_t i = first + k;
        if (u[i] >= 0 && u[i] >= edge_ceiling(edge_theta(th, i, t - last[i]))) fired |= (uint32_t)1 << k;
    }
    return fired;
}

uint32_t edge_move(uint8_t *w, uint32_t bits, uint8_t *carry, int32_t sum, uint32_t r16) {
    const int32_t low = bits == 8 ? -128 : -512, high = -low - 1;
    const int32_t old = bits == 8 ? (int32_t)(*w ^ 0x80u) - 128 : edge_tensor16(w, 0);
    int32_t moved = 0;
    if (carry) {
        const int32_t before = 256 * old + *carry;
        int32_t v = before + edge_floor32(sum + (int32_t)(r16 >> 9), 7);
        v = v < 256 * low ? 256 * low : v > 256 * high + 255 ? 256 * high + 255 : v;
        *carry = (uint8_t)((uint32_t)v & 0xFF);
        moved = edge_floor32(v, 8);
        if (v == before) return 0;
    } else {
        moved = old + edge_floor32(sum + (int32_t)(r16 >> 1), 15);
        moved = moved < low ? low : moved > high ? high : moved;
        if (moved == old) return 0;
    }
    if (bits == 8)
        *w = (uint8_t)((uint32_t)moved & 0xFF);
    else
        edge_store16(w, (uint16_t)((uint32_t)moved & 0xFFFF));
    return 1;
}

// The sum of a packed pair: lanes are added as one word, low + 65536 high modulo 2^32, and each fits int16.
static int32_t low_lane(uint32_t pair) { return edge_signed16((uint16_t)(pair & 0xFFFF)); }

static int32_t high_lane(uint32_t pair) {
    return edge_signed16((uint16_t)((pair - (uint32_t)low_lane(pair)) >> 16));
}

uint32_t edge_move_group(uint8_t *w, uint32_t pair02, uint32_t pair13, uint32_t a) {
    return edge_move(w, 8, NULL, low_lane(pair02), a & 0xFFFF) +
           edge_move(w + 1, 8, NULL, low_lane(pair13), edge_rotate_right(a, 8) & 0xFFFF) +
           edge_move(w + 2, 8, NULL, high_lane(pair02), a >> 16) +
           edge_move(w + 3, 8, NULL, high_lane(pair13), edge_rotate_right(a, 24) & 0xFFFF);
}

// A weight moves exactly if bit 15 of S + r is set: S + r is in 32768 .. 65534 (up) or in -32768 .. -1
// (down). A low lane below zero borrows one from the high lane, which may hide the high lane's bit, but then
// the low lane's own bit is set.
static uint32_t update_row(uint8_t *w, const uint32_t *sums, uint32_t groups, uint32_t row_key,
                           const uint32_t *column_keys) {
    uint32_t moved = 0;
    for (uint32_t g = 0; g < groups; g++) {
        const uint32_t a = edge_random(row_key, column_keys[g]);
        const uint32_t pair02 = sums[2 * g] + (a >> 1 & 0x7FFF7FFF);
        const uint32_t pair13 = sums[2 * g + 1] + (edge_rotate_right(a, 9) & 0x7FFF7FFF);
        if ((pair02 | pair13) & 0x80008000)
            moved += edge_move_group(w + 4 * g, sums[2 * g], sums[2 * g + 1], a);
    }
    return moved;
}

// Adds the eps rows of one input's spikes. Returns how many.
static uint32_t sum_row(uint32_t *sums, const edge_tile_t *tile, const uint8_t *history) {
    const uint32_t words = 2 * tile->groups;
    uint32_t spikes = 0;
    for (uint32_t b = 0; b < tile->history_bytes; b++) {
        for (uint32_t bits = history[b]; bits; bits &= bits - 1, spikes++) {
            if (tile->flat) continue;
            const uint32_t *eps = tile->eps + (size_t)(8 * b + edge_lowest_bit(bits)) * tile->words;
            if (spikes == 0) memset(sums, 0, 4 * (size_t)words);
            for (uint32_t k = 0; k < words; k++) sums[k] += eps[k];
        }
    }
    if (!tile->flat || !spikes) return spikes;
    for (uint32_t k = 0; k < words; k++) sums[k] = spikes * tile->eps[k];
    return 1;
}

static edge_moves_t update(uint8_t *w, uint32_t m4, const edge_tile_t *tile, uint32_t from, uint32_t to) {
    edge_moves_t moves = {0, 0};
    for (uint32_t j = from; j < to; j++) {
        uint32_t sums[EDGE_MAX_TILE / 2];
        const uint32_t spikes = sum_row(sums, tile, tile->history + (size_t)j * tile->history_bytes);
        if (spikes == 0) continue;
        moves.spikes += spikes;
        moves.moved += update_row(w + (size_t)j * m4, sums, tile->groups,
                                  edge_hash(tile->row_seed + 2 * j) | 1, tile->column_keys);
    }
    return moves;
}

const edge_kernels_t *edge_portable_kernels(void) {
    static const edge_kernels_t kernels = {add_rows, fire, update};
    return &kernels;
}
