// The hot loops for x86-64 with AVX-512 (and VBMI, which moves bytes about): the same bits as portable.c and learn.c.
// SPDX-License-Identifier: Apache-2.0
#include "kernels.h"
#include "spikes.h"

#ifdef EDGE_AVX2
#include "avx2.h"

#define AVX512                                                                                       \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vbmi2,avx2,bmi,bmi2," \
                          "popcnt")))
#define AVX512_INLINE AVX512 __attribute__((always_inline)) static inline

/// Inference ///

AVX512_INLINE __m512i load(const void *p) { return _mm512_loadu_si512(p); }

AVX512_INLINE __m512i widened(const uint8_t *w) { return _mm512_cvtepi8_epi16(load32(w)); }

// u[0 .. 31] <- floor(u / 2^leak) + thirty-two 16-bit sums.
AVX512_INLINE void add_sums(int32_t *u, __m512i sums, __m128i leak) {
    const __m512i low = _mm512_cvtepi16_epi32(_mm512_castsi512_si256(sums));
    const __m512i high = _mm512_cvtepi16_epi32(_mm512_extracti64x4_epi64(sums, 1));
    _mm512_storeu_si512(u, _mm512_add_epi32(_mm512_sra_epi32(load(u), leak), low));
    _mm512_storeu_si512(u + 16, _mm512_add_epi32(_mm512_sra_epi32(load(u + 16), leak), high));
}

AVX512 static void add_rows(int32_t *u, const uint8_t *w, uint32_t m4, const uint16_t *list, uint32_t n,
                            uint32_t leak) {
    if (m4 % 128) {
        edge_avx2_kernels()->add_rows(u, w, m4, list, n, leak);
        return;
    }
    const __m128i shift = _mm_cvtsi32_si128((int32_t)leak);
    const uint16_t *const end = list + n;
    for (uint32_t i = 0; i < m4; i += 128, w += 128, u += 128) {
        __m512i a = _mm512_setzero_si512(), b = a, c = a, d = a;
        for (const uint16_t *line = list; line < end; line++) {
            const uint8_t *row = w + (size_t)*line * m4;
            a = _mm512_add_epi16(a, widened(row));
            b = _mm512_add_epi16(b, widened(row + 32));
            c = _mm512_add_epi16(c, widened(row + 64));
            d = _mm512_add_epi16(d, widened(row + 96));
        }
        add_sums(u, a, shift);
        add_sums(u + 32, b, shift);
        add_sums(u + 64, c, shift);
        add_sums(u + 96, d, shift);
    }
}

// Fires sixteen neurons of the lanes `real`; gates: of all lanes. Returns who fires.
AVX512_INLINE __mmask16 fire_sixteen(int32_t *u, uint16_t *last, __m512i theta, __m512i alpha, __m128i *gates,
                                     __mmask16 real, const edge_firing_t *f) {
    const __m512i up = _mm512_set1_epi32(255), most = _mm512_set1_epi32((int32_t)f->gate_most);
    const __m512i potential = _mm512_maskz_loadu_epi32(real, u);
    const __m256i before = _mm256_maskz_loadu_epi16(real, last);
    const __m512i decayed = _mm512_mullo_epi32(alpha, _mm512_cvtepu16_epi32(before));
    const __m512i least = _mm512_srli_epi32(_mm512_max_epi32(_mm512_add_epi32(theta, decayed), up), 8);
    const __mmask16 fired = _mm512_mask_cmpge_epi32_mask(real, potential, least);
    const __m512i distance = _mm512_min_epu32(_mm512_sub_epi32(potential, least), most);
    const __m512i scaled = _mm512_mullo_epi32(distance, _mm512_set1_epi32((int32_t)f->gate_mult));
    const __m512i lost = _mm512_srl_epi32(scaled, _mm_cvtsi32_si128((int32_t)f->gate_shift));
    *gates = _mm512_cvtepi32_epi8(_mm512_sub_epi32(up, _mm512_min_epu32(lost, up)));
    const __m512i after = _mm512_mask_mov_epi32(potential, fired, _mm512_setzero_si512());
    const __m256i later = _mm256_mask_mov_epi16(before, fired, _mm256_set1_epi16((int16_t)f->t));
    if (real == 0xFFFF) {  // masked stores are slow
        _mm512_storeu_si512(u, after);
        store32(last, later);
    } else {
        _mm512_mask_storeu_epi32(u, real, after);
        _mm256_mask_storeu_epi16(last, real, later);
    }
    return fired;
}

