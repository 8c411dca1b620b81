// The hot loops for x86-64 with AVX2: sixteen or eight lanes at once, the same bits as portable.c.
// SPDX-License-Identifier: Apache-2.0
#include "kernels.h"

#ifdef EDGE_AVX2
#include <stdbool.h>

#include "avx2.h"

AVX2_INLINE __m256i widened(const uint8_t *w) { return _mm256_cvtepi8_epi16(load16(w)); }

// u[0 .. 15] <- floor(u / 2^leak) + sixteen 16-bit sums.
AVX2_INLINE void add_sums(int32_t *u, __m256i sums, __m128i leak) {
    const __m256i low = _mm256_cvtepi16_epi32(_mm256_castsi256_si128(sums));
    const __m256i high = _mm256_cvtepi16_epi32(_mm256_extracti128_si256(sums, 1));
    store32(u, _mm256_add_epi32(_mm256_sra_epi32(load32(u), leak), low));
    store32(u + 8, _mm256_add_epi32(_mm256_sra_epi32(load32(u + 8), leak), high));
}

AVX2 static void add_rows(int32_t *u, const uint8_t *w, uint32_t m4, const uint16_t *list, uint32_t n,
                          uint32_t leak) {
    const __m128i shift = _mm_cvtsi32_si128((int32_t)leak);
    const uint16_t *const end = list + n;
    uint32_t i = 0;
    for (; i + 64 <= m4; i += 64) {
        __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
        for (const uint16_t *line = list; line < end; line++) {
            const uint8_t *row = w + (size_t)*line * m4 + i;
            a = _mm256_add_epi16(a, widened(row));
            b = _mm256_add_epi16(b, widened(row + 16));
            c = _mm256_add_epi16(c, widened(row + 32));
            d = _mm256_add_epi16(d, widened(row + 48));
        }
        add_sums(u + i, a, shift);
        add_sums(u + i + 16, b, shift);
        add_sums(u + i + 32, c, shift);
        add_sums(u + i + 48, d, shift);
    }
    for (; i + 16 <= m4; i += 16) {
        __m256i a = _mm256_setzero_si256();
        for (uint32_t k = 0; k < n; k++) a = _mm256_add_epi16(a, widened(w + (size_t)list[k] * m4 + i));
        add_sums(u + i, a, shift);
    }
    for (; i + 8 <= m4; i += 8) {
        __m256i a = _mm256_sra_epi32(load32(u + i), shift);
        for (uint32_t k = 0; k < n; k++) {
            const __m128i row =
                _mm_loadl_epi64((const __m128i *)(const void *)(w + (size_t)list[k] * m4 + i));
            a = _mm256_add_epi32(a, _mm256_cvtepi8_epi32(row));
        }
        store32(u + i, a);
    }
    if (i == m4) return;
    if (leak) edge_leak(u + i, m4 - i);
    for (uint32_t k = 0; k < n; k++) {
        const uint8_t *row = w + (size_t)list[k] * m4 + i;
        for (uint32_t o = 0; o < 4; o++) u[i + o] += (int32_t)(row[o] ^ 0x80u) - 128;
    }
}

// Eight neurons that fire, as bits: theta plus alpha times the last spike's step, where the largest of that and 255 is the
// threshold plus 255. It is below 2^31, so additions may go around.
AVX2_INLINE uint32_t fire_eight(const int32_t *u, const uint16_t *last, __m256i theta, __m256i alpha) {
    const __m256i then = _mm256_cvtepu16_epi32(load16(last));
    const __m256i up = _mm256_add_epi32(theta, _mm256_mullo_epi32(alpha, then));
    const __m256i least = _mm256_srli_epi32(_mm256_max_epi32(up, _mm256_set1_epi32(255)), 8);
    const __m256i below = _mm256_cmpgt_epi32(least, load32(u));
    return (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(below)) ^ 0xFF;
}

AVX2 uint32_t edge_avx2_fire(const int32_t *u, const uint16_t *last, const edge_threshold_t *th, uint32_t t,
                             uint32_t first, uint32_t n) {
    const __m256i now = _mm256_set1_epi32((int32_t)t - 1 + th->ahead), up = _mm256_set1_epi32(255);
    uint32_t fired = 0, k = 0;
    if (th->theta0s) {
        for (; k + 8 <= n; k += 8) {
            const size_t i = first + k;
            const __m256i alpha = load32(th->alphas + 4 * i);
            const __m256i fresh = _mm256_add_epi32(load32(th->theta0s + 4 * i), up);
            const __m256i theta = _mm256_sub_epi32(fresh, _mm256_mullo_epi32(alpha, now));
            fired |= fire_eight(u + i, last + i, theta, alpha) << k;
        }
    } else {
        const __m256i alpha = _mm256_set1_epi32(th->alpha), fresh = _mm256_set1_epi32(th->theta0 + 255);
        const __m256i theta = _mm256_sub_epi32(fresh, _mm256_mullo_epi32(alpha, now));
        for (; k + 8 <= n; k += 8) fired |= fire_eight(u + first + k, last + first + k, theta, alpha) << k;
    }
    if (k < n) fired |= edge_portable_fire(u, last, th, t, first + k, n - k) << k;
    return fired;
}

