// Errors over time of eight neurons at once, for x86-64 with AVX2: the same bits as learn.c, one spike after another.
// SPDX-License-Identifier: Apache-2.0
#include "kernels.h"

#ifdef EDGE_AVX2

#include "avx2.h"

#define EVERY_BYTE 0x0101010101010101u

// Byte b of eight history rows, row k in byte k.
AVX2_INLINE uint64_t column_of(const uint8_t *history, uint32_t bytes, uint32_t b) {
    uint64_t column = 0;
    for (uint32_t k = 0; k < 8; k++) column |= (uint64_t)history[k * bytes + b] << 8 * k;
    return column;
}

// Bit by step of eight rows. Returns which rows have any.
AVX2_INLINE uint32_t transpose(uint8_t *steps, const uint8_t *history, uint32_t bytes) {
    uint64_t any = 0;
    for (uint32_t b = 0; b < bytes; b++) {
        const uint64_t column = column_of(history, bytes, b);
        any |= column;
        for (uint32_t k = 0; k < 8; k++)
            steps[8 * b + k] = (uint8_t)_pext_u64(column, (uint64_t)EVERY_BYTE << k);
    }
    const __m128i none = _mm_cmpeq_epi8(_mm_cvtsi64_si128((int64_t)any), _mm_setzero_si128());
    return ((uint32_t)_mm_movemask_epi8(none) ^ 0xFF) & 0xFF;
}

AVX2_INLINE __m256i lanes_of(uint32_t bits) {
    const __m256i each = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    return _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32((int32_t)bits), each), each);
}

// rnd(theta eps mult, shift) of magnitudes, at most 2^17: a difference to an error then saturates as the whole would.
// theta < 2^31, eps mult < 2^31, so that products fit 62 bits. wide: whether it can be larger.
AVX2_INLINE __m256i reset_term(__m256i theta, __m256i eps, __m256i mult, __m256i half, __m128i shift,
                               const int wide) {
    const __m256i q = _mm256_mullo_epi32(eps, mult);
    const __m256i even = _mm256_mul_epu32(theta, q);
    const __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64(theta, 32), _mm256_srli_epi64(q, 32));
    __m256i z0 = _mm256_srl_epi64(_mm256_add_epi64(even, half), shift);
    __m256i z1 = _mm256_srl_epi64(_mm256_add_epi64(odd, half), shift);
    if (wide) {
        const __m256i most = _mm256_set1_epi64x(1 << 17);
        z0 = _mm256_blendv_epi8(z0, most, _mm256_cmpgt_epi64(z0, most));
        z1 = _mm256_blendv_epi8(z1, most, _mm256_cmpgt_epi64(z1, most));
    }
    return _mm256_blend_epi32(z0, _mm256_slli_epi64(z1, 32), 0xAA);
}

// The threshold of each step, oldest first. Returns the largest theta0.
AVX2_INLINE uint32_t thresholds(__m256i *thetas, const edge_errors_t *e, uint32_t first,
                                const uint8_t *steps) {
    const edge_threshold_t *th = e->threshold;
    __m256i theta0 = _mm256_set1_epi32(th->theta0), alpha = _mm256_set1_epi32(th->alpha);
    if (th->theta0s) {
        theta0 = load32(th->theta0s + 4 * (size_t)first);
        alpha = load32(th->alphas + 4 * (size_t)first);
    }
    __m256i theta = theta0;
    for (uint32_t t = 0; t < e->window; t++) {
        thetas[t] = _mm256_max_epi32(theta, _mm256_setzero_si256());
        theta = _mm256_blendv_epi8(_mm256_sub_epi32(theta, alpha), theta0, lanes_of(steps[t]));
    }
    uint32_t each[8], largest = 0;
    store32(each, theta0);
    for (uint32_t k = 0; k < 8; k++) largest = each[k] > largest ? each[k] : largest;
    return largest;
}

// Weights times the readout's errors, of eight rows; then section 3.2.
AVX2_INLINE __m256i errors_above(const edge_errors_t *e, uint32_t first) {
    int32_t sums[8];
    for (uint32_t k = 0; k < 8; k++) {
        const uint8_t *row = e->weights + (size_t)(first + k) * e->m4;
        __m128i sum = _mm_setzero_si128();
        for (uint32_t i = 0; i < e->m4; i += 4) {
            int32_t word;
            memcpy(&word, row + i, sizeof word);
            const __m128i x = _mm_loadl_epi64((const __m128i *)(const void *)(e->scores + i));
            sum = _mm_add_epi32(sum, _mm_madd_epi16(_mm_cvtepi8_epi16(_mm_cvtsi32_si128(word)), x));
        }
        sums[k] = _mm_cvtsi128_si32(sum) + _mm_extract_epi32(sum, 1);
    }
    const __m256i inter = load32(sums);
    const __m256i half = _mm256_set1_epi32(e->down_shift ? (int32_t)(1u << (e->down_shift - 1)) : 0);
    const __m256i rounded = _mm256_srl_epi32(_mm256_add_epi32(_mm256_abs_epi32(inter), half),
                                             _mm_cvtsi32_si128((int32_t)e->down_shift));
    return _mm256_sign_epi32(_mm256_min_epu32(rounded, _mm256_set1_epi32(32767)), inter);
}