#define LISTED 512

AVX512 static uint32_t record(const edge_firing_t *firing, uint32_t n, uint8_t *spikes, uint8_t *gates) {
    const edge_firing_t f = *firing;  // bytes may be written anywhere
    const edge_threshold_t th = *f.threshold;
    const __m512i now = _mm512_set1_epi32((int32_t)f.t - 1 + th.ahead), up = _mm512_set1_epi32(255);
    __m512i alpha[2], theta[2];
    alpha[0] = alpha[1] = _mm512_set1_epi32(th.alpha);
    theta[0] = theta[1] =
        _mm512_sub_epi32(_mm512_set1_epi32(th.theta0 + 255), _mm512_mullo_epi32(alpha[0], now));
    uint8_t *gate = gates, *history = f.history;
    // Those that fire, and not a branch for each: who does, no processor can guess.
    uint16_t list[LISTED + 32], lines[32];
    uint32_t count = 0;
    for (uint32_t k = 0; k < 32; k++) lines[k] = (uint16_t)k;
    const __m512i each = load(lines);
    for (uint32_t i = 0; i < n; i += 32, spikes += 4) {
        __m128i kept[2];
        uint32_t fired = 0;
        for (uint32_t h = 0; h < 2; h++) {
            const uint32_t at = i + 16 * h, left = n > at ? n - at : 0;
            const __mmask16 real = (__mmask16)(left < 16 ? (1u << left) - 1 : 0xFFFF);
            if (th.theta0s) {
                alpha[h] = _mm512_maskz_loadu_epi32(real, th.alphas + 4 * (size_t)at);
                const __m512i fresh = _mm512_maskz_loadu_epi32(real, th.theta0s + 4 * (size_t)at);
                theta[h] = _mm512_sub_epi32(_mm512_add_epi32(fresh, up), _mm512_mullo_epi32(alpha[h], now));
            }
            const __mmask16 these =
                fire_sixteen(f.u + at, f.last + at, theta[h], alpha[h], kept + h, real, &f);
            fired |= _cvtmask16_u32(these) << 16 * h;
        }
        memcpy(spikes, &fired, sizeof fired);
        const __m256i both = _mm256_inserti128_si256(_mm256_castsi128_si256(kept[0]), kept[1], 1);
        store32(gate, _mm256_maskz_compress_epi8(fired, both));
        const __m512i here = _mm512_add_epi16(_mm512_set1_epi16((int16_t)(i % LISTED)), each);
        _mm512_storeu_si512(list + count, _mm512_maskz_compress_epi16(fired, here));
        const uint32_t more = (uint32_t)__builtin_popcount(fired);
        gate += more;
        count += more;
        if ((i + 32) % LISTED && i + 32 < n) continue;
        edge_mark_lines(history, f.bytes, f.bit, list, count);
        history += LISTED * f.bytes;
        count = 0;
    }
    return (uint32_t)(gate - gates);
}

AVX512 static uint32_t list_spikes(uint16_t *list, uint32_t room, const uint8_t *spikes, uint32_t *line,
                                   uint32_t lines) {
    uint16_t each[32];
    for (uint32_t k = 0; k < 32; k++) each[k] = (uint16_t)k;
    const __m512i numbers = load(each);
    uint32_t count = 0, j = *line;
    for (; j < lines && count < room; j += 32) {
        uint32_t bits = 0;
        const uint32_t left = lines - j;
        if (left >= 32) {
            memcpy(&bits, spikes + j / 8, 4);
        } else {
            memcpy(&bits, spikes + j / 8, (left + 7) / 8);
            bits &= ((uint32_t)1 << left) - 1;
        }
        const __m512i here = _mm512_add_epi16(_mm512_set1_epi16((int16_t)j), numbers);
        _mm512_storeu_si512(list + count, _mm512_maskz_compress_epi16(bits, here));
        count += (uint32_t)__builtin_popcount(bits);
    }
    *line = j;
    return count;
}

