// Little-endian loads and stores, and the few integer idioms that C leaves to the machine.
// SPDX-License-Identifier: Apache-2.0
#ifndef EDGE_BYTES_H
#define EDGE_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define EDGE_LITTLE_ENDIAN 1
#endif

// A pointer that the caller knows to be a multiple of n bytes: cores without unaligned loads then use whole
// words.
#if defined(__GNUC__)
#define EDGE_ALIGNED(p, n) __builtin_assume_aligned(p, n)
#else
#define EDGE_ALIGNED(p, n) (p)
#endif

// Tells static analysis what was established elsewhere, as when the image was opened. No code.
#ifdef __clang_analyzer__
#define EDGE_GIVEN(condition) ((condition) ? (void)0 : __builtin_unreachable())
#else
#define EDGE_GIVEN(condition) ((void)0)
#endif

// A function whose frame, or whose use of registers, stays out of its callers': less stack, or less code.
#if defined(__GNUC__)
#define EDGE_ALONE __attribute__((noinline))
#else
#define EDGE_ALONE
#endif

// A short function of hot loops: inlined, but where code is to be small and a call is less of it.
#if defined(EDGE_SMALL) && defined(__GNUC__)
#define EDGE_SHORT static EDGE_ALONE __attribute__((unused))
#else
#define EDGE_SHORT static inline
#endif

static inline uint16_t edge_load16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }

static inline uint32_t edge_load32(const uint8_t *p) {
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline void edge_store16(uint8_t *p, uint16_t v) {
    p[0] = (uint8_t)(v & 0xFF);
    p[1] = (uint8_t)(v >> 8);
}

static inline void edge_store32(uint8_t *p, uint32_t v) {
    edge_store16(p, (uint16_t)(v & 0xFFFF));
    edge_store16(p + 2, (uint16_t)(v >> 16));
}

// Two's complement without the implementation-defined conversion.
static inline int32_t edge_signed32(uint32_t v) {
    return v <= INT32_MAX ? (int32_t)v : (int32_t)(v - 0x80000000u) + INT32_MIN;
}

static inline int16_t edge_signed16(uint16_t v) {
    return v <= INT16_MAX ? (int16_t)v : (int16_t)((int32_t)v - 65536);
}

static inline int8_t edge_signed_byte(uint8_t v) { return (int8_t)(v < 128 ? v : v - 256); }

// Four bytes that start at a multiple of 4, the first in the low bits.
static inline uint32_t edge_word(const uint8_t *p) {
#ifdef EDGE_LITTLE_ENDIAN
    uint32_t v;
    memcpy(&v, EDGE_ALIGNED(p, 4), sizeof v);
    return v;
#else
    return edge_load32(p);
#endif
}

// Two bytes that start at a multiple of 2.
static inline uint16_t edge_half(const uint8_t *p) {
#ifdef EDGE_LITTLE_ENDIAN
    uint16_t v;
    memcpy(&v, EDGE_ALIGNED(p, 2), sizeof v);
    return v;
#else
    return edge_load16(p);
#endif
}

// Element i of a little-endian tensor that starts at a multiple of 8 bytes.
static inline int32_t edge_tensor32(const uint8_t *tensor, uint32_t i) {
    return edge_signed32(edge_word(tensor + 4 * (size_t)i));
}

static inline int16_t edge_tensor16(const uint8_t *tensor, size_t i) {
    return edge_signed16(edge_half(tensor + 2 * i));
}

// floor(x / 2^n), n 0 .. 31, for either sign.
static inline int32_t edge_floor32(int32_t x, uint32_t n) { return x >= 0 ? x >> n : -1 - ((-1 - x) >> n); }

// x / 2^n rounded to the nearest, halves away from zero; |x| <= 2^62, n 0 .. 62.
static inline int64_t edge_round64(int64_t x, uint32_t n) {
    const int64_t half = n ? (int64_t)1 << (n - 1) : 0;
    return x >= 0 ? (x + half) >> n : -((-x + half) >> n);
}

// The same for |x| < 2^31, n 0 .. 31.
static inline int32_t edge_round32(int32_t x, uint32_t n) {
    const uint32_t half = n ? (uint32_t)1 << (n - 1) : 0;
    const uint32_t magnitude = ((x >= 0 ? (uint32_t)x : 0u - (uint32_t)x) + half) >> n;
    return x >= 0 ? (int32_t)magnitude : -(int32_t)magnitude;
}

EDGE_SHORT int32_t edge_sat32(int32_t x, int32_t bound) {
    return x > bound ? bound : x < -bound ? -bound : x;
}

// x / 2^n, rounded for n > 0, exact for n <= 0, saturated; |x| <= 32767, n -15 .. 31.
static inline int32_t edge_shifted(int32_t x, int32_t n, int32_t limit) {
    return edge_sat32(n >= 0 ? edge_round32(x, (uint32_t)n) : x * ((int32_t)1 << -n), limit);
}

EDGE_SHORT int32_t edge_sat(int64_t x, int32_t bound) {
    return x > bound ? bound : x < -bound ? -bound : (int32_t)x;
}

// Cores that cannot count zeros: by a de Bruijn sequence instead of a call.
#if defined(__ARM_ARCH_6M__) || (defined(__riscv) && !defined(__riscv_zbb))
#define EDGE_BIT_TABLE 1
extern const uint8_t edge_bit_table[32];
#endif

// The number of the lowest set bit; x is not 0.
static inline uint32_t edge_lowest_bit(uint32_t x) {
#if defined(EDGE_BIT_TABLE)
    return edge_bit_table[(uint32_t)((x & (0u - x)) * 0x077CB531u) >> 27];
#elif defined(__GNUC__)
    return (uint32_t)__builtin_ctz(x);
#else
    uint32_t n = 0;
    for (; !(x & 1); x >>= 1) n++;
    return n;
#endif
}

// The number of the highest set bit; x is not 0.
static inline uint32_t edge_highest_bit(uint32_t x) {
#if defined(__GNUC__)
    return 31u - (uint32_t)__builtin_clz(x);
#else
    uint32_t n = 0;
    while (x >>= 1) n++;
    return n;
#endif
}

// multiple: a power of two.
static inline size_t edge_round_up(size_t x, uint32_t multiple) {
    return (x + multiple - 1) & ~((size_t)multiple - 1);
}

#endif
