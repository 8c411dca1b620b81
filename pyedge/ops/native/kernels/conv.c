// Convolutions over lists of events, forward and backward; compiled once per instruction set.
#include "simd.h"
#include "table.h"

void ISA(conv)(const train_conv *d, const train_lists *lists, const float *weight, float *out, int units);
void ISA(conv_finish)(const train_conv *d, const float *out, int steps, int common, int first, int units,
                      float *result);
void ISA(conv_leak)(float *x, int64_t count, int steps, int64_t step, float leak);
void ISA(conv_traces)(const train_conv_gradient *d, int sample, float *images);
void ISA(conv_meet)(const train_meetings *m, float *sums);
void ISA(column_sums)(const float *x, float *sums, int64_t rows, int columns);

// The window's row outermost, so that its weights stay in L1; a window's events in an image row are one slice of a
// list. Two events at a time hide the latency of additions.
INLINE void conv_of(const train_conv *d, const train_lists *lists, const float *weight, float *out,
                    const int nv, const int valued) {
    const int lanes = nv * WIDTH, channels = d->in.channels, width = d->in.width, size = d->size;
    const ptrdiff_t pixel = (ptrdiff_t)channels * lanes;
    memset(out, 0,
           sizeof(float) * (size_t)lists->count * (size_t)d->out.height * (size_t)d->out.width *
               (size_t)lanes);
    for (int ky = 0; ky < size; ky++) {
        const float *slab = weight + ky * size * pixel;
        for (int l = 0; l < lists->count; l++) {
            for (int y = 0; y < d->out.height; y++) {
                const int row = y * d->stride + ky - d->padding;
                if (row < 0 || row >= d->in.height) {
                    continue;
                }
                const int32_t *column = lists->column + (l * d->in.height + row) * (width + 1);
                float *sum = out + (ptrdiff_t)((l * d->out.height + y) * d->out.width) * lanes;
                if (column[0] == column[width]) {
                    continue;
                }
                for (int x = 0; x < d->out.width; x++, sum += lanes) {
                    const int left = x * d->stride - d->padding, right = left + size;
                    int32_t e = column[left < 0 ? 0 : left < width ? left : width];
                    const int32_t end = column[right < 0 ? 0 : right < width ? right : width];
                    if (e >= end) {
                        continue;
                    }
                    const float *base = slab - left * pixel;
                    vf a[4], b[4];
                    UNROLL for (int k = 0; k < nv; k++) {
                        a[k] = load(sum + k * WIDTH);
                        b[k] = all(0);
                    }
                    for (; e + 1 < end; e += 2) {
                        const float *one = base + (ptrdiff_t)lists->index[e] * lanes;
                        const float *two = base + (ptrdiff_t)lists->index[e + 1] * lanes;
                        if (valued) {
                            const vf p = all(lists->value[e]), q = all(lists->value[e + 1]);
                            UNROLL for (int k = 0; k < nv; k++) {
                                a[k] = multiply_add(p, load(one + k * WIDTH), a[k]);
                                b[k] = multiply_add(q, load(two + k * WIDTH), b[k]);
                            }
                        } else {
                            UNROLL for (int k = 0; k < nv; k++) {
                                a[k] += load(one + k * WIDTH);
                                b[k] += load(two + k * WIDTH);
                            }
                        }
                    }
                    if (e < end) {
                        const float *one = base + (ptrdiff_t)lists->index[e] * lanes;
                        const vf p = valued ? all(lists->value[e]) : all(1.0F);
                        UNROLL for (int k = 0; k < nv; k++) {
                            a[k] = valued ? multiply_add(p, load(one + k * WIDTH), a[k])
                                          : a[k] + load(one + k * WIDTH);
                        }
                    }
                    UNROLL for (int k = 0; k < nv; k++) { store(sum + k * WIDTH, a[k] + b[k]); }
                }
            }
        }
    }
}

void ISA(conv)(const train_conv *d, const train_lists *lists, const float *weight, float *out, int units) {
    switch (units * 2 + (lists->value != NULL)) {
    case 2: conv_of(d, lists, weight, out, UNIT / WIDTH, 0); break;
    case 3: conv_of(d, lists, weight, out, UNIT / WIDTH, 1); break;
    case 4: conv_of(d, lists, weight, out, 2 * UNIT / WIDTH, 0); break;
    case 5: conv_of(d, lists, weight, out, 2 * UNIT / WIDTH, 1); break;
#if WIDTH == 16
    case 8: conv_of(d, lists, weight, out, 4 * UNIT / WIDTH, 0); break;
    default: conv_of(d, lists, weight, out, 4 * UNIT / WIDTH, 1); break;
#endif
    }
}