/// Errors ///

// Bit by step of sixteen rows of at most eight bytes. Returns which rows have any.
AVX512_INLINE uint32_t transpose(uint16_t *steps, const uint8_t *history, uint32_t bytes) {
    const uint64_t low = bytes < 4 ? ((uint64_t)1 << 16 * bytes) - 1 : ~(uint64_t)0;
    const uint64_t high = bytes < 8 ? ((uint64_t)1 << 16 * bytes % 64) - 1 : ~(uint64_t)0;
    const __m512i first = _mm512_maskz_loadu_epi8(low, history);
    const __m512i second = _mm512_maskz_loadu_epi8(bytes > 4 ? high : 0, history + 64);
    const __m128i each = _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m128i rows = _mm256_cvtepi16_epi8(
        _mm256_mullo_epi16(_mm256_cvtepu8_epi16(each), _mm256_set1_epi16((int16_t)bytes)));
    __m128i any = _mm_setzero_si128();
    for (uint32_t b = 0; b < bytes; b++) {
        const __m128i from = _mm_add_epi8(rows, _mm_set1_epi8((char)b));
        const __m128i column =
            _mm512_castsi512_si128(_mm512_permutex2var_epi8(first, _mm512_castsi128_si512(from), second));
        any = _mm_or_si128(any, column);
        for (uint32_t k = 0; k < 8; k++)
            steps[8 * b + k] = (uint16_t)_mm_test_epi8_mask(column, _mm_set1_epi8((char)(1u << k)));
    }
    return _mm_test_epi8_mask(any, any);
}

// Weights times the readout's errors, of sixteen rows; then section 3.2.
AVX512_INLINE __m512i errors_above(const edge_errors_t *e, uint32_t first) {
    int32_t sums[16];
    for (uint32_t k = 0; k < 16; k++) {
        const uint8_t *row = e->weights + (size_t)(first + k) * e->m4;
        __m128i sum = _mm_setzero_si128();
        for (uint32_t i = 0; i < e->m4; i += 8) {
            const __mmask16 real = e->m4 - i < 8 ? 0xF : 0xFF;
            const __m128i w = _mm_cvtepi8_epi16(_mm_maskz_loadu_epi8(real, row + i));
            const __m128i x = _mm_maskz_loadu_epi16((__mmask8)real, e->scores + i);
            sum = _mm_add_epi32(sum, _mm_madd_epi16(w, x));
        }
        sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4E));
        sums[k] = _mm_cvtsi128_si32(_mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xB1)));
    }
    const __m512i inter = load(sums),
                  half = _mm512_set1_epi32(e->down_shift ? (int32_t)(1u << (e->down_shift - 1)) : 0);
    const __m512i rounded = _mm512_srl_epi32(_mm512_add_epi32(_mm512_abs_epi32(inter), half),
                                             _mm_cvtsi32_si128((int32_t)e->down_shift));
    const __m512i magnitude = _mm512_min_epu32(rounded, _mm512_set1_epi32(32767));
    return _mm512_mask_sub_epi32(magnitude, _mm512_movepi32_mask(inter), _mm512_setzero_si512(), magnitude);
}

// The threshold of each step, oldest first.
AVX512_INLINE void thresholds(__m512i *thetas, const edge_errors_t *e, uint32_t first,
                              const uint16_t *steps) {
    const edge_threshold_t *th = e->threshold;
    __m512i theta0 = _mm512_set1_epi32(th->theta0), alpha = _mm512_set1_epi32(th->alpha);
    if (th->theta0s) {
        theta0 = load(th->theta0s + 4 * (size_t)first);
        alpha = load(th->alphas + 4 * (size_t)first);
    }
    __m512i theta = theta0;
    for (uint32_t t = 0; t < e->window; t++) {
        thetas[t] = _mm512_max_epi32(theta, _mm512_setzero_si512());
        theta = _mm512_mask_mov_epi32(_mm512_sub_epi32(theta, alpha), steps[t], theta0);
    }
}

