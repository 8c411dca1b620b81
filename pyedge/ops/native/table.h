// The kernels by instruction set: one table each, chosen once a process.
#ifndef TRAIN_TABLE_H
#define TRAIN_TABLE_H

#include "train.h"

typedef struct train_kernels {
    const char *name;
    int tile_units;
    void (*forward)(const train_forward *job, int unit, int units, int first, int last, float *scratch);
    void (*backward)(const train_backward *job, int unit, int units, float *scratch);
    void (*gradient)(const train_gradient *job, int first, float *scratch);
    void (*readout)(const train_readout *job, int first, int last, float *sums);
    double (*square_sum)(const float *x, int64_t count);
    int (*adamw)(const train_adamw *job, int64_t first, int64_t last);
} train_kernels;

extern const train_kernels train_kernels_plain;
#if defined(TRAIN_X86)
extern const train_kernels train_kernels_avx2, train_kernels_avx512;
#endif

const train_kernels *train_chosen(void);

// A layer's units of 16 neurons are cut into tiles: at most tile_units wide, and several where there is enough.
static inline int train_units(int outputs) { return (outputs + 15) / 16; }
static inline int train_tiles(int units, int tile_units) {
    const int needed = (units + tile_units - 1) / tile_units;
    const int wanted = units / 2 < 4 ? units / 2 : 4;
    return needed > wanted ? needed : wanted > 1 ? wanted : 1;
}
static inline int train_tile(int units, int tiles, int k) { return units * k / tiles; }

// Floats kept for one unit of a sample: a window of 16 neurons, and room for a whole register beyond.
static inline size_t train_region(int window) { return 16 * (size_t)window + 16; }

#endif