void ISA(conv_finish)(const train_conv *d, const float *out, int steps, int common, int first, int units,
                      float *result) {
    const int channels = d->out.channels, lanes = units * UNIT;
    const ptrdiff_t places = (ptrdiff_t)d->out.height * d->out.width;
    const float *shared = out + steps * places * lanes;
    const vf scale = all(d->scale);
    for (int k = 0; k < lanes; k += WIDTH) {
        const int n = channels - first - k;
        const vf bias = d->bias ? load_first(d->bias + first + k, n) : all(0);
        for (int t = 0; t < steps; t++) {
            for (ptrdiff_t p = 0; p < places; p++) {
                vf sum = load(out + (t * places + p) * lanes + k);
                if (common) {
                    sum += load(shared + p * lanes + k);
                }
                store_first(result + (t * places + p) * channels + first + k, sum * scale + bias, n);
            }
        }
    }
}

void ISA(conv_leak)(float *x, int64_t count, int steps, int64_t step, float leak) {
    const vf factor = all(leak);
    for (int t = steps - 2; t >= 0; t--) {
        float *now = x + t * step;
        const float *next = now + step;
        for (int64_t n = 0; n < count; n += WIDTH) {
            const int left = count - n < WIDTH ? (int)(count - n) : WIDTH;
            store_first(now + n, multiply_add(factor, load_first(next + n, left), load_first(now + n, left)),
                        left);
        }
    }
}

void ISA(conv_traces)(const train_conv_gradient *d, int sample, float *images) {
    const int channels = d->in.channels, width = d->in.width, p = d->padding;
    const size_t pitch = (size_t)(width + 2 * p) * (size_t)channels,
                 image = pitch * (size_t)(d->in.height + 2 * p);
    const vf tau = all(d->tau);
    memset(images, 0, sizeof(float) * image * (size_t)d->window);
    for (int t = 0; t < d->window; t++) {
        const uint8_t *now = (d->bits ? d->bits : d->counts) +
                             ((size_t)sample * (size_t)d->window + (size_t)t) * (size_t)d->row;
        for (int y = 0; y < d->in.height; y++) {
            float *out = images + (size_t)t * image + (size_t)(y + p) * pitch + (size_t)(p * channels);
            const int first = y * width * channels, row = width * channels;
            for (int n = 0; n < row; n += WIDTH) {
                const int left = row - n < WIDTH ? row - n : WIDTH;
                const vf before = t ? load_first(out + n - image, left) : all(0);
                const vf spikes = d->bits ? keep(train_bits(now, d->row, first + n, left), all(1.0F))
                                          : load_counts(now + first + n, left);
                store_first(out + n, tau * before + spikes, left);
            }
        }
    }
}

// One channel, one row of the window: `nv` registers of sums from `first` on.
INLINE void meet(const train_meetings *m, int channel, int ky, int first, float *sums, const int nv) {
    vf sum[10];
    float *to = sums + ((size_t)channel * (size_t)m->size + (size_t)ky) * train_sums_row(m->run) + first;
    const float *images = m->images + (ptrdiff_t)ky * m->pitch + first;
    UNROLL for (int k = 0; k < nv; k++) { sum[k] = load(to + k * WIDTH); }
    for (int32_t e = m->begin[channel]; e < m->begin[channel + 1]; e++) {
        const vf x = all(m->value[e]);
        const float *row = images + m->at[e];
        UNROLL for (int k = 0; k < nv; k++) { sum[k] = multiply_add(x, load(row + k * WIDTH), sum[k]); }
    }
    UNROLL for (int k = 0; k < nv; k++) { store(to + k * WIDTH, sum[k]); }
}

void ISA(conv_meet)(const train_meetings *m, float *sums) {
    const int total = (int)train_sums_row(m->run);
    for (int channel = 0; channel < m->channels; channel++) {
        if (m->begin[channel] == m->begin[channel + 1]) {
            continue;
        }
        for (int ky = 0; ky < m->size; ky++) {
            int first = 0;
            for (; first + 10 * WIDTH <= total; first += 10 * WIDTH) {
                meet(m, channel, ky, first, sums, 10);
            }
            for (; first + 4 * WIDTH <= total; first += 4 * WIDTH) {
                meet(m, channel, ky, first, sums, 4);
            }
            for (; first < total; first += WIDTH) {
                meet(m, channel, ky, first, sums, 1);
            }
        }
    }
}

void ISA(column_sums)(const float *x, float *sums, int64_t rows, int columns) {
    for (int k = 0; k < columns; k += WIDTH) {
        const int n = columns - k;
        vf sum[4] = {all(0), all(0), all(0), all(0)};
        int64_t r = 0;
        for (; r + 4 <= rows; r += 4) {
            for (int i = 0; i < 4; i++) {
                sum[i] += load_first(x + (r + i) * columns + k, n);
            }
        }
        for (; r < rows; r++) {
            sum[0] += load_first(x + r * columns + k, n);
        }
        store_first(sums + k, (sum[0] + sum[1]) + (sum[2] + sum[3]), n);
    }
}
