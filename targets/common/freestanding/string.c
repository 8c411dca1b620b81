// Memory functions for compilers that come without a C library: by words where both ends are aligned.
// SPDX-License-Identifier: Apache-2.0
#include "string.h"

#include <stdint.h>

typedef uint32_t __attribute__((may_alias)) word_t;

// Copies upwards; the two may overlap where `to` lies below `from`.
static void *copy(void *to, const void *from, size_t size) {
    uint8_t *t = to;
    const uint8_t *f = from;
    if ((((uintptr_t)t | (uintptr_t)f) & 3u) == 0) {
        for (; size >= 16; size -= 16, t += 16, f += 16) {
            const word_t *w = (const word_t *)f;
            const uint32_t a = w[0], b = w[1], c = w[2], d = w[3];
            word_t *v = (word_t *)t;
            v[0] = a, v[1] = b, v[2] = c, v[3] = d;
        }
        for (; size >= 4; size -= 4, t += 4, f += 4) *(word_t *)t = *(const word_t *)f;
    }
    for (; size > 0; size--) *t++ = *f++;
    return to;
}

void *memcpy(void *restrict to, const void *restrict from, size_t size) { return copy(to, from, size); }

void *memmove(void *to, const void *from, size_t size) {
    uint8_t *t = to;
    const uint8_t *f = from;
    if ((uintptr_t)t - (uintptr_t)f >= size) return copy(to, from, size);
    while (size > 0) {
        size--;
        t[size] = f[size];
    }
    return to;
}

void *memset(void *to, int value, size_t size) {
    uint8_t *t = to;
    const uint8_t byte = (uint8_t)value;
    const uint32_t word = byte * 0x01010101u;
    for (; size > 0 && ((uintptr_t)t & 3u); size--) *t++ = byte;
    for (; size >= 16; size -= 16, t += 16) {
        word_t *v = (word_t *)t;
        v[0] = word, v[1] = word, v[2] = word, v[3] = word;
    }
    for (; size > 0; size--) *t++ = byte;
    return to;
}

int memcmp(const void *a, const void *b, size_t size) {
    const uint8_t *p = a, *q = b;
    for (; size > 0; size--, p++, q++)
        if (*p != *q) return *p < *q ? -1 : 1;
    return 0;
}

size_t strlen(const char *text) {
    size_t n = 0;
    while (text[n] != 0) n++;
    return n;
}
