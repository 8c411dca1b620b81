// Convolutions: lists of events from bits, values or errors; and the sharing out of their work. See train.h.
#include "table.h"
#include "train.h"

#define PARTS 8  // of a batch, each with sums of its own: the same however many threads there are

static size_t pixels(train_image i) { return (size_t)i.height * (size_t)i.width; }
static size_t numbers(train_image i) { return pixels(i) * (size_t)i.channels; }
static size_t aligned(size_t bytes) { return (bytes + 63) / 64 * 64; }

/// Lists ///

typedef struct {
    uint16_t *index;
    float *value;
    int32_t *column;
    int32_t count;
} list_writer;

static int32_t *row_of(const list_writer *w, train_image image, int list, int y) {
    return w->column + ((size_t)list * (size_t)image.height + (size_t)y) * ((size_t)image.width + 1);
}

// Spikes common to all steps are left to a last list, where there is one.
static void list_bits(list_writer *w, const uint8_t *bits, int row, train_image image, int window,
                      int common) {
    const int channels = image.channels;
    for (int l = 0; l < window + common; l++) {
        for (int y = 0, bit = 0; y < image.height; y++) {
            int32_t *column = row_of(w, image, l, y);
            for (int x = 0; x < image.width; x++, bit += channels) {
                column[x] = w->count;
                for (int c = 0; c < channels; c += 32) {
                    const int n = channels - c < 32 ? channels - c : 32;
                    uint32_t every = common ? UINT32_MAX : 0;
                    for (int t = 0; t < window && every; t++) {
                        every &= train_bits(bits + (size_t)t * (size_t)row, row, bit + c, n);
                    }
                    uint32_t m = l < window
                                     ? train_bits(bits + (size_t)l * (size_t)row, row, bit + c, n) & ~every
                                     : every;
                    for (; m; m &= m - 1) {
                        w->index[w->count++] = (uint16_t)(x * channels + c + __builtin_ctz(m));
                    }
                }
            }
            column[image.width] = w->count;
        }
    }
}

// Counts less the common ones; those come last.
static void list_counts(list_writer *w, const uint8_t *counts, const uint8_t *common, int row,
                        train_image image, int window) {
    const int channels = image.channels;
    for (int l = 0; l <= window; l++) {
        const uint8_t *now = l < window ? counts + (size_t)l * (size_t)row : common, *less = common;
        for (int y = 0; y < image.height; y++) {
            int32_t *column = row_of(w, image, l, y);
            for (int x = 0; x < image.width; x++, now += channels, less += channels) {
                column[x] = w->count;
                for (int c = 0; c < channels; c += 8) {
                    const size_t n = channels - c < 8 ? (size_t)(channels - c) : 8;
                    uint64_t a = 0, b = 0;
                    memcpy(&a, now + c, n);
                    memcpy(&b, less + c, l < window ? n : 0);
                    for (uint64_t differ = a ^ b; differ;) {
                        const int k = __builtin_ctzll(differ) / 8;
                        differ &= ~(UINT64_C(0xFF) << 8 * k);
                        w->index[w->count] = (uint16_t)(x * channels + c + k);
                        w->value[w->count++] = (float)(now[c + k] - (l < window ? less[c + k] : 0));
                    }
                }
            }
            column[image.width] = w->count;
        }
    }
}

// The image that is spread out over `image`.
static train_image before_spread(train_image image, int spread) {
    image.height = (image.height - 1) / spread + 1;
    image.width = (image.width - 1) / spread + 1;
    return image;
}

static void list_values(list_writer *w, const float *values, train_image image, int spread, int list) {
    const int channels = image.channels;
    for (int y = 0; y < image.height; y++) {
        int32_t *column = row_of(w, image, list, y);
        for (int x = 0; x < image.width; x++) {
            column[x] = w->count;
            for (int c = 0; c < channels && y % spread == 0 && x % spread == 0; c++, values++) {
                w->index[w->count] = (uint16_t)(x * channels + c);
                w->value[w->count] = *values;
                w->count += *values != 0;
            }
        }
        column[image.width] = w->count;
    }
}

static void list_errors(list_writer *w, const train_errors *errors, size_t step, train_image image,
                        int spread, int list) {
    int32_t e = errors->start[step];
    const int32_t end = errors->start[step + 1];
    const int channels = image.channels;
    for (int y = 0, pixel = 0; y < image.height; y++) {
        int32_t *column = row_of(w, image, list, y);
        for (int x = 0; x < image.width; x++) {
            column[x] = w->count;
            if (y % spread == 0 && x % spread == 0) {
                for (; e < end && errors->index[e] < pixel + channels; e++) {
                    w->index[w->count] = (uint16_t)(x * channels + errors->index[e] - pixel);
                    w->value[w->count++] = errors->value[e];
                }
                pixel += channels;
            }
        }
        column[image.width] = w->count;
    }
}

