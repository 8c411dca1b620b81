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

// Two channels, direct coding, T = 3, two classes; the readout learns.
__attribute__((unused)) static size_t stream_image(uint8_t *image) {
    enum { SIZE = 264, TABLE = 128, ENCODER = 200, PROFILE = 248, WEIGHTS = 256 };
    static const uint8_t encoder[24] = {5, 2, 1, 0, 1,   0, 0, 0, 0, 0, 0, 2,
                                        0, 0, 0, 0, 200, 0, 2, 0, 3, 9, 0, 0};
    memset(image, 0, SIZE);
    memcpy(image, "EDGE", 4);
    put(image + 4, 1, 2);
    put(image + 6, 128, 2);
    put(image + 8, SIZE, 4);
    put(image + 16, 3, 2);
    image[18] = 1;
    image[19] = EDGE_INPUT_FRAMES;
    put(image + 20, 2, 4);
    put(image + 24, 2, 2);
    image[26] = 1;
    put(image + 32, 64, 2);
    put(image + 40, TABLE, 4);
    put(image + 44, ENCODER, 4);
    put(image + 64, 16, 4);
    put(image + 68, 8 + 8 + 2 * 3 * 64, 4);
    put(image + 72, 8, 4);
    uint8_t *layer = image + TABLE;
    layer[0] = 1;
    layer[1] = 2;
    layer[2] = 8;
    layer[3] = 1;
    put(layer + 20, 2, 4);
    put(layer + 24, 2, 4);
    put(layer + 28, WEIGHTS, 4);
    put(layer + 56, 0x3F800000, 4);
    memcpy(image + ENCODER, encoder, sizeof encoder);
    put(image + ENCODER + 28, PROFILE, 4);
    put(image + PROFILE, 0x04030201, 4);
    put(image + WEIGHTS, 0xFE01, 4);
    put(image + WEIGHTS + 4, 0x0403, 4);
    seal(image, SIZE);
    return SIZE;
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
