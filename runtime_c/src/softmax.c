// Base-2 softmax from one table, and the logarithm from another.
// SPDX-License-Identifier: Apache-2.0
#include "softmax.h"
#include "bytes.h"

static const uint16_t exp2_table[64] = {
    32768, 32415, 32066, 31720, 31379, 31041, 30706, 30376, 30048, 29725, 29405, 29088, 28774,
    28464, 28158, 27855, 27554, 27258, 26964, 26674, 26386, 26102, 25821, 25543, 25268, 24995,
    24726, 24460, 24196, 23936, 23678, 23423, 23170, 22921, 22674, 22430, 22188, 21949, 21713,
    21479, 21247, 21019, 20792, 20568, 20347, 20127, 19911, 19696, 19484, 19274, 19066, 18861,
    18658, 18457, 18258, 18061, 17867, 17674, 17484, 17296, 17109, 16925, 16743, 16562,
};

static const uint8_t log2_table[64] = {
    0,   6,   11,  17,  22,  28,  33,  38,  44,  49,  54,  59,  63,  68,  73,  78,
    82,  87,  92,  96,  100, 105, 109, 113, 118, 122, 126, 130, 134, 138, 142, 146,
    150, 154, 157, 161, 165, 169, 172, 176, 179, 183, 186, 190, 193, 197, 200, 203,
    207, 210, 213, 216, 220, 223, 226, 229, 232, 235, 238, 241, 244, 247, 250, 253,
};

// q: how far a class is behind, unit 1/64 octave. The difference is below 2^31, the product below 2^47.
static EDGE_ALONE uint64_t behind(const edge_softmax_t *s, uint32_t c) {
    return ((uint64_t)((int64_t)s->largest - s->scores[c]) * s->mult) >> s->shift;
}

// E of a class. Returns 0 .. 32768.
static EDGE_ALONE uint32_t power(const edge_softmax_t *s, uint32_t c) {
    const uint64_t q = behind(s, c);
    return q >= 1024 ? 0 : (uint32_t)exp2_table[q & 63] >> (q >> 6);
}

edge_softmax_t edge_softmax(const int32_t *scores, uint32_t classes, uint32_t mult, uint32_t shift) {
    edge_softmax_t s = {scores, classes, mult, shift, scores[0], 0, 0};
    for (uint32_t c = 1; c < classes; c++) {
        if (scores[c] > s.largest) {
            s.largest = scores[c];
            s.winner = c;
        }
    }
    for (uint32_t c = 0; c < classes; c++) s.sum += power(&s, c);
    return s;
}

// With at most 256 classes 32768 E + sum / 2 < 2^31.
int32_t edge_softmax_p(const edge_softmax_t *s, uint32_t class_index) {
    return (int32_t)((32768 * power(s, class_index) + s->sum / 2) / s->sum);
}

int32_t edge_softmax_likelihood(const edge_softmax_t *s, uint32_t class_index) {
    const int64_t ll = -(int64_t)behind(s, class_index) - (int64_t)((edge_log2(s->sum) - 3840) / 4);
    return ll < -65535 ? -65535 : (int32_t)ll;
}

uint32_t edge_log2(uint32_t v) {
    const uint32_t n = edge_highest_bit(v);
    const uint32_t f = (uint32_t)(((uint64_t)v << 6) >> n) - 64;
    return 256 * n + log2_table[f];
}
