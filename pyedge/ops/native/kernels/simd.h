// One vector vocabulary for every instruction set: the kernels are written once and compiled once for each.
#ifndef TRAIN_SIMD_H
#define TRAIN_SIMD_H

#include <stdint.h>
#include <string.h>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

// ISA(name) is the name's copy for the instruction set being compiled; WIDTH its floats in a register;
// TILE_UNITS the width of a tile of neurons in units of 16, as many as the registers hold with their state.
#define ISA_JOIN(name, isa) name##_##isa
#define ISA_NAME(name, isa) ISA_JOIN(name, isa)
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#define ISA(name) ISA_NAME(train_##name, avx512)
#define WIDTH 16
#define TILE_UNITS 4
#elif defined(__AVX2__) && defined(__FMA__)
#define ISA(name) ISA_NAME(train_##name, avx2)
#define WIDTH 8
#define TILE_UNITS 2
#else
#define ISA(name) ISA_NAME(train_##name, plain)
#define WIDTH 8
#define TILE_UNITS 2
#endif

#define UNIT 16
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 10")

typedef float vf __attribute__((vector_size(4 * WIDTH)));
typedef int32_t vi __attribute__((vector_size(4 * WIDTH)));
typedef float vf_any __attribute__((vector_size(4 * WIDTH), aligned(4), may_alias));
typedef int32_t vi_any __attribute__((vector_size(4 * WIDTH), aligned(4), may_alias));

INLINE vf load(const float *p) { return *(const vf_any *)p; }
INLINE void store(float *p, vf v) { *(vf_any *)p = v; }
INLINE vf all(float x) { return x - (vf){0}; }

// Masks are one bit a lane, the first lane lowest.
typedef uint32_t mask;

INLINE mask first_lanes(int n) {
    return n >= WIDTH ? (mask)((1U << WIDTH) - 1U) : n <= 0 ? 0 : (1U << n) - 1U;
}

// The first n of WIDTH floats; the rest are 0, and not looked at.
INLINE vf load_first(const float *p, int n) {
    if (n >= WIDTH) {
        return load(p);
    }
#if WIDTH == 16
    return (vf)_mm512_maskz_loadu_ps((__mmask16)first_lanes(n), p);
#elif defined(__AVX2__)
    const vi lane = {0, 1, 2, 3, 4, 5, 6, 7};
    return (vf)_mm256_maskload_ps(p, (__m256i)(lane < n));
#else
    vf v = {0};
    memcpy(&v, p, sizeof(float) * (size_t)(n > 0 ? n : 0));
    return v;
#endif
}

INLINE void store_first(float *p, vf v, int n) {
    if (n >= WIDTH) {
        store(p, v);
        return;
    }
#if WIDTH == 16
    _mm512_mask_storeu_ps(p, (__mmask16)first_lanes(n), (__m512)v);
#elif defined(__AVX2__)
    const vi lane = {0, 1, 2, 3, 4, 5, 6, 7};
    _mm256_maskstore_ps(p, (__m256i)(lane < n), (__m256)v);
#else
    memcpy(p, &v, sizeof(float) * (size_t)(n > 0 ? n : 0));
#endif
}

#if WIDTH == 16