/// Forward, and input errors ///

typedef struct {
    const train_conv *conv;
    int steps, common, lists;
    size_t index, value, column, shared, out, result, backward,
        scratch;  // where things begin in a thread's scratch memory
} conv_job;

static conv_job conv_layout(const train_conv *d) {
    conv_job j = {.conv = d};
    j.steps = d->values && d->steps == 1 ? 1 : d->window;
    j.common = d->counts || (d->bits && d->window > 1 && d->window <= 16);
    j.lists = j.steps + j.common;
    const size_t events = numbers(d->in) * (size_t)j.steps + 1;
    j.value = aligned(events * sizeof(uint16_t));
    j.column = j.value + (d->bits ? 0 : aligned(events * sizeof(float)));
    j.shared = j.column +
               aligned((size_t)j.lists * (size_t)d->in.height * ((size_t)d->in.width + 1) * sizeof(int32_t));
    j.out = j.shared + aligned(d->counts ? (size_t)d->row : 0);
    j.result = j.out + aligned((size_t)j.lists * pixels(d->out) * TRAIN_BLOCK * sizeof(float));
    j.backward = j.result + aligned((size_t)j.steps * numbers(d->out) * sizeof(float));
    j.scratch =
        j.backward + aligned(d->backward ? train_backward_scratch(0, 0, d->window) * sizeof(float) : 0);
    return j;
}

size_t train_conv_packed(const train_conv *d) {
    return (size_t)d->size * (size_t)d->size * (size_t)d->in.channels * (size_t)train_units(d->out.channels) *
           16;
}

size_t train_conv_scratch(const train_conv *d) { return conv_layout(d).scratch; }

static int block_units(const train_conv *d, int first) {
    const int left = d->out.channels - first;
    return left > 48 && train_chosen()->tile_units >= 4 ? 4 : left > 16 ? 2 : 1;
}

// By blocks of output channels: (size, size * in.channels, lanes), 0 beyond the channels.
static void pack_weight(const train_conv *d) {
    const int size = d->size, in = d->in.channels, out = d->out.channels;
    float *to = d->packed;
    for (int first = 0; first < out; first += block_units(d, first) * 16) {
        const int lanes = block_units(d, first) * 16;
        for (int k = 0; k < size * size; k++) {
            const float *from =
                d->weight + (size_t)(d->flipped ? size * size - 1 - k : k) * (size_t)in * (size_t)out;
            for (int i = 0; i < in; i++) {
                for (int o = first; o < first + lanes; o++) {
                    *to++ = o >= out     ? 0
                            : d->flipped ? from[(size_t)o * (size_t)in + (size_t)i]
                                         : from[(size_t)i * (size_t)out + (size_t)o];
                }
            }
        }
    }
}

static void conv_sample(const void *job, int item, int thread) {
    const conv_job *j = job;
    const train_conv *d = j->conv;
    uint8_t *scratch = d->scratch + j->scratch * (size_t)thread;
    list_writer w = {(uint16_t *)(void *)scratch, d->bits ? NULL : (float *)(void *)(scratch + j->value),
                     (int32_t *)(void *)(scratch + j->column), 0};
    if (d->bits) {
        list_bits(&w, d->bits + (size_t)item * (size_t)d->window * (size_t)d->row, d->row, d->in, d->window,
                  j->common);
    }
    if (d->counts) {
        const uint8_t *counts = d->counts + (size_t)item * (size_t)d->window * (size_t)d->row;
        train_common(counts, d->window, d->row, scratch + j->shared);
        list_counts(&w, counts, scratch + j->shared, d->row, d->in, d->window);
    }
    for (int t = 0; t < j->steps && !d->bits && !d->counts; t++) {
        if (d->values) {
            const size_t image = numbers(before_spread(d->in, d->spread));
            list_values(&w, d->values + ((size_t)t * (size_t)d->batch + (size_t)item) * image, d->in,
                        d->spread, t);
        } else {
            list_errors(&w, &d->errors, (size_t)item * (size_t)d->window + (size_t)t, d->in, d->spread, t);
        }
    }
    const train_lists lists = {j->lists, w.index, w.value, w.column};
    float *out = (float *)(void *)(scratch + j->out), *result = (float *)(void *)(scratch + j->result);
    const float *packed = d->packed;
    const train_kernels *kernels = train_chosen();
    for (int first = 0; first < d->out.channels; first += block_units(d, first) * 16) {
        const int units = block_units(d, first);
        kernels->conv(d, &lists, packed, out, units);
        kernels->conv_finish(d, out, j->steps, j->common, first, units, result);
        packed += (size_t)d->size * (size_t)d->size * (size_t)d->in.channels * (size_t)units * 16;
    }
    const size_t count = numbers(d->out);
    if (d->leak != 0) {
        kernels->conv_leak(result, (int64_t)count, j->steps, (int64_t)count, d->leak);
    }
    if (d->neurons) {
        train_forward forward = *d->neurons;
        forward.currents = result;
        forward.current_step = j->steps > 1 ? (int64_t)count : 0;
        forward.current_sample = 0;
        train_forward_sample(&forward, item);
    } else if (d->backward) {
        train_backward backward = *d->backward;
        backward.error = result;
        backward.error_step = (int64_t)count;
        backward.error_sample = 0;
        train_backward_sample(&backward, item, (float *)(void *)(scratch + j->backward));
    } else {
        for (int t = 0; t < j->steps; t++) {
            memcpy(d->result + ((size_t)t * (size_t)d->batch + (size_t)item) * count,
                   result + (size_t)t * count, count * sizeof(float));
        }
    }
}

