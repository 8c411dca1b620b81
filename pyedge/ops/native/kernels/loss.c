// Cross-entropy of a linear readout and its error, as many rows at a time as a register has lanes; compiled once per
// instruction set.
#include "simd.h"
#include "table.h"

#define MOST_CLASSES 64

void ISA(cross_entropy)(const train_cross_entropy *d, int64_t first, int64_t last, float *parts);

void ISA(cross_entropy)(const train_cross_entropy *d, int64_t first, int64_t last, float *parts) {
    const int classes = d->classes;
    const vf factor = all(d->factor);
    float columns[MOST_CLASSES * WIDTH] = {0};  // (classes, rows)
    int32_t label = (int32_t)(first % d->batch);
    for (int k = 0; k < 16; k += WIDTH) {
        store(parts + k, all(1.0F));
        store(parts + 16 + k, all(0));
    }
    for (int64_t r = first; r < last; r += WIDTH) {
        const int rows = last - r < WIDTH ? (int)(last - r) : WIDTH;
        const float *logits = d->logits + r * classes;
        for (int k = 0; k < rows; k++) {
            for (int c = 0; c < classes; c++) {
                columns[c * WIDTH + k] = *logits++;
            }
        }
        vi labels = {0};
        for (int k = 0; k < rows; k++) {
            labels[k] = d->labels[label];
            label = label + 1 < d->batch ? label + 1 : 0;
        }
        vf most = load(columns), wanted = most, sum = all(0);
        for (int c = 1; c < classes; c++) {
            const vf x = load(columns + c * WIDTH);
            most = choose(at_least(x, most), x, most);
            wanted = (vf)(((vi)x & (labels == c)) | ((vi)wanted & (labels != c)));
        }
        for (int c = 0; c < classes; c++) {
            const vf e = exponential(load(columns + c * WIDTH) - most);
            store(columns + c * WIDTH, e);
            sum += e;
        }
        float *product = parts + (r - first) % 16, *distance = product + 16;
        store_first(product, load(product) * sum, rows);
        store_first(distance, load(distance) + (most - wanted), rows);
        const vf scale = factor / sum;
        for (int c = 0; c < classes; c++) {
            const vf right = (vf)((vi)factor & (labels == c));
            store(columns + c * WIDTH, load(columns + c * WIDTH) * scale - right);
        }
        float *error = d->error + r * classes;
        for (int k = 0; k < rows; k++) {
            for (int c = 0; c < classes; c++) {
                *error++ = columns[c * WIDTH + k];
            }
        }
    }
}