INLINE vf multiply_add(vf a, vf b, vf c) { return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }
INLINE mask at_least(vf a, vf b) { return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_GE_OQ); }
INLINE mask nonzero(vf a) { return _mm512_cmp_ps_mask((__m512)a, _mm512_setzero_ps(), _CMP_NEQ_UQ); }
INLINE vf choose(mask m, vf a, vf b) { return (vf)_mm512_mask_blend_ps((__mmask16)m, (__m512)b, (__m512)a); }
INLINE vi choose_int(mask m, vi a, vi b) {
    return (vi)_mm512_mask_blend_epi32((__mmask16)m, (__m512i)b, (__m512i)a);
}
// Stores the lanes of m, closed up, and WIDTH floats of room in all.
INLINE void store_packed(float *p, mask m, vf v) {
    store(p, (vf)_mm512_maskz_compress_ps((__mmask16)m, (__m512)v));
}
INLINE void store_lanes(uint16_t *p, mask m, int first) {
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i packed =
        _mm512_maskz_compress_epi32((__mmask16)m, _mm512_add_epi32(lane, _mm512_set1_epi32(first)));
    _mm256_storeu_si256((__m256i *)(void *)p, _mm512_cvtepi32_epi16(packed));
}
// The reverse: reads WIDTH floats, and spreads the first ones over the lanes of m.
INLINE vf load_packed(const float *p, mask m) {
    __m512 packed = (__m512)load(p);
    __asm__("" : "+v"(packed));  // not from memory, which some processors do in many steps
    return (vf)_mm512_maskz_expand_ps((__mmask16)m, packed);
}

#else

INLINE vf multiply_add(vf a, vf b, vf c) {
#if defined(__FMA__)
    return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
    return a * b + c;
#endif
}

INLINE vi spread(mask m) {
    const vi lane = {1, 2, 4, 8, 16, 32, 64, 128};
    return (((int32_t)m - (vi){0}) & lane) == lane;
}

INLINE mask at_least(vf a, vf b) {
#if defined(__AVX2__)
    return (mask)_mm256_movemask_ps(_mm256_cmp_ps((__m256)a, (__m256)b, _CMP_GE_OQ));
#else
    mask m = 0;
    for (int k = 0; k < WIDTH; k++) {
        m |= (mask)(a[k] >= b[k]) << k;
    }
    return m;
#endif
}

INLINE mask nonzero(vf a) {
#if defined(__AVX2__)
    return (mask)_mm256_movemask_ps(_mm256_cmp_ps((__m256)a, _mm256_setzero_ps(), _CMP_NEQ_UQ));
#else
    mask m = 0;
    for (int k = 0; k < WIDTH; k++) {
        m |= (mask)(a[k] != 0) << k;
    }
    return m;
#endif
}

INLINE vi choose_int(mask m, vi a, vi b) {
    const vi s = spread(m);
    return (a & s) | (b & ~s);
}
INLINE vf choose(mask m, vf a, vf b) { return (vf)choose_int(m, (vi)a, (vi)b); }

INLINE void store_packed(float *p, mask m, vf v) {
    float lanes[WIDTH];
    store(lanes, v);
    for (; m; m &= m - 1) {
        *p++ = lanes[__builtin_ctz(m)];
    }
}
INLINE void store_lanes(uint16_t *p, mask m, int first) {
    for (; m; m &= m - 1) {
        *p++ = (uint16_t)(first + __builtin_ctz(m));
    }
}
INLINE vf load_packed(const float *p, mask m) {
    float lanes[WIDTH] = {0};
    for (; m; m &= m - 1) {
        lanes[__builtin_ctz(m)] = *p++;
    }
    return load(lanes);
}

#endif

// The first n of WIDTH bytes as floats; the rest are 0.
INLINE vf load_counts(const uint8_t *p, int n) {
    typedef uint8_t bytes __attribute__((vector_size(WIDTH)));
    bytes v = {0};
    if (n >= WIDTH) {
        memcpy(&v, p, WIDTH);
    } else {
        memcpy(&v, p, (size_t)(n > 0 ? n : 0));
    }
    return __builtin_convertvector(__builtin_convertvector(v, vi), vf);
}

INLINE vf keep(mask m, vf v) { return choose(m, v, (vf){0}); }
INLINE int count_bits(mask m) { return __builtin_popcount(m); }

// A table, its first 64 entries in registers.
typedef struct {
    vf part[64 / WIDTH];
    const float *memory;
} table;

INLINE table open_table(const float *memory) {
    table t;
    t.memory = memory;
    for (int k = 0; k < 64 / WIDTH; k++) {
        t.part[k] = load(memory + k * WIDTH);
    }
    return t;
}