void train_conv_run(train_pool *pool, const train_conv *job) {
    const conv_job work = conv_layout(job);
    pack_weight(job);
    train_pool_run(pool, conv_sample, &work, job->batch);
}

/// Weight gradients ///

typedef struct {
    const train_conv_gradient *gradient;
    train_image events, images;  // whose events meet whose images
    int padding, steps, parts;
    size_t image, part;                // floats of a padded image, of one part's sums
    size_t at, value, begin, scratch;  // where things begin in a thread's scratch memory
} meet_job;

static meet_job meet_layout(const train_conv_gradient *d) {
    meet_job j = {.gradient = d};
    j.events = d->values ? d->in : d->out;
    j.images = d->in;
    if (d->values) {  // as windows at stride 1 would make it
        j.images.height += 2 * d->padding - d->size + 1;
        j.images.width += 2 * d->padding - d->size + 1;
        j.images.channels = d->out.channels;
    }
    j.padding = d->values ? d->size - 1 - d->padding : d->padding;
    j.steps = d->values ? d->steps : d->window;
    j.parts = d->batch < PARTS ? d->batch : PARTS;
    const size_t edge = 2 * (size_t)j.padding, events = numbers(j.events) * (size_t)j.steps;
    j.image = ((size_t)j.images.height + edge) * ((size_t)j.images.width + edge) * (size_t)j.images.channels;
    const size_t row = train_sums_row(d->size * j.images.channels);
    j.part = (size_t)j.events.channels * (size_t)d->size * row + aligned(4 * (size_t)j.events.channels) / 4;
    j.at = aligned((j.image * (size_t)j.steps + 16) * sizeof(float));
    j.value = j.at + aligned(events * sizeof(int32_t));
    j.begin = j.value + aligned(events * sizeof(float));
    j.scratch = j.begin + aligned(((size_t)j.events.channels + 2) * sizeof(int32_t));
    return j;
}

size_t train_conv_sums(const train_conv_gradient *d) {
    const meet_job j = meet_layout(d);
    return j.part * (size_t)j.parts;
}

size_t train_conv_gradient_scratch(const train_conv_gradient *d) { return meet_layout(d).scratch; }

// The errors' images, a frame of zeros around each.
static void pad_images(const meet_job *j, int sample, float *images) {
    const train_conv_gradient *d = j->gradient;
    const size_t channels = (size_t)j->images.channels, row = (size_t)d->out.width * channels;
    const size_t edge = (size_t)j->padding * channels;
    const size_t pitch = (size_t)j->images.width * channels + 2 * edge, stride = (size_t)d->stride;
    memset(images, 0, j->image * (size_t)j->steps * sizeof(float));
    for (int t = 0; t < j->steps; t++) {
        const float *from = d->epsilon + ((size_t)t * (size_t)d->batch + (size_t)sample) * numbers(d->out);
        float *to = images + (size_t)t * j->image + (size_t)j->padding * pitch + edge;
        for (size_t y = 0; y < (size_t)d->out.height; y++, from += row) {
            for (size_t x = 0; x < (stride > 1 ? (size_t)d->out.width : 1); x++) {
                memcpy(to + y * stride * pitch + x * stride * channels, from + x * channels,
                       (stride > 1 ? channels : row) * sizeof(float));
            }
        }
    }
}

