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

#ifdef EDGE_SMALL
static void add_rows(int32_t *u, const uint8_t *w, uint32_t m4, const uint16_t *list, uint32_t n,
                     uint32_t leak) {
    if (leak) edge_leak(u, m4);
    for (; n; n--) edge_add_row(u, w + (size_t)*list++ * m4, 8, m4, 1);
}
#else
// Sums of up to 64 words of four weights, seen as b = w + 128 so that lanes never borrow (64 * 255 < 2^16). `even` holds
// b0 + 65536 b2; `odd` holds b1 + 256 b2 + 65536 b3, of which `even` knows the middle.
static void add_four(int32_t *u, uint32_t even, uint32_t odd, int32_t offset) {
    odd -= even >> 16 << 8;
    u[0] += (int32_t)(even & 0xFFFF) - offset;
    u[1] += (int32_t)(odd & 0xFFFF) - offset;
    u[2] += (int32_t)(even >> 16) - offset;
    u[3] += (int32_t)(odd >> 16) - offset;
}

static void add_rows(int32_t *u, const uint8_t *w, uint32_t m4, const uint16_t *list, uint32_t n,
                     uint32_t leak) {
    if (leak) edge_leak(u, m4);
    const int32_t offset = 128 * (int32_t)n;
    const uint16_t *const end = list + n;
    uint32_t i = 0;
    for (; i + 8 <= m4; i += 8) {
        uint32_t even0 = 0, odd0 = 0, even1 = 0, odd1 = 0;
        for (const uint16_t *line = list; line < end; line++) {
            const uint8_t *row = w + (size_t)*line * m4;
            const uint32_t a = edge_word(row) ^ SIGNS, b = edge_word(row + 4) ^ SIGNS;
            even0 += a & EVEN;
            odd0 += a >> 8;
            even1 += b & EVEN;
            odd1 += b >> 8;
        }
        add_four(u + i, even0, odd0, offset);
        add_four(u + i + 4, even1, odd1, offset);
        w += 8;
    }
    if (i < m4) {
        uint32_t even = 0, odd = 0;
        for (const uint16_t *line = list; line < end; line++) {
            const uint32_t a = edge_word(w + (size_t)*line * m4) ^ SIGNS;
            even += a & EVEN;
            odd += a >> 8;
        }
        add_four(u + i, even, odd, offset);
    }
}

#endif

