// The hot loops in portable C: words as lanes, so that a 32-bit core adds two or four numbers at once.
// SPDX-License-Identifier: Apache-2.0
#include "kernels.h"

#define EVEN 0x00FF00FFu
#define SIGNS 0x80808080u

// A hot loop that must not share its registers with what calls it.
#if defined(__GNUC__)
#define ALONE __attribute__((noinline))
#else
#define ALONE
#endif

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

// The steps of a row's spikes, some at a time.
#define STEPS 32

typedef struct steps {
    const uint8_t *next, *end;  // of the history
    uint32_t bits, step;        // those at hand, and the step of the lowest
    uint32_t upcoming;          // the step of next's lowest
    uint32_t count;
    uint16_t list[STEPS];
} steps_t;

static void more_steps(steps_t *s) {
    const uint8_t *next = s->next;
    uint32_t bits = s->bits, step = s->step, count = 0;
    for (;;) {
        for (; bits && count < STEPS; bits &= bits - 1)
            s->list[count++] = (uint16_t)(step + edge_lowest_bit(bits));
        if (bits || next == s->end) break;
        step = s->upcoming;
        if (s->end - next >= 4) {
            bits = edge_load32(next);
            next += 4;
            s->upcoming += 32;
        } else {
            bits = *next++;
            s->upcoming += 8;
        }
    }
    s->next = next;
    s->bits = bits;
    s->step = step;
    s->count = count;
}

// One row of the tile by its packed sums.
static uint32_t move_row(uint8_t *w, const uint32_t *sums, const edge_tile_t *tile, uint32_t row_key) {
    uint32_t moved = 0;
    for (uint32_t g = 0; g < tile->groups; g++) {
        const uint32_t a = edge_random(row_key, tile->column_keys[g]);
        moved += move_or_skip(w + 4 * g, sums[2 * g], sums[2 * g + 1], a);
    }
    return moved;
}

// The same for spikes that fit one list: sums stay in registers, two groups at a time.
static ALONE uint32_t sum_and_move(uint8_t *w, const steps_t *s, const edge_tile_t *tile, uint32_t row_key) {
    const uint16_t *const end = s->list + s->count;
    const uint32_t words = tile->words, *eps = tile->eps, *key = tile->column_keys;
    const uint32_t *const last = key + tile->groups;
    uint32_t moved = 0;
    for (; last - key >= 2; key += 2, eps += 4, w += 8) {
        uint32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
        for (const uint16_t *step = s->list; step < end; step++) {
            const uint32_t *row = eps + *step * words;
            s0 += row[0];
            s1 += row[1];
            s2 += row[2];
            s3 += row[3];
        }
        moved += move_or_skip(w, s0, s1, edge_random(row_key, key[0]));
        moved += move_or_skip(w + 4, s2, s3, edge_random(row_key, key[1]));
    }
    if (key < last) {
        uint32_t s0 = 0, s1 = 0;
        for (const uint16_t *step = s->list; step < end; step++) {
            const uint32_t *row = eps + *step * words;
            s0 += row[0];
            s1 += row[1];
        }
        moved += move_or_skip(w, s0, s1, edge_random(row_key, key[0]));
    }
    return moved;
}

static edge_moves_t update(uint8_t *w, uint32_t m4, const edge_tile_t *tile, uint32_t from, uint32_t to) {
    edge_moves_t moves = {0, 0};
    const uint32_t words = 2 * tile->groups;
    for (uint32_t j = from; j < to; j++) {
        steps_t s;
        s.next = tile->history + (size_t)j * tile->history_bytes;
        s.end = s.next + tile->history_bytes;
        s.bits = 0;
        s.upcoming = 0;
        more_steps(&s);
        if (s.count == 0) continue;
        const uint32_t row_key = edge_hash(tile->row_seed + 2 * j) | 1;
        uint8_t *row = w + (size_t)j * m4;
        if (!tile->flat && s.count < STEPS) {
            moves.spikes += s.count;
            moves.moved += sum_and_move(row, &s, tile, row_key);
            continue;
        }
        uint32_t sums[EDGE_MAX_TILE / 2] = {0}, spikes = 0;
        for (; s.count; more_steps(&s)) {
            spikes += s.count;
            for (uint32_t k = 0; k < s.count && !tile->flat; k++) {
                const uint32_t *eps = tile->eps + (size_t)s.list[k] * tile->words;
                for (uint32_t i = 0; i < words; i++) sums[i] += eps[i];
            }
        }
        for (uint32_t i = 0; i < words && tile->flat; i++) sums[i] = spikes * tile->eps[i];
        moves.spikes += tile->flat ? 1 : spikes;
        moves.moved += move_row(row, sums, tile, row_key);
    }
    return moves;
}

const edge_kernels_t *edge_portable_kernels(void) {
    static const edge_kernels_t kernels = {
        .add_rows = add_rows, .fire = edge_portable_fire, .update = update};
    return &kernels;
}