// Calls for every event of a sample, in order: its channel, where it meets, its value.
typedef struct {
    int32_t *begin, *at;
    float *value;
    int placing;
} sorter;

static void take(sorter *s, int channel, int32_t at, float value) {
    if (s->placing) {
        const int32_t place = s->begin[channel]++;
        s->at[place] = at;
        s->value[place] = value;
    } else {
        s->begin[channel + 1]++;
    }
}

static void take_events(const meet_job *j, int sample, sorter *s, float *bias) {
    const train_conv_gradient *d = j->gradient;
    const int channels = j->events.channels, width = j->events.width;
    const int32_t pitch = (j->images.width + 2 * j->padding) * j->images.channels;
    float weight = 0;  // an error at t reaches back over t + 1 steps: 1 + tau + .. + tau^t
    for (int t = 0; t < j->steps; t++) {
        const int32_t image = (int32_t)(j->image * (size_t)t);
        if (d->values) {
            const float *x = d->values + ((size_t)t * (size_t)d->batch + (size_t)sample) * numbers(j->events);
            for (int p = 0; p < (int)pixels(j->events); p++) {
                for (int c = 0; c < channels; c++, x++) {
                    if (*x != 0) {
                        take(s, c, image + p / width * pitch + p % width * j->images.channels, *x);
                    }
                }
            }
            continue;
        }
        weight = weight * d->tau + 1;
        const int32_t *start = d->errors.start + (size_t)sample * (size_t)d->window + t;
        for (int32_t e = start[0]; e < start[1]; e++) {
            const train_place place = d->places[d->errors.index[e]];
            take(s, place.channel, image + place.at, d->errors.value[e]);
            if (s->placing) {
                bias[place.channel] += weight * d->errors.value[e];
            }
        }
    }
}

// Where each of the output's neurons is, in its channel and in the other side's images.
static void find_places(const meet_job *j) {
    const train_conv_gradient *d = j->gradient;
    const int32_t pitch = (j->images.width + 2 * j->padding) * j->images.channels;
    train_place *place = d->places;
    for (int y = 0; y < d->out.height; y++) {
        for (int x = 0; x < d->out.width; x++) {
            for (int c = 0; c < d->out.channels; c++, place++) {
                place->channel = c;
                place->at = (y * pitch + x * j->images.channels) * d->stride;
            }
        }
    }
}

static void meet_part(const void *job, int item, int thread) {
    const meet_job *j = job;
    const train_conv_gradient *d = j->gradient;
    uint8_t *scratch = d->scratch + j->scratch * (size_t)thread;
    float *images = (float *)(void *)scratch, *sums = d->sums + j->part * (size_t)item;
    float *bias = sums + j->part - j->events.channels;
    const size_t channels = (size_t)j->events.channels;
    memset(sums, 0, j->part * sizeof(float));
    memset(images + j->image * (size_t)j->steps, 0, 16 * sizeof(float));
    for (int b = d->batch * item / j->parts; b < d->batch * (item + 1) / j->parts; b++) {
        sorter s = {(int32_t *)(void *)(scratch + j->begin), (int32_t *)(void *)(scratch + j->at),
                    (float *)(void *)(scratch + j->value), 0};
        memset(s.begin, 0, (channels + 1) * sizeof(int32_t));
        take_events(j, b, &s, bias);
        for (size_t c = 0; c < channels; c++) {
            s.begin[c + 1] += s.begin[c];
        }
        s.placing = 1;
        take_events(j, b, &s, bias);
        memmove(s.begin + 1, s.begin, channels * sizeof(int32_t));
        s.begin[0] = 0;
        if (d->values) {
            pad_images(j, b, images);
        } else {
            train_chosen()->conv_traces(d, b, images);
        }
        const train_meetings m = {j->events.channels,
                                  d->size,
                                  d->size * j->images.channels,
                                  (j->images.width + 2 * j->padding) * j->images.channels,
                                  s.begin,
                                  s.at,
                                  s.value,
                                  images};
        train_chosen()->conv_meet(&m, sums);
    }
}

static void meet_channel(const void *job, int item, int thread) {
    (void)thread;
    const meet_job *j = job;
    const train_conv_gradient *d = j->gradient;
    const int size = d->size, others = j->images.channels, in = d->in.channels, out = d->out.channels;
    const size_t row = train_sums_row(size * others);
    for (int ky = 0; ky < size; ky++) {
        for (int n = 0; n < size * others; n++) {
            float sum = 0;
            for (int p = 0; p < j->parts; p++) {
                sum += d->sums[j->part * (size_t)p + ((size_t)item * (size_t)size + (size_t)ky) * row +
                               (size_t)n];
            }
            const int kx = n / others, other = n % others;
            const int k = d->values ? size * size - 1 - (ky * size + kx) : ky * size + kx;
            const int i = d->values ? item : other, o = d->values ? other : item;
            d->gradient[((size_t)k * (size_t)in + (size_t)i) * (size_t)out + (size_t)o] =
                d->values ? sum : sum * d->scale;
        }
    }
    if (d->bias_gradient && !d->values) {
        float sum = 0;
        for (int p = 0; p < j->parts; p++) {
            sum += d->sums[j->part * (size_t)(p + 1) - (size_t)j->events.channels + (size_t)item];
        }
        d->bias_gradient[item] = sum;
    }
}