// rnd(theta eps mult, shift) of magnitudes, at most 2^17: a difference to an error then saturates as the whole would.
// theta < 2^31, eps mult < 2^31, so that products fit 62 bits.
AVX512_INLINE __m512i reset_term(__m512i theta, __m512i eps, __m512i mult, __m512i half, __m128i shift) {
    const __m512i most = _mm512_set1_epi64(1 << 17);
    const __m512i even = _mm512_mul_epu32(theta, _mm512_mul_epu32(eps, mult));
    const __m512i odd =
        _mm512_mul_epu32(_mm512_srli_epi64(theta, 32), _mm512_mul_epu32(_mm512_srli_epi64(eps, 32), mult));
    const __m512i z0 = _mm512_min_epu64(_mm512_srl_epi64(_mm512_add_epi64(even, half), shift), most);
    const __m512i z1 = _mm512_min_epu64(_mm512_srl_epi64(_mm512_add_epi64(odd, half), shift), most);
    return _mm512_or_si512(z0, _mm512_slli_epi64(z1, 32));
}

// 16 G neurons; one step waits for the one after it, so several are made side by side.
AVX512_INLINE void errors_of(const edge_errors_t *e, uint32_t first, int16_t *eps, uint32_t *largest,
                             uint64_t *spiking, const uint32_t G) {
    uint16_t steps[2][8 * 8], open[2][8 * 8];
    __m512i thetas[2][8 * 8], down[2], error[2], unit[2], life[2], peak[2];
    __mmask16 negative[2];
    const uint32_t bytes = e->history_bytes;
    const __m512i zero = _mm512_setzero_si512();
    for (uint32_t g = 0; g < G; g++) {
        const size_t row = (size_t)(first + 16 * g) * bytes;
        *spiking |= (uint64_t)transpose(steps[g], e->history + row, bytes) << 16 * g;
        if (!e->cursor) transpose(open[g], e->gates + row, bytes);
        thresholds(thetas[g], e, first + 16 * g, steps[g]);
        down[g] = errors_above(e, first + 16 * g);
        error[g] = unit[g] = life[g] = peak[g] = zero;
        negative[g] = 0;
    }

    const __m512i mult = _mm512_set1_epi32((int32_t)e->reset_mult);
    const __m512i half = _mm512_set1_epi64((int64_t)(((uint64_t)1 << e->reset_shift) >> 1));
    const __m128i shift = _mm_cvtsi32_si128((int32_t)e->reset_shift);
    const __m128i left = _mm_cvtsi32_si128(e->rate < 0 ? -e->rate : 0);
    const __m128i right = _mm_cvtsi32_si128(e->rate > 0 ? e->rate : 0);
    const __m512i round = _mm512_set1_epi32(e->rate > 0 ? (int32_t)1 << (e->rate - 1) : 0);
    const __m512i limit = _mm512_set1_epi32(32767), error_limit = _mm512_set1_epi32(e->error_limit);
    const __m512i update_limit = _mm512_set1_epi32(e->update_limit);
    eps += (size_t)(e->window - 1) * e->stride;
    for (uint32_t t = e->window; t-- > 0; eps -= e->stride) {
        // error, unit: magnitudes, in both units, that go on to the step before; life: a bit for each step they live.
        const uint8_t *gates = e->cursor ? e->gates + e->cursor[t] : NULL;
        for (uint32_t g = 0; g < G; g++) {
            const __mmask16 fired = steps[g][t];
            life[g] = _mm512_srli_epi32(life[g], 1);
            const __mmask16 alive = _mm512_test_epi32_mask(life[g], life[g]);
            const __m512i z = reset_term(thetas[g][t], error[g], mult, half, shift);
            const __m512i less = _mm512_sub_epi32(down[g], z);
            const __m512i ds = _mm512_mask_add_epi32(less, negative[g], down[g], z);
            __m512i magnitude = _mm512_min_epi32(_mm512_abs_epi32(ds), limit);
            if (gates) {
                const __m128i values = load16(gates);
                __m512i gate = _mm512_cvtepu8_epi32(_mm_maskz_expand_epi8(fired, values));
                gate = _mm512_add_epi32(gate, _mm512_srli_epi32(gate, 7));
                const __m512i passed = _mm512_madd_epi16(magnitude, gate);
                magnitude = _mm512_srli_epi32(_mm512_add_epi32(passed, _mm512_set1_epi32(128)), 8);
                gates += __builtin_popcount(fired);
            } else {
                magnitude = _mm512_maskz_mov_epi32(open[g][t], magnitude);
            }
            magnitude = _mm512_min_epi32(magnitude, error_limit);
            const __m512i scaled =
                _mm512_srl_epi32(_mm512_add_epi32(_mm512_sll_epi32(magnitude, left), round), right);
            unit[g] = _mm512_maskz_srli_epi32(alive, unit[g], 1);
            unit[g] = _mm512_mask_min_epi32(unit[g], fired, scaled, update_limit);
            error[g] = _mm512_maskz_srli_epi32(alive, error[g], 1);
            error[g] = _mm512_mask_mov_epi32(error[g], fired, magnitude);
            life[g] = _mm512_mask_mov_epi32(life[g], fired, _mm512_set1_epi32(0x80));
            negative[g] = (__mmask16)((negative[g] & ~fired) | (_mm512_movepi32_mask(ds) & fired));
            peak[g] = _mm512_max_epi32(peak[g], unit[g]);
            // Of outputs 4 g to 4 g + 3, in the order of edge_tile_t.
            const __m512i signs = _mm512_mask_sub_epi32(unit[g], negative[g], zero, unit[g]);
            const __m256i halves = _mm512_cvtepi32_epi16(_mm512_shuffle_epi32(signs, (_MM_PERM_ENUM)0xD8));
            store32(eps + 16 * g, halves);
        }
        if (gates) e->cursor[t] = (uint32_t)(gates - e->gates);
    }
    for (uint32_t g = 0; g < G; g++) _mm512_storeu_si512(largest + 16 * g, peak[g]);
}

