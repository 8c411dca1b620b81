// The kernels by instruction set: one table each, chosen once a process.
#ifndef TRAIN_TABLE_H
#define TRAIN_TABLE_H

#include "train.h"
#include <string.h>

// Events of one sample for a convolution: lists by step and image row, ascending. Event e stands at
// index[e] = x * channels + channel of its row; those of list l, row y from column x on begin at
// column[(l * height + y) * (width + 1) + x], and column[.. + width] is the row's end.
typedef struct train_lists {
    int count;
    const uint16_t *index;
    const float *value;  // NULL: spikes
    const int32_t *column;
} train_lists;

// Output channels that a convolution adds up at a time, at most.
#define TRAIN_BLOCK 64

// One sample's errors for a convolution's weight gradient, sorted by channel: event e of channel k, begin[k] <= e <
// begin[k + 1], meets the floats of the other side's padded images from at[e] on, `pitch` floats a row.
typedef struct train_meetings {
    int channels, size, run, pitch;  // run: floats that meet in a row: size * the other side's channels
    const int32_t *begin, *at;
    const float *value;
    const float *images;
} train_meetings;

// Floats of one channel's and one row's sums.
static inline size_t train_sums_row(int run) { return ((size_t)run + 15) / 16 * 16; }

typedef struct train_kernels {
    const char *name;
    int tile_units;
    int32_t (*count_bits)(const uint8_t *bits, int32_t *start, int rows, int row);
    // index has room to `end`, exactly for the rows' events.
    void (*list_bits)(const uint8_t *bits, uint16_t *index, const uint16_t *end, int rows, int row);
    // Where the first sample's spikes (errors) are kept is given; the next ones' follow.
    void (*forward)(const train_forward *job, int unit, int units, int first, int last, float *scratch);
    void (*backward)(const train_backward *job, int unit, int units, int first, int last, float *scratch);
    void (*gradient)(const train_gradient *job, int first, float *scratch);
    void (*readout)(const train_readout *job, int first, int last, float *sums);
    // out: (lists, out.height, out.width, 16 * units); weight: (size, size * in.channels, 16 * units).
    void (*conv)(const train_conv *job, const train_lists *lists, const float *weight, float *out, int units);
    // Channels [first, ...) of the result (steps, out) from such an out, and from the list common to all steps.
    void (*conv_finish)(const train_conv *job, const float *out, int steps, int common, int first, int units,
                        float *result);
    void (*conv_leak)(float *x, int64_t count, int steps, int64_t step, float leak);
    // The inputs' traces as padded images (window, height + 2 padding, width + 2 padding, channels).
    void (*conv_traces)(const train_conv_gradient *job, int sample, float *images);
    // sums: (channels, size, train_sums_row(run)), added to.
    void (*conv_meet)(const train_meetings *m, float *sums);
    void (*column_sums)(const float *x, float *sums, int64_t rows, int columns);
    // Rows [first, last): mean and sum of squares about it; sums of error and of error times the standardized weight;
    // and what is written from them (see train_standard): standard_out, standard_gradient by two factors a column.
    void (*moments)(const train_standard *job, int first, int last, float *sums);
    void (*standard_out)(const train_standard *job, int first, int last);
    void (*standard_sums)(const train_standard *job, int first, int last, float *sums);
    void (*standard_gradient)(const train_standard *job, int first, int last, const float *factors);
    double (*square_sum)(const float *x, int64_t count);
    int (*adamw)(const train_adamw *job, int64_t first, int64_t last);
    // At most 256 rows. parts: 16 products of the rows' sums of exponentials, each of at most 16, then 16 sums of
    // distances.
    void (*cross_entropy)(const train_cross_entropy *job, int64_t first, int64_t last, float *parts);
    double (*limit)(const float *x, int64_t count, int64_t rounds);
    int width;  // floats in a register
} train_kernels;

extern const train_kernels train_kernels_plain;
#if defined(TRAIN_X86)
extern const train_kernels train_kernels_avx2, train_kernels_avx512;
#endif

const train_kernels *train_chosen(void);

// A layer's units of 16 neurons are cut into tiles: at most tile_units wide, and several where there is enough.
// n <= 32 bits of a row of `row` bytes, from `bit` on.
static inline uint32_t train_bits(const uint8_t *bits, int row, int bit, int n) {
    uint64_t word = 0;
    const int byte = bit / 8, there = row - byte < 8 ? row - byte : 8;
    memcpy(&word, bits + byte, (size_t)there);
    return (uint32_t)(word >> (bit % 8) & ((UINT64_C(1) << n) - 1));
}

// The low eight bits of a number as eight bytes of 0 and 1, the lowest bit first.
static inline uint64_t train_spread(uint32_t bits) {
    const uint64_t each = (bits & 0xFFU) * UINT64_C(0x0101010101010101) & UINT64_C(0x8040201008040201);
    return ((each + UINT64_C(0x7F7F7F7F7F7F7F7F)) | each) >> 7 & UINT64_C(0x0101010101010101);
}

// Of each of a sample's counts (window, row) the one that most of its steps share; 0 unless to list that one once, and
// elsewhere the difference from it, saves events. All 0 in windows longer than 16.
void train_common(const uint8_t *counts, int window, int row, uint8_t *common);

static inline int train_units(int outputs) { return (outputs + 15) / 16; }
static inline int train_tiles(int units, int tile_units) {
    const int needed = (units + tile_units - 1) / tile_units;
    const int wanted = units / 2 < 4 ? units / 2 : 4;
    return needed > wanted ? needed : wanted > 1 ? wanted : 1;
}
static inline int train_tile(int units, int tiles, int k) { return units * k / tiles; }

// Floats in a row of a readout's sums.
static inline int train_readout_lanes(int outputs) { return outputs <= 8 ? 8 : 16 * train_units(outputs); }

// Floats kept for one unit of a sample: a window of 16 neurons, and room for a whole register beyond.
static inline size_t train_region(int window) { return 16 * (size_t)window + 16; }

// A sample through all tiles of its neurons, forward or backward: what is kept of it lies closely together.
void train_forward_sample(const train_forward *job, int sample);
void train_backward_sample(const train_backward *job, int sample, float *scratch);

#endif