// Adds the eps row of the lowest spike of `bits` to the sums and takes it away. Without a spike it adds zeros, and
// without a branch: most rows have none to four, in an order that no processor can guess.
AVX2_INLINE uint64_t add_lowest(__m256i *sums, const uint32_t *eps, uint32_t words, uint64_t bits,
                                const uint32_t V) {
    static const uint32_t zeros[EDGE_MAX_TILE / 2];
    const uint32_t *row = eps + (size_t)_tzcnt_u64(bits) * words;
    row = bits ? row : zeros;
    for (uint32_t v = 0; v < V; v++) sums[v] = _mm256_add_epi16(sums[v], load32(row + 8 * v));
    return bits & (bits - 1);
}

// Moves sixteen weights up or down where bit 15 of S + r is set. Returns how many changed.
AVX2_INLINE uint32_t move_sixteen(uint8_t *w, __m256i sums, __m256i hits) {
    // In a row of eps the two in the middle of four outputs stand the other way round.
    const __m128i order = _mm_setr_epi8(0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15);
    const __m256i ones = _mm256_or_si256(_mm256_srai_epi16(sums, 15), _mm256_set1_epi16(1));
    const __m256i wide = _mm256_and_si256(_mm256_srai_epi16(hits, 15), ones);
    const __m128i packed = _mm_packs_epi16(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1));
    const __m128i before = load16(w);
    const __m128i after = _mm_adds_epi8(before, _mm_shuffle_epi8(packed, order));
    store16(w, after);
    const uint32_t same = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(before, after));
    return (uint32_t)__builtin_popcount(same ^ 0xFFFF);
}

// The same where only the first `n` of them exist.
AVX2_INLINE uint32_t move_some(uint8_t *w, uint32_t n, __m256i sums, __m256i hits) {
    uint8_t copy[16] = {0};
    for (uint32_t k = 0; k < n; k += 4) memcpy(copy + k, w + k, 4);
    const uint32_t moved = move_sixteen(copy, sums, hits);
    for (uint32_t k = 0; k < n; k += 4) memcpy(w + k, copy + k, 4);
    return moved;
}

// Up to 16 V outputs of a tile; `flat` as in the tile.
AVX2_INLINE edge_moves_t update_tile(uint8_t *w, uint32_t m4, const edge_tile_t *tile, uint32_t from,
                                     uint32_t to, const uint32_t V, const bool flat) {
    const __m256i keep = _mm256_set1_epi32(0x7FFF7FFF), signs = _mm256_set1_epi32((int32_t)0x80008000);
    // unpack works within halves: in this order it leaves the groups in theirs.
    const __m256i order = _mm256_setr_epi32(0, 1, 4, 5, 2, 3, 6, 7);
    __m256i keys[2];
    for (uint32_t h = 0; h < (V + 1) / 2; h++) {
        keys[h] = _mm256_permutevar8x32_epi32(load32(tile->column_keys + 8 * h), order);
    }
    const uint32_t bytes = tile->history_bytes, tail = bytes % 8, words = tile->words, groups = tile->groups;
    const uint64_t last = tail ? ((uint64_t)1 << 8 * tail) - 1 : ~(uint64_t)0;
    const uint8_t *history = tile->history + (size_t)from * bytes, *end = tile->history + (size_t)to * bytes;
    edge_moves_t moves = {0, 0};
    for (uint32_t j = from; j < to; j++, history += bytes) {
        __m256i sums[4];
        uint32_t spikes = 0;
        for (uint32_t v = 0; v < V; v++) sums[v] = _mm256_setzero_si256();
        const uint32_t *eps = tile->eps;
        for (uint32_t b = 0; b < bytes; b += 8, eps += 64 * (size_t)words) {
            uint64_t bits = spikes_of(history + b, (size_t)(end - history) - b);
            if (bytes - b < 8) bits &= last;
            spikes += (uint32_t)__builtin_popcountll(bits);
            if (flat) continue;
            for (uint32_t k = 0; k < 3; k++) bits = add_lowest(sums, eps, words, bits, V);
            while (bits) bits = add_lowest(sums, eps, words, bits, V);
        }
        if (spikes == 0) continue;
        if (flat) {
            const __m256i count = _mm256_set1_epi16((int16_t)spikes);
            for (uint32_t v = 0; v < V; v++) sums[v] = _mm256_mullo_epi16(count, load32(tile->eps + 8 * v));
            spikes = 1;
        }
        moves.spikes += spikes;

        const uint32_t row_key = edge_hash(tile->row_seed + 2 * j) | 1;
        __m256i hits[4], any = _mm256_setzero_si256();
        for (uint32_t h = 0; h < (V + 1) / 2; h++) {
            const __m256i r = _mm256_mullo_epi32(_mm256_set1_epi32((int32_t)row_key), keys[h]);
            const __m256i a = _mm256_xor_si256(r, _mm256_srli_epi32(r, 16));
            const __m256i r02 = _mm256_and_si256(_mm256_srli_epi32(a, 1), keep);
            const __m256i r13 =
                _mm256_and_si256(_mm256_or_si256(_mm256_srli_epi32(a, 9), _mm256_slli_epi32(a, 23)), keep);
            hits[2 * h] = _mm256_add_epi16(sums[2 * h], _mm256_unpacklo_epi32(r02, r13));
            any = _mm256_or_si256(any, hits[2 * h]);
            if (2 * h + 1 == V) break;
            hits[2 * h + 1] = _mm256_add_epi16(sums[2 * h + 1], _mm256_unpackhi_epi32(r02, r13));
            any = _mm256_or_si256(any, hits[2 * h + 1]);
        }
        if (_mm256_testz_si256(any, signs)) continue;

        uint8_t *row = w + (size_t)j * m4;
        for (uint32_t v = 0; v < V; v++) {
            if (4 * v + 4 <= groups)
                moves.moved += move_sixteen(row + 16 * v, sums[v], hits[v]);
            else if (4 * v < groups)
                moves.moved += move_some(row + 16 * v, 4 * groups - 16 * v, sums[v], hits[v]);
        }
    }
    return moves;
}

