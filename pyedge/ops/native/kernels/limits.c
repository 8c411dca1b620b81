// What a core can do at most, for benchmarks to compare kernels with; compiled once per instruction set.
#include "simd.h"
#include "table.h"

double ISA(limit)(const float *x, int64_t count, int64_t rounds);

double ISA(limit)(const float *x, int64_t count, int64_t rounds) {
    vf sum[10];
    UNROLL for (int k = 0; k < 10; k++) { sum[k] = all((float)k); }
    if (!x) {
        const vf a = all(0.999F), b = all(0.001F);
        for (int64_t r = 0; r < rounds; r++) {
            UNROLL for (int k = 0; k < 10; k++) { sum[k] = multiply_add(sum[k], a, b); }
        }
    }
    for (int64_t r = 0; x && r < rounds; r++) {
        for (int64_t n = 0; n + 10 * WIDTH <= count; n += 10 * WIDTH) {
            UNROLL for (int k = 0; k < 10; k++) { sum[k] += load(x + n + k * WIDTH); }
        }
    }
    double total = 0;
    for (int k = 0; k < 10; k++) {
        for (int n = 0; n < WIDTH; n++) {
            total += (double)sum[k][n];
        }
    }
    return total;
}
