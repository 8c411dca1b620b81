// Scores as probabilities, and the logarithm that goes with them (docs/arithmetic.md 2.6 and 4.1).
// SPDX-License-Identifier: Apache-2.0
#ifndef EDGE_SOFTMAX_H
#define EDGE_SOFTMAX_H

#include <stdint.h>

// Scores of a window, ready for questions about single classes.
typedef struct edge_softmax {
    const int32_t *scores;  // |score| < 2^30
    uint32_t classes;       // 2 .. 256
    uint32_t mult, shift;   // K, Z
    int32_t largest;        // the largest score
    uint32_t winner;        // the lowest class that has it
    uint32_t sum;           // of E over the classes, 32768 .. 2^23
} edge_softmax_t;

// Returns the softmax of scores, which must outlive it.
edge_softmax_t edge_softmax(const int32_t *scores, uint32_t classes, uint32_t mult, uint32_t shift);

// p of a class. Returns 0 .. 32768.
int32_t edge_softmax_p(const edge_softmax_t *s, uint32_t class_index);

// The log likelihood of a class, unit 1/64 bit. Returns -65535 .. 0.
int32_t edge_softmax_likelihood(const edge_softmax_t *s, uint32_t class_index);

// LOG2 of docs/arithmetic.md 4.1, v >= 1. Returns 1/256 octaves, 0 .. 8189.
uint32_t edge_log2(uint32_t v);

#endif