AVX2_INLINE uint32_t errors_of_eight(const edge_errors_t *e, uint32_t first, int16_t *eps,
                                     uint32_t *largest) {
    uint8_t steps[8 * 8], open[8 * 8];
    __m256i thetas[8 * 8];
    const uint32_t bytes = e->history_bytes;
    const size_t row = (size_t)first * bytes;
    const __m256i zero = _mm256_setzero_si256();
    const uint32_t spiking = transpose(steps, e->history + row, bytes);
    if (!spiking) {
        for (uint32_t t = 0; t < e->window; t++, eps += e->stride) store16(eps, _mm_setzero_si128());
        store32(largest, zero);
        return 0;
    }
    if (!e->cursor) transpose(open, e->gates + row, bytes);
    const uint32_t theta0 = thresholds(thetas, e, first, steps);
    const uint64_t half = e->reset_shift ? (uint64_t)1 << (e->reset_shift - 1) : 0;
    const uint64_t most = ((uint64_t)theta0 * 32767 * e->reset_mult + half) >> e->reset_shift;

    const __m256i mult = _mm256_set1_epi32((int32_t)e->reset_mult),
                  halves = _mm256_set1_epi64x((int64_t)half);
    const __m128i shift = _mm_cvtsi32_si128((int32_t)e->reset_shift);
    const __m128i left = _mm_cvtsi32_si128(e->rate < 0 ? -e->rate : 0);
    const __m128i right = _mm_cvtsi32_si128(e->rate > 0 ? e->rate : 0);
    const __m256i round = _mm256_set1_epi32(e->rate > 0 ? (int32_t)1 << (e->rate - 1) : 0);
    const __m256i down = errors_above(e, first);
    const __m256i limit = _mm256_set1_epi32(32767), lowest = _mm256_set1_epi32(-32767);
    const __m256i error_limit = _mm256_set1_epi32(e->error_limit);
    const __m256i update_limit = _mm256_set1_epi32(e->update_limit);
    // Of outputs 4 g to 4 g + 3, in the order of edge_tile_t.
    const __m256i order = _mm256_setr_epi8(0, 1, 8, 9, 4, 5, 12, 13, 0, 1, 8, 9, 4, 5, 12, 13, 0, 1, 8, 9, 4,
                                           5, 12, 13, 0, 1, 8, 9, 4, 5, 12, 13);
    // Magnitudes of the error, in both units, that goes on to the step before, their sign, and a bit for each step they live.
    __m256i error = zero, unit = zero, sign = zero, life = zero, peak = zero;
    eps += (size_t)(e->window - 1) * e->stride;
    for (uint32_t t = e->window; t-- > 0; eps -= e->stride) {
        const uint32_t fired = steps[t];
        life = _mm256_srli_epi32(life, 1);
        const __m256i over = _mm256_cmpeq_epi32(life, zero);
        unit = _mm256_andnot_si256(over, _mm256_srli_epi32(unit, 1));
        __m256i before = _mm256_andnot_si256(over, _mm256_srli_epi32(error, 1));
        if (fired) {
            const __m256i there = lanes_of(fired);
            const __m256i z = reset_term(thetas[t], error, mult, halves, shift, most > 1 << 17);
            __m256i ds = _mm256_sub_epi32(down, _mm256_sign_epi32(z, sign));
            ds = _mm256_max_epi32(_mm256_min_epi32(ds, limit), lowest);
            __m256i magnitude = _mm256_abs_epi32(ds);
            if (e->cursor) {
                uint64_t values;
                memcpy(&values, e->gates + e->cursor[t], sizeof values);
                e->cursor[t] += (uint32_t)__builtin_popcount(fired);
                values = _pdep_u64(values, _pdep_u64(fired, EVERY_BYTE) * 255);
                __m256i gate = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((int64_t)values));
                gate = _mm256_add_epi32(gate, _mm256_srli_epi32(gate, 7));
                const __m256i passed = _mm256_madd_epi16(magnitude, gate);
                magnitude = _mm256_srli_epi32(_mm256_add_epi32(passed, _mm256_set1_epi32(128)), 8);
            } else {
                magnitude = _mm256_and_si256(magnitude, lanes_of(open[t]));
            }
            magnitude = _mm256_min_epi32(magnitude, error_limit);
            __m256i scaled = _mm256_add_epi32(_mm256_sll_epi32(magnitude, left), round);
            scaled = _mm256_min_epi32(_mm256_srl_epi32(scaled, right), update_limit);
            before = _mm256_blendv_epi8(before, magnitude, there);
            unit = _mm256_blendv_epi8(unit, scaled, there);
            sign = _mm256_blendv_epi8(sign, ds, there);
            life = _mm256_blendv_epi8(life, _mm256_set1_epi32(0x80), there);
            peak = _mm256_max_epi32(peak, unit);
        }
        error = before;
        const __m256i words = _mm256_shuffle_epi8(_mm256_sign_epi32(unit, sign), order);
        store16(eps, _mm256_castsi256_si128(_mm256_permute4x64_epi64(words, 0x08)));
    }
    store32(largest, peak);
    return spiking;
}

AVX2 uint64_t edge_avx2_errors(const edge_errors_t *e, uint32_t first, uint32_t n, int16_t *eps,
                               uint32_t *largest) {
    uint64_t spiking = 0;
    for (uint32_t k = 0; k < n; k += 8)
        spiking |= (uint64_t)errors_of_eight(e, first + k, eps + k, largest + k) << k;
    return spiking;
}
#else
// An empty translation unit is not C.
typedef int edge_no_avx2_errors_t;
#endif
