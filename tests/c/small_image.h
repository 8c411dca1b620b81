// Model images made in C, small enough to read: what C tests run when they are given none.
// SPDX-License-Identifier: Apache-2.0
#ifndef SMALL_IMAGE_H
#define SMALL_IMAGE_H

#include <stdint.h>
#include <string.h>

#include "edge/edge.h"

static uint32_t crc32_of(const uint8_t *p, size_t size) {
    uint32_t crc = ~0u;
    for (size_t i = 0; i < size; i++) {
        crc ^= p[i];
        for (int k = 0; k < 8; k++) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
    }
    return ~crc;
}

static void put(uint8_t *p, uint32_t v, int bytes) {
    for (int k = 0; k < bytes; k++) p[k] = (uint8_t)(v >> 8 * k);
}

static uint32_t next_random(uint32_t *state) { return *state = *state * 1664525u + 1013904223u; }

static void seal(uint8_t *image, size_t size) {
    if (size >= 16) put(image + 12, crc32_of(image + 16, size - 16), 4);
}

// 16 spikes -> 12 LIF -> 5 sums, both learn, T = 10.
__attribute__((unused)) static size_t small_image(uint8_t *image) {
    static const uint8_t magic[4] = {0x45, 0x44, 0x47, 0x45};
    enum { INPUTS = 16, HIDDEN = 12, CLASSES = 5, WINDOW = 10, TABLE = 128, W0 = 272, W1 = 464, SIZE = 560 };
    enum { SCRATCH = 4 * (HIDDEN + 8) + 2 * HIDDEN };
    uint32_t random = 1;
    memset(image, 0, SIZE);
    memcpy(image, magic, 4);
    put(image + 4, 1, 2);
    put(image + 6, 128, 2);
    put(image + 8, SIZE, 4);
    put(image + 16, WINDOW, 2);
    image[18] = 2;
    image[19] = EDGE_INPUT_SPIKES;
    put(image + 20, INPUTS, 4);
    put(image + 24, CLASSES, 2);
    image[26] = 1;
    image[27] = 4;
    put(image + 32, 1, 2);
    put(image + 40, TABLE, 4);
    put(image + 64, SCRATCH + 8, 4);
    put(image + 68, 2 * WINDOW * 64 + 8 + 2 * INPUTS + 2 * (2 * HIDDEN) + 2 * 8, 4);
    put(image + 72, INPUTS * 12 + HIDDEN * 8, 4);
    uint8_t *hidden = image + TABLE, *readout = hidden + 72;
    hidden[0] = readout[0] = 1;
    hidden[1] = 0;
    readout[1] = 2;
    hidden[2] = readout[2] = 8;
    hidden[3] = readout[3] = 1;
    hidden[4] = 1;
    hidden[5] = 5;
    hidden[6] = readout[6] = (uint8_t)-6;
    put(hidden + 16, 1000, 4);
    put(hidden + 20, INPUTS, 4);
    put(hidden + 24, HIDDEN, 4);
    put(hidden + 28, W0, 4);
    put(hidden + 44, 256 * 60, 4);
    put(hidden + 48, 256 * 6, 4);
    put(readout + 20, HIDDEN, 4);
    put(readout + 24, CLASSES, 4);
    put(readout + 28, W1, 4);
    put(hidden + 56, 0x3F800000, 4);
    put(readout + 56, 0x3F800000, 4);
    for (int k = 0; k < INPUTS * HIDDEN; k++) image[W0 + k] = (uint8_t)(next_random(&random) >> 24);
    for (int k = 0; k < HIDDEN * 8; k++)
        if (k % 8 < CLASSES) image[W1 + k] = (uint8_t)(next_random(&random) >> 24);
    seal(image, SIZE);
    return SIZE;
}

// Two channels, direct coding, T = 3, two classes; the readout learns.
enum { STREAM_IMAGE = 264 };

__attribute__((unused)) static size_t stream_image(uint8_t *image) {
    enum { SIZE = STREAM_IMAGE, TABLE = 128, ENCODER = 200, PROFILE = 248, WEIGHTS = 256 };
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

#endif