// By lane, 0 <= index < size: the smaller, the fewer registers are looked at.
INLINE vf look_up(const table *t, int size, vi index) {
#if WIDTH == 16
    const __m512i at = (__m512i)index;
    if (size <= 16) {
        return (vf)_mm512_permutexvar_ps(at, (__m512)t->part[0]);
    }
    if (size <= 32) {
        return (vf)_mm512_permutex2var_ps((__m512)t->part[0], at, (__m512)t->part[1]);
    }
    if (size <= 64) {
        const __m512 low = _mm512_permutex2var_ps((__m512)t->part[0], at, (__m512)t->part[1]);
        const __m512 high = _mm512_permutex2var_ps((__m512)t->part[2], at, (__m512)t->part[3]);
        return (vf)_mm512_mask_blend_ps(_mm512_test_epi32_mask(at, _mm512_set1_epi32(32)), low, high);
    }
    return (vf)_mm512_i32gather_ps(at, t->memory, 4);
#elif defined(__AVX2__)
    if (size <= 8) {
        return (vf)_mm256_permutevar8x32_ps((__m256)t->part[0], (__m256i)index);
    }
    return (vf)_mm256_i32gather_ps(t->memory, (__m256i)index, 4);
#else
    (void)size;
    vf v;
    for (int k = 0; k < WIDTH; k++) {
        v[k] = t->memory[index[k]];
    }
    return v;
#endif
}

// Row's bits of WIDTH lanes, from lane `first` on (a multiple of WIDTH).
INLINE mask load_bits(const uint8_t *row, int first) {
#if WIDTH == 16
    uint16_t m;
    memcpy(&m, row + first / 8, sizeof m);
    return m;
#else
    return row[first / 8];
#endif
}
INLINE void store_bits(uint8_t *row, int first, mask m) {
#if WIDTH == 16
    const uint16_t bits = (uint16_t)m;
    memcpy(row + first / 8, &bits, sizeof bits);
#else
    row[first / 8] = (uint8_t)m;
#endif
}

// e^x for -87 <= x <= 0, within 2 ulp (Cephes' polynomial for expf, which is public knowledge: Moshier, 1984).
INLINE vf exponential(vf x) {
    x = choose(at_least(x, all(-87.0F)), x, all(-87.0F));
    const vf shifted =
        multiply_add(x, all(1.44269504F), all(12582912.0F));  // 1.5 * 2^23: rounds to an integer
    const vf n = shifted - all(12582912.0F);
    vf r = multiply_add(n, all(-0.693359375F), x);
    r = multiply_add(n, all(2.12194440e-4F), r);
    vf p = all(1.9875691500e-4F);
    p = multiply_add(p, r, all(1.3981999507e-3F));
    p = multiply_add(p, r, all(8.3334519073e-3F));
    p = multiply_add(p, r, all(4.1665795894e-2F));
    p = multiply_add(p, r, all(1.6666665459e-1F));
    p = multiply_add(p, r, all(5.0000001201e-1F));
    p = multiply_add(p, r * r, r + all(1.0F));
    const vi power = ((vi)shifted - (vi)all(12582912.0F) + 127) << 23;
    return p * (vf)power;
}

typedef float v4 __attribute__((vector_size(16)));
typedef float v4_any __attribute__((vector_size(16), aligned(4), may_alias));

// out[c * to + r] = in[r * from + c] for 4 rows and columns.
INLINE void transpose_4(const float *in, size_t from, float *out, size_t to) {
    const v4 a = *(const v4_any *)in, b = *(const v4_any *)(in + from);
    const v4 c = *(const v4_any *)(in + 2 * from), d = *(const v4_any *)(in + 3 * from);
    const v4 ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5),
             ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
    const v4 cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5),
             cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    *(v4_any *)out = __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5);
    *(v4_any *)(out + to) = __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7);
    *(v4_any *)(out + 2 * to) = __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5);
    *(v4_any *)(out + 3 * to) = __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7);
}

#endif