void train_conv_gradient_run(train_pool *pool, const train_conv_gradient *job) {
    const meet_job work = meet_layout(job);
    if (!job->values) {
        find_places(&work);
    }
    train_pool_run(pool, meet_part, &work, work.parts);
    train_pool_run(pool, meet_channel, &work, work.events.channels);
}

/// Pooling ///

typedef struct {
    const uint8_t *bits;
    uint8_t *out, *winners;
    int rows, row, row_out, size;
    train_image in;
} pool_job;

static void put_bits(uint8_t *bits, int bit, int n, uint32_t value) {
    for (int k = 0; k < n; k += 8, value >>= 8) {
        const int at = bit + k;
        const uint32_t byte = value & 0xFFU;
        bits[at / 8] = (uint8_t)(bits[at / 8] | byte << at % 8);
        if (at % 8 && byte >> (8 - at % 8)) {
            bits[at / 8 + 1] = (uint8_t)(bits[at / 8 + 1] | byte >> (8 - at % 8));
        }
    }
}

static void pool_row(const void *job, int item, int thread) {
    (void)thread;
    const pool_job *d = job;
    const uint8_t *bits = d->bits + (size_t)item * (size_t)d->row;
    uint8_t *out = d->out + (size_t)item * (size_t)d->row_out;
    uint8_t *winners = d->winners ? d->winners + (size_t)item * (size_t)d->row : NULL;
    const int channels = d->in.channels, size = d->size, width = d->in.width / size;
    memset(out, 0, (size_t)d->row_out);
    if (winners) {
        memset(winners, 0, (size_t)d->row);
    }
    for (int y = 0; y < d->in.height / size; y++) {
        for (int x = 0; x < width; x++) {
            for (int c = 0; c < channels; c += 32) {
                const int n = channels - c < 32 ? channels - c : 32;
                uint32_t seen = 0;
                for (int k = 0; k < size * size; k++) {
                    const int bit =
                        ((y * size + k / size) * d->in.width + x * size + k % size) * channels + c;
                    uint32_t m;
                    if (channels % 32 == 0) {
                        memcpy(&m, bits + bit / 8, sizeof m);
                        m &= ~seen;
                        if (winners) {
                            memcpy(winners + bit / 8, &m, sizeof m);
                        }
                    } else {
                        m = train_bits(bits, d->row, bit, n) & ~seen;
                        if (winners) {
                            put_bits(winners, bit, n, m);
                        }
                    }
                    seen |= m;
                }
                const int bit = (y * width + x) * channels + c;
                if (channels % 32 == 0) {
                    memcpy(out + bit / 8, &seen, sizeof seen);
                } else {
                    put_bits(out, bit, n, seen);
                }
            }
        }
    }
}

void train_max_pool(train_pool *pool, const uint8_t *bits, uint8_t *out, uint8_t *winners, int rows, int row,
                    int row_out, train_image in, int size) {
    const pool_job job = {bits, out, winners, rows, row, row_out, size, in};
    train_pool_run(pool, pool_row, &job, rows);
}

/// Sums ///

typedef struct {
    const float *x;
    float *sums;
    int64_t rows;
    int columns;
} column_job;

static void column_part(const void *job, int item, int thread) {
    (void)thread;
    const column_job *d = job;
    const int64_t first = d->rows * item / 64, last = d->rows * (item + 1) / 64;
    train_chosen()->column_sums(d->x + first * d->columns, d->sums + (size_t)item * (size_t)d->columns,
                                last - first, d->columns);
}

void train_column_sums(train_pool *pool, const float *x, float *sums, float *scratch, int64_t rows,
                       int columns) {
    const column_job job = {x, scratch, rows, columns};
    train_pool_run(pool, column_part, &job, 64);
    for (int k = 0; k < columns; k++) {
        float sum = 0;
        for (int p = 0; p < 64; p++) {
            sum += scratch[(size_t)p * (size_t)columns + (size_t)k];
        }
        sums[k] = sum;
    }
}