AVX512 static uint64_t errors(const edge_errors_t *e, uint32_t first, uint32_t n, int16_t *eps,
                              uint32_t *largest) {
    uint64_t spiking = 0;
    for (uint32_t k = 0; k < n; k += 32) {
        uint64_t these = 0;
        if (n - k >= 32)
            errors_of(e, first + k, eps + k, largest + k, &these, 2);
        else
            errors_of(e, first + k, eps + k, largest + k, &these, 1);
        spiking |= these << k;
    }
    return spiking;
}

/// The update ///

AVX512_INLINE __m512i hashed(__m512i x) {
    x = _mm512_xor_si512(x, _mm512_srli_epi32(x, 16));
    x = _mm512_mullo_epi32(x, _mm512_set1_epi32(0x7feb352d));
    x = _mm512_xor_si512(x, _mm512_srli_epi32(x, 15));
    x = _mm512_mullo_epi32(x, _mm512_set1_epi32((int32_t)0x846ca68bu));
    return _mm512_xor_si512(x, _mm512_srli_epi32(x, 16));
}

// Whole rows of few outputs with the same error at every step (a readout): up to sixteen groups, of several rows, at once.
AVX512 static edge_moves_t update_flat(uint8_t *w, const edge_tile_t *tile, uint32_t from, uint32_t to) {
    const uint32_t groups = tile->groups, together = 16 / groups, bytes = tile->history_bytes;
    const uint64_t last = bytes < 8 ? ((uint64_t)1 << 8 * bytes) - 1 : ~(uint64_t)0;
    uint32_t lane_keys[16] = {0}, lane_02[16] = {0}, lane_13[16] = {0}, lane_rows[16] = {0};
    for (uint32_t k = 0; k < together * groups; k++) {
        lane_keys[k] = tile->column_keys[k % groups];
        lane_02[k] = tile->eps[2 * (k % groups)];
        lane_13[k] = tile->eps[2 * (k % groups) + 1];
        lane_rows[k] = k / groups;
    }
    const __m512i keys = load(lane_keys), eps02 = load(lane_02), eps13 = load(lane_13),
                  rows = load(lane_rows);
    const __m512i keep = _mm512_set1_epi32(0x7FFF7FFF), ones = _mm512_set1_epi16(1);
    const uint8_t *const end = tile->history + (size_t)to * bytes;
    edge_moves_t moves = {0, 0};
    for (uint32_t j = from; j < to; j += together) {
        const uint32_t these = to - j < together ? to - j : together;
        const uint8_t *history = tile->history + (size_t)j * bytes;
        uint32_t counts[16] = {0}, spiking = 0;
        for (uint32_t k = 0; k < these; k++, history += bytes) {
            const uint64_t bits = spikes_of(history, (size_t)(end - history)) & last;
            counts[k] = (uint32_t)__builtin_popcountll(bits) * 0x10001u;
            spiking += bits != 0;
        }
        if (!spiking) continue;
        moves.spikes += spiking;
        const __m512i seeds = _mm512_add_epi32(_mm512_set1_epi32((int32_t)(tile->row_seed + 2 * j)),
                                               _mm512_slli_epi32(rows, 1));
        const __m512i row_keys = _mm512_or_si512(hashed(seeds), _mm512_set1_epi32(1));
        const __m512i r = _mm512_mullo_epi32(row_keys, keys);
        const __m512i a = _mm512_xor_si512(r, _mm512_srli_epi32(r, 16));
        const __m512i r02 = _mm512_and_si512(_mm512_srli_epi32(a, 1), keep);
        const __m512i r13 = _mm512_and_si512(_mm512_ror_epi32(a, 9), keep);
        const __m512i count = _mm512_permutexvar_epi32(rows, load(counts));
        const __m512i s02 = _mm512_mullo_epi16(count, eps02), s13 = _mm512_mullo_epi16(count, eps13);
        const __mmask32 move02 = _mm512_movepi16_mask(_mm512_add_epi16(s02, r02));
        const __mmask32 move13 = _mm512_movepi16_mask(_mm512_add_epi16(s13, r13));

        // One up or down, where bit 15 of S + r is set; outputs 0 and 2 of a group are the even bytes.
        const __m512i d02 = _mm512_maskz_mov_epi16(move02, _mm512_or_si512(_mm512_srai_epi16(s02, 15), ones));
        const __m512i d13 = _mm512_maskz_mov_epi16(move13, _mm512_or_si512(_mm512_srai_epi16(s13, 15), ones));
        const __m512i change = _mm512_mask_blend_epi8(0xAAAAAAAAAAAAAAAAu, d02, _mm512_slli_epi16(d13, 8));
        const __mmask16 real = (__mmask16)((1u << these * groups) - 1);
        uint8_t *const here = w + (size_t)j * 4 * groups;
        const __m512i before = _mm512_maskz_loadu_epi32(real, here), after = _mm512_adds_epi8(before, change);
        const __mmask64 moved =
            _mm512_mask_cmpneq_epi8_mask(_mm512_movepi8_mask(_mm512_movm_epi32(real)), before, after);
        moves.moved += (uint32_t)__builtin_popcountll(_cvtmask64_u64(moved));
        if (real == 0xFFFF)  // masked stores are slow
            _mm512_storeu_si512(here, after);
        else
            _mm512_mask_storeu_epi32(here, real, after);
    }
    return moves;
}

