// What the files of the x86-64 kernels share.
// SPDX-License-Identifier: Apache-2.0
#ifndef EDGE_KERNELS_AVX2_H
#define EDGE_KERNELS_AVX2_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#define AVX2 __attribute__((target("avx2,bmi,bmi2,popcnt")))
#define AVX2_INLINE AVX2 __attribute__((always_inline)) static inline

AVX2_INLINE __m128i load16(const void *p) { return _mm_loadu_si128((const __m128i *)p); }

AVX2_INLINE __m256i load32(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }

AVX2_INLINE void store16(void *p, __m128i v) { _mm_storeu_si128((__m128i *)p, v); }

AVX2_INLINE void store32(void *p, __m256i v) { _mm256_storeu_si256((__m256i *)p, v); }

// Eight bytes of a history row; where fewer than eight can be read, those.
AVX2_INLINE uint64_t spikes_of(const uint8_t *history, size_t there) {
    uint64_t bits = 0;
    if (there >= 8) {
        memcpy(&bits, history, 8);
    } else {
        for (uint32_t b = 0; b < there; b++) bits |= (uint64_t)history[b] << 8 * b;
    }
    return bits;
}

#endif
