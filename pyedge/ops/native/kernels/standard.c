// Weight standardization over rows of a matrix; compiled once per instruction set.
#include "simd.h"
#include "table.h"

void ISA(moments)(const train_standard *d, int first, int last, float *sums);
void ISA(standard_out)(const train_standard *d, int first, int last);
void ISA(standard_sums)(const train_standard *d, int first, int last, float *sums);
void ISA(standard_gradient)(const train_standard *d, int first, int last, const float *factors);

#define WIDE 8  // registers side by side: rows are read in long stretches

// Calls function(..., c, left, nv) for all columns; `left` is large where all registers are whole.
#define EVERY_COLUMN(function, ...)                                 \
    do {                                                            \
        int c = 0;                                                  \
        for (; c + WIDE * WIDTH <= d->columns; c += WIDE * WIDTH) { \
            function(__VA_ARGS__, c, WIDE *WIDTH, WIDE);            \
        }                                                           \
        for (; c < d->columns; c += WIDTH) {                        \
            function(__VA_ARGS__, c, d->columns - c, 1);            \
        }                                                           \
    } while (0)

INLINE void read_row(const float *row, int left, vf *x, const int nv) {
    UNROLL for (int k = 0; k < nv; k++) { x[k] = load_first(row + k * WIDTH, left - k * WIDTH); }
}

INLINE void write_row(float *row, int left, const vf *x, const int nv) {
    UNROLL for (int k = 0; k < nv; k++) { store_first(row + k * WIDTH, x[k], left - k * WIDTH); }
}

INLINE void moments(const train_standard *d, int first, int last, float *sums, int c, int left,
                    const int nv) {
    const ptrdiff_t columns = d->columns;
    const vf inverse = all(1.0F / (float)(last - first));
    vf mean[WIDE], squares[WIDE], x[WIDE];
    UNROLL for (int k = 0; k < nv; k++) { mean[k] = squares[k] = all(0); }
    for (int r = first; r < last; r++) {
        read_row(d->weight + r * columns + c, left, x, nv);
        UNROLL for (int k = 0; k < nv; k++) { mean[k] += x[k]; }
    }
    UNROLL for (int k = 0; k < nv; k++) { mean[k] *= inverse; }
    for (int r = first; r < last; r++) {
        read_row(d->weight + r * columns + c, left, x, nv);
        UNROLL for (int k = 0; k < nv; k++) {
            squares[k] = multiply_add(x[k] - mean[k], x[k] - mean[k], squares[k]);
        }
    }
    write_row(sums + c, left, mean, nv);
    write_row(sums + columns + c, left, squares, nv);
}

INLINE void out_of(const train_standard *d, int first, int last, int c, int left, const int nv) {
    const ptrdiff_t columns = d->columns;
    vf mean[WIDE], factor[WIDE], deviation[WIDE], x[WIDE];
    read_row(d->mean + c, left, mean, nv);
    read_row(d->gain + c, left, factor, nv);
    read_row(d->deviation + c, left, deviation, nv);
    UNROLL for (int k = 0; k < nv; k++) { factor[k] /= deviation[k]; }
    for (int r = first; r < last; r++) {
        read_row(d->weight + r * columns + c, left, x, nv);
        UNROLL for (int k = 0; k < nv; k++) { x[k] = (x[k] - mean[k]) * factor[k]; }
        write_row(d->out + r * columns + c, left, x, nv);
    }
}

INLINE void sums_of(const train_standard *d, int first, int last, float *sums, int c, int left,
                    const int nv) {
    const ptrdiff_t columns = d->columns;
    vf mean[WIDE], sum[WIDE], along[WIDE], deviation[WIDE], x[WIDE], error[WIDE];
    read_row(d->mean + c, left, mean, nv);
    read_row(d->deviation + c, left, deviation, nv);
    UNROLL for (int k = 0; k < nv; k++) { sum[k] = along[k] = all(0); }
    for (int r = first; r < last; r++) {
        read_row(d->weight + r * columns + c, left, x, nv);
        read_row(d->error + r * columns + c, left, error, nv);
        UNROLL for (int k = 0; k < nv; k++) {
            sum[k] += error[k];
            along[k] = multiply_add(error[k], x[k] - mean[k], along[k]);
        }
    }
    UNROLL for (int k = 0; k < nv; k++) { along[k] /= deviation[k]; }
    write_row(sums + c, left, sum, nv);
    write_row(sums + columns + c, left, along, nv);
}

INLINE void gradient_of(const train_standard *d, int first, int last, const float *factors, int c, int left,
                        const int nv) {
    const ptrdiff_t columns = d->columns;
    vf mean[WIDE], factor[WIDE], level[WIDE], slope[WIDE], deviation[WIDE], x[WIDE], error[WIDE];
    read_row(d->mean + c, left, mean, nv);
    read_row(d->gain + c, left, factor, nv);
    read_row(d->deviation + c, left, deviation, nv);
    read_row(factors + c, left, level, nv);
    read_row(factors + columns + c, left, slope, nv);
    UNROLL for (int k = 0; k < nv; k++) {
        factor[k] /= deviation[k];
        slope[k] /= deviation[k];
    }
    for (int r = first; r < last; r++) {
        read_row(d->weight + r * columns + c, left, x, nv);
        read_row(d->error + r * columns + c, left, error, nv);
        UNROLL for (int k = 0; k < nv; k++) {
            x[k] = (error[k] - level[k] - slope[k] * (x[k] - mean[k])) * factor[k];
        }
        write_row(d->gradient + r * columns + c, left, x, nv);
    }
}

void ISA(moments)(const train_standard *d, int first, int last, float *sums) {
    EVERY_COLUMN(moments, d, first, last, sums);
}

void ISA(standard_out)(const train_standard *d, int first, int last) { EVERY_COLUMN(out_of, d, first, last); }

void ISA(standard_sums)(const train_standard *d, int first, int last, float *sums) {
    EVERY_COLUMN(sums_of, d, first, last, sums);
}

void ISA(standard_gradient)(const train_standard *d, int first, int last, const float *factors) {
    EVERY_COLUMN(gradient_of, d, first, last, factors);
}
