// Cross-entropy of a linear readout and its error, row by row; compiled once per instruction set.
#include "simd.h"
#include "table.h"

void ISA(cross_entropy)(const train_cross_entropy *d, int64_t first, int64_t last);

void ISA(cross_entropy)(const train_cross_entropy *d, int64_t first, int64_t last) {
    const int classes = d->classes;
    const vf factor = all(d->factor);
    for (int64_t r = first; r < last; r++) {
        const float *logits = d->logits + r * classes;
        float *error = d->error + r * classes;
        float most = logits[0];
        for (int c = 1; c < classes; c++) {
            most = logits[c] > most ? logits[c] : most;
        }
        float sum = 0;
        for (int c = 0; c < classes; c += WIDTH) {
            const int n = classes - c;
            const vf e = keep(first_lanes(n), exponential(load_first(logits + c, n) - all(most)));
            store_first(error + c, e, n);
            float part = 0;
            for (int k = 0; k < WIDTH; k++) {
                part += e[k];
            }
            sum += part;
        }
        const vf scale = factor / all(sum);
        for (int c = 0; c < classes; c += WIDTH) {
            store_first(error + c, load_first(error + c, classes - c) * scale, classes - c);
        }
        const int label = d->labels[r % d->batch];
        error[label] -= d->factor;
        d->sum[r] = sum;
        d->distance[r] = most - logits[label];
    }
}