// Tiles of less than sixteen outputs.
static edge_moves_t update_narrow(uint8_t *w, uint32_t m4, const edge_tile_t *tile, uint32_t from,
                                  uint32_t to) {
    edge_moves_t moves = {0, 0};
    for (uint32_t j = from; j < to; j++) {
        const uint8_t *history = tile->history + (size_t)j * tile->history_bytes;
        uint32_t low[4] = {0}, high[4] = {0}, spikes = 0;
        for (uint32_t t = 0; t < 8 * tile->history_bytes; t++) {
            if (!(history[t / 8] >> t % 8 & 1)) continue;
            const uint32_t *eps = tile->eps + (tile->flat ? 0 : (size_t)t * tile->words);
            for (uint32_t k = 0; k < tile->words; k++) {
                low[k] += eps[k];
                high[k] += eps[k] >> 16;
            }
            spikes++;
        }
        if (spikes == 0) continue;
        moves.spikes += tile->flat ? 1 : spikes;
        const uint32_t row_key = edge_hash(tile->row_seed + 2 * j) | 1;
        for (uint32_t i = 0; i < 4 * tile->groups; i++) {
            const uint32_t word = (i & 2 ? high : low)[i / 4 * 2 + i % 2];
            const uint32_t a = edge_rotate_right(edge_random(row_key, tile->column_keys[i / 4]), i % 4 * 8);
            const int32_t sum = edge_signed16((uint16_t)(word & 0xFFFF));
            moves.moved += edge_move(w + (size_t)j * m4 + i, 8, NULL, sum, a & 0xFFFF);
        }
    }
    return moves;
}

AVX2 static edge_moves_t update(uint8_t *w, uint32_t m4, const edge_tile_t *tile, uint32_t from,
                                uint32_t to) {
    if (tile->words < 8) return update_narrow(w, m4, tile, from, to);
    switch ((tile->groups + 3) / 4 * 2 + (tile->flat != 0)) {
    case 2: return update_tile(w, m4, tile, from, to, 1, false);
    case 3: return update_tile(w, m4, tile, from, to, 1, true);
    case 4: return update_tile(w, m4, tile, from, to, 2, false);
    case 5: return update_tile(w, m4, tile, from, to, 2, true);
    case 6:
    case 8: return update_tile(w, m4, tile, from, to, 4, false);
    default: return update_tile(w, m4, tile, from, to, 4, true);
    }
}

const edge_kernels_t *edge_avx2_kernels(void) {
    static const edge_kernels_t kernels = {.lanes = 1,
                                           .together = 8,
                                           .add_rows = add_rows,
                                           .fire = edge_avx2_fire,
                                           .update = update,
                                           .errors = edge_avx2_errors};
    return &kernels;
}
#else
// An empty translation unit is not C.
typedef int edge_no_avx2_t;
#endif