// Tiles of 64 outputs and whole rows of readouts; other ones are left to AVX2.
AVX512 static edge_moves_t update(uint8_t *w, uint32_t m4, const edge_tile_t *tile, uint32_t from,
                                  uint32_t to) {
    if (tile->flat && m4 == 4 * tile->groups && tile->history_bytes <= 8)
        return update_flat(w, tile, from, to);
    if (tile->groups != 16 || tile->flat) return edge_avx2_kernels()->update(w, m4, tile, from, to);
    static const uint32_t zeros[32];
    const __m512i keep = _mm512_set1_epi32(0x7FFF7FFF);
    // unpack works within quarters: in this order it leaves the groups in theirs. Packing to bytes undoes it.
    const __m512i order = _mm512_setr_epi32(0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15);
    const __m512i keys = _mm512_permutexvar_epi32(order, load(tile->column_keys));
    const __m512i quarters = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
    const __m512i inner =
        _mm512_broadcast_i32x4(_mm_setr_epi8(0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15));
    const __m512i ones = _mm512_set1_epi16(1);
    const uint32_t bytes = tile->history_bytes, tail = bytes % 8;
    const uint64_t last = tail ? ((uint64_t)1 << 8 * tail) - 1 : ~(uint64_t)0;
    const uint8_t *history = tile->history + (size_t)from * bytes, *end = tile->history + (size_t)to * bytes;
    edge_moves_t moves = {0, 0};
    for (uint32_t j = from; j < to; j++, history += bytes) {
        __m512i low = _mm512_setzero_si512(), high = low;
        uint32_t spikes = 0;
        const uint32_t *eps = tile->eps;
        for (uint32_t b = 0; b < bytes; b += 8, eps += 64 * 32) {
            uint64_t bits = spikes_of(history + b, (size_t)(end - history) - b);
            if (bytes - b < 8) bits &= last;
            spikes += (uint32_t)__builtin_popcountll(bits);
            // Without a branch: most rows have none to four spikes, in an order that no processor can guess.
            for (uint32_t k = 0; k < 3; k++, bits &= bits - 1) {
                const uint32_t *row = bits ? eps + (size_t)_tzcnt_u64(bits) * 32 : zeros;
                low = _mm512_add_epi16(low, load(row));
                high = _mm512_add_epi16(high, load(row + 16));
            }
            for (; bits; bits &= bits - 1) {
                const uint32_t *row = eps + (size_t)_tzcnt_u64(bits) * 32;
                low = _mm512_add_epi16(low, load(row));
                high = _mm512_add_epi16(high, load(row + 16));
            }
        }
        if (spikes == 0) continue;
        moves.spikes += spikes;

        const uint32_t row_key = edge_hash(tile->row_seed + 2 * j) | 1;
        const __m512i r = _mm512_mullo_epi32(_mm512_set1_epi32((int32_t)row_key), keys);
        const __m512i a = _mm512_xor_si512(r, _mm512_srli_epi32(r, 16));
        const __m512i r02 = _mm512_and_si512(_mm512_srli_epi32(a, 1), keep);
        const __m512i r13 = _mm512_and_si512(_mm512_ror_epi32(a, 9), keep);
        const __mmask32 move0 = _mm512_movepi16_mask(_mm512_add_epi16(low, _mm512_unpacklo_epi32(r02, r13)));
        const __mmask32 move1 = _mm512_movepi16_mask(_mm512_add_epi16(high, _mm512_unpackhi_epi32(r02, r13)));

        // One up or down, where bit 15 of S + r is set.
        const __m512i d0 = _mm512_maskz_mov_epi16(move0, _mm512_or_si512(_mm512_srai_epi16(low, 15), ones));
        const __m512i d1 = _mm512_maskz_mov_epi16(move1, _mm512_or_si512(_mm512_srai_epi16(high, 15), ones));
        const __m512i packed = _mm512_packs_epi16(d0, d1);
        const __m512i change = _mm512_shuffle_epi8(_mm512_permutexvar_epi64(quarters, packed), inner);
        uint8_t *row = w + (size_t)j * m4;
        const __m512i before = load(row), after = _mm512_adds_epi8(before, change);
        _mm512_storeu_si512(row, after);
        moves.moved += (uint32_t)__builtin_popcountll(_cvtmask64_u64(_mm512_cmpneq_epi8_mask(before, after)));
    }
    return moves;
}

const edge_kernels_t *edge_avx512_kernels(void) {
    static const edge_kernels_t kernels = {.lanes = 1,
                                           .together = 16,
                                           .add_rows = add_rows,
                                           .list_spikes = list_spikes,
                                           .fire = edge_avx2_fire,
                                           .update = update,
                                           .errors = errors,
                                           .record = record};
    return &kernels;
}
#else
// An empty translation unit is not C.
typedef int edge_no_avx512_t;
#endif
