// What the fuzz targets share: checks that abort, random numbers from the input, exactly sized memory, tallies.
// SPDX-License-Identifier: Apache-2.0
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../small_image.h"

#define CHECK(condition)                                                    \
    do {                                                                    \
        if (!(condition)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                        \
        }                                                                   \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t largest);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t largest, unsigned int seed);

// Below `limit`, which is not 0.
static uint32_t draw(uint32_t *random, uint32_t limit) { return (next_random(random) >> 8) % limit; }

// Memory of exactly that size: a sanitizer sees the byte after it. Filled with what is never there by itself.
static uint8_t *block(size_t size) {
    uint8_t *p = malloc(size ? size : 1);
    CHECK(p);
    memset(p, 0xA5, size ? size : 1);
    return p;
}

// Numbers of a whole run, printed when it ends: tools/fuzz adds them up.
enum { TALLIES = 8 };

typedef struct {
    const char *name;
    unsigned long count;
} tally_t;

extern tally_t tallies[TALLIES];

__attribute__((destructor)) static void print_tallies(void) {
    for (int k = 0; k < TALLIES && tallies[k].name; k++)
        fprintf(stderr, "tally: %s: %lu\n", tallies[k].name, tallies[k].count);
}

#endif