// A threshold is never negative, so a negative membrane potential never fires.
uint32_t edge_portable_fire(const int32_t *u, const uint16_t *last, const edge_threshold_t *th, uint32_t t,
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

#ifndef EDGE_SMALL
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

// Four weights of a row, from their packed sums. A weight moves exactly if bit 15 of S + r is set: S + r is in
// 32768 .. 65534 (up) or in -32768 .. -1 (down). A low lane below zero borrows one from the high lane, which may hide the
// high lane's bit, but then the low lane's own bit is set.
static inline uint32_t move_or_skip(uint8_t *w, uint32_t sum02, uint32_t sum13, uint32_t a) {
    const uint32_t hit = (sum02 + (a >> 1 & 0x7FFF7FFF)) | (sum13 + (edge_rotate_right(a, 9) & 0x7FFF7FFF));
    return hit & 0x80008000 ? edge_move_group(w, sum02, sum13, a) : 0;
}

static const uint32_t **list_steps(const uint32_t **list, const edge_tile_t *tile, const uint8_t *history) {
    const uint8_t *const end = history + tile->history_bytes;
    const uint32_t words = tile->flat ? 0 : tile->words;
    const uint32_t *eps = tile->eps, **const full = list + EDGE_MANY;
    while (history < end && list <= full) {
        uint32_t bits = *history, lines = 8;
        if (end - history >= 4) {
            bits = edge_load32(history);
            lines = 32;
        }
        for (; bits; bits &= bits - 1) *list++ = eps + edge_lowest_bit(bits) * words;
        history += lines / 8;
        eps += lines * words;
    }
    return list;
}

// A row with many spikes.
static EDGE_ALONE edge_moves_t move_long_row(uint8_t *w, const edge_tile_t *tile, const uint8_t *history,
                                             uint32_t row_key) {
    const uint32_t words = 2 * tile->groups;
    uint32_t sums[EDGE_MAX_TILE / 2] = {0};
    edge_moves_t moves = {0, 0};
    for (uint32_t b = 0; b < tile->history_bytes; b++) {
        for (uint32_t bits = history[b]; bits; bits &= bits - 1, moves.spikes++) {
            const uint32_t step = tile->flat ? 0 : 8 * b + edge_lowest_bit(bits);
            const uint32_t *eps = tile->eps + (size_t)step * tile->words;
            for (uint32_t i = 0; i < words; i++) sums[i] += eps[i];
        }
    }
    for (uint32_t g = 0; g < tile->groups; g++) {
        const uint32_t a = edge_random(row_key, tile->column_keys[g]);
        moves.moved += move_or_skip(w + 4 * g, sums[2 * g], sums[2 * g + 1], a);
    }
    return moves;
}

// One group, by the sums of its eps, `offset` words from those listed.
static inline uint32_t sum_group(uint8_t *w, const uint32_t *const *list, const uint32_t *const *end,
                                 size_t offset, uint32_t a) {
    uint32_t s0 = 0, s1 = 0;
    for (; list < end; list++) {
        const uint32_t *eps = *list + offset;
        s0 += eps[0];
        s1 += eps[1];
    }
    return move_or_skip(w, s0, s1, a);
}

// Sums stay in registers, two groups at a time.
static uint32_t sum_row(uint8_t *w, const uint32_t *const *list, const uint32_t *const *end,
                        const edge_row_t *row) {
    const uint32_t *key = row->keys;
    size_t offset = 0;
    uint32_t moved = 0;
    for (; row->keys_end - key >= 2; key += 2, offset += 4, w += 8) {
        uint32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
        for (const uint32_t *const *next = list; next < end; next++) {
            const uint32_t *eps = *next + offset;
            s0 += eps[0];
            s1 += eps[1];
            s2 += eps[2];
            s3 += eps[3];
        }
        moved += move_or_skip(w, s0, s1, edge_random(row->key, key[0]));
        moved += move_or_skip(w + 4, s2, s3, edge_random(row->key, key[1]));
    }
    if (key < row->keys_end) moved += sum_group(w, list, end, offset, edge_random(row->key, key[0]));
    return moved;
}

/// Most words of weights are left alone without their sums ///

// c of outputs whose bounds, below 64, are n / 4 times as much: rounded up.
static inline edge_bounds_t bounds_of(uint32_t times) {
    const uint32_t c = (times + 0x03030303) >> 2 & 0x3F3F3F3F;
    return (edge_bounds_t){c, 2 * c};
}

void edge_prepare_tests(edge_tests_t *tests, const edge_tile_t *tile, uint32_t groups) {
    uint32_t together = 0, sum = 0, few = 0;
    tests->few = 0;
    if (groups % 4) return;
    for (uint32_t g = 0; g < groups; g++) {
        const uint32_t bounds = edge_rotate_right(edge_word(tile->bounds + 4 * g), 24);
        together |= bounds;
        sum += (bounds & EVEN) + (bounds >> 8 & EVEN);
        for (uint32_t n = 0; n < EDGE_FEW; n++) tests->bounds[n][g] = bounds_of((n + 1) * bounds);
    }
    // Spikes for which few sums are made, on the average.
    sum = (sum & 0xFFFF) + (sum >> 16);
    while (few < EDGE_FEW && (few + 1) * sum <= groups << 7) few++;
    if (!(together & 0xC0C0C0C0)) tests->few = few;
}

// Bit 7 of a byte: it is near an end. One so near the upper end, or below 2 c, changes the bytes above it: that some byte is
// near is exact.
static inline uint32_t near_end(uint32_t a, const edge_bounds_t *bounds) {
    // NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): a row is tested only if tests->few is not 0
    const uint32_t from_end = a + bounds->c;
    return (from_end - bounds->twice) & ~from_end;
}

static uint32_t test_row(uint8_t *w, const uint32_t *const *list, const uint32_t *const *end,
                         const edge_bounds_t *bounds, const edge_row_t *row) {
    const uint32_t *key = row->keys, *const keys_end = row->keys_end, row_key = row->key;
    uint32_t moved = 0;
    for (; key < keys_end; key += 4, bounds += 4) {
        const uint32_t a0 = edge_random(row_key, key[0]), a1 = edge_random(row_key, key[1]),
                       a2 = edge_random(row_key, key[2]), a3 = edge_random(row_key, key[3]);
        const uint32_t near0 = near_end(a0, bounds), near1 = near_end(a1, bounds + 1),
                       near2 = near_end(a2, bounds + 2), near3 = near_end(a3, bounds + 3);
        if (!((near0 | near1 | near2 | near3) & SIGNS)) continue;
        const size_t group = (size_t)(key - row->keys);
        uint8_t *four = w + 4 * group;
        if (near0 & SIGNS) moved += sum_group(four, list, end, 2 * group, a0);
        if (near1 & SIGNS) moved += sum_group(four + 4, list, end, 2 * group + 2, a1);
        if (near2 & SIGNS) moved += sum_group(four + 8, list, end, 2 * group + 4, a2);
        if (near3 & SIGNS) moved += sum_group(four + 12, list, end, 2 * group + 6, a3);
    }
    return moved;
}

/// Rows ///

edge_moves_t edge_portable_update(uint8_t *w, uint32_t m4, const edge_tile_t *tile, uint32_t from,
                                  uint32_t to) {
    edge_moves_t moves = {0, 0};
    edge_tests_t tests;
    // What has no error does not move: groups may be made whole fours.
    const uint32_t groups = tile->words >= 8 ? (tile->groups + 3) & ~(uint32_t)3 : tile->groups;
    edge_prepare_tests(&tests, tile, groups);
    edge_row_t row = {0, tile->column_keys, tile->column_keys + groups};
    const uint32_t bytes = tile->history_bytes, flat = tile->flat;
    const uint8_t *history = tile->history + (size_t)from * bytes;
    const uint8_t *const history_end = tile->history + (size_t)to * bytes;
    uint32_t seed = tile->row_seed + 2 * from;
    w += (size_t)from * m4;
    for (; history < history_end; history += bytes, w += m4, seed += 2) {
        const uint32_t *list[EDGE_MANY + 32];
        const uint32_t **const end = list_steps(list, tile, history);
        const uint32_t spikes = (uint32_t)(end - list);
        if (spikes == 0) continue;
        row.key = edge_hash(seed) | 1;
        moves.spikes += flat ? 1 : spikes;
        if (spikes <= tests.few) {
            moves.moved += test_row(w, list, end, tests.bounds[spikes - 1], &row);
        } else if (spikes <= EDGE_MANY) {
            moves.moved += sum_row(w, list, end, &row);
        } else {
            const edge_moves_t all = move_long_row(w, tile, history, row.key);
            moves.moved += all.moved;
            moves.spikes += flat ? 0 : all.spikes - spikes;
        }
    }
    return moves;
}
#endif

const edge_kernels_t *edge_portable_kernels(void) {
    static const edge_kernels_t kernels = {
        .add_rows = add_rows, .fire = edge_portable_fire, EDGE_TO_LEARN(.update = edge_portable_update)};
    return &kernels;
}
