// Cuts the work of train.h into items for the threads; chooses the kernels of this processor.
#include "train.h"
#include "table.h"

#include <string.h>

/// Instruction sets ///

static const train_kernels *chosen;

static int has(const train_kernels *k) {
#if defined(TRAIN_X86)
    __builtin_cpu_init();
    if (k == &train_kernels_avx512) {
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
    }
    if (k == &train_kernels_avx2) {
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    }
#endif
    return k == &train_kernels_plain;
}

static const train_kernels *const every[] = {
#if defined(TRAIN_X86)
    &train_kernels_avx512,
    &train_kernels_avx2,
#endif
    &train_kernels_plain,
};
#define EVERY (sizeof every / sizeof every[0])

const train_kernels *train_chosen(void) {
    for (size_t k = 0; !chosen && k < EVERY; k++) {
        if (has(every[k])) {
            chosen = every[k];
        }
    }
    return chosen;
}

const char *train_isa(void) { return train_chosen()->name; }

int train_use_isa(const char *name) {
    for (size_t k = 0; k < EVERY; k++) {
        if (strcmp(every[k]->name, name) == 0 && has(every[k])) {
            chosen = every[k];
            return 0;
        }
    }
    return -1;
}

double train_limit(const float *x, int64_t count, int64_t rounds) {
    return train_chosen()->limit(x, count, rounds);
}

int train_width(void) { return train_chosen()->width; }

/// Events ///

static uint64_t word(const uint8_t *bytes) {
    uint64_t x;
    memcpy(&x, bytes, sizeof x);
    return x;
}

int32_t train_count_events(const uint8_t *bits, int32_t *start, int rows, int row) {
    return train_chosen()->count_bits(bits, start, rows, row);
}

typedef struct {
    const uint8_t *bits;
    const int32_t *start;
    uint16_t *index;
    int rows, row, chunk;
} list_job;

static void list_rows(const void *job, int item, int thread) {
    (void)thread;
    const list_job *d = job;
    const int first = item * d->chunk, end = first + d->chunk < d->rows ? first + d->chunk : d->rows;
    train_chosen()->list_bits(d->bits + (size_t)first * (size_t)d->row, d->index + d->start[first],
                              d->index + d->start[end], end - first, d->row);
}

// Enough items to share out, not so many that sharing costs.
static int chunk_of(int count, int items) { return count > items ? (count + items - 1) / items : 1; }

void train_list_events(train_pool *pool, const uint8_t *bits, const int32_t *start, uint16_t *index, int rows,
                       int row) {
    const int chunk = chunk_of(rows, 8);
    const list_job job = {bits, start, index, rows, row, chunk};
    train_pool_run(pool, list_rows, &job, (rows + chunk - 1) / chunk);
}

typedef struct {
    const uint8_t *bits;
    const train_patterns *patterns;
    int window, row;
} pattern_job;

// The patterns of eight inputs, a byte each: those of `steps` steps from `bits` on.
static uint64_t patterns_of(const uint8_t *bits, int row, int steps) {
    uint64_t found = 0;
    for (int t = 0; t < steps; t++) {
        found |= train_spread(bits[(size_t)t * (size_t)row]) << t;
    }
    return found;
}

// A counting sort of all inputs by their pattern.
static void list_patterns(const void *job, int item, int thread) {
    (void)thread;
    const pattern_job *d = job;
    const train_patterns *p = d->patterns;
    const int width = p->width, groups = (d->window + width - 1) / width;
    const int first = item % groups * width, steps = d->window - first < width ? d->window - first : width;
    const uint8_t *bits =
        d->bits + ((size_t)(item / groups) * (size_t)d->window + (size_t)first) * (size_t)d->row;
    int32_t *start = p->start + ((size_t)item << width), at[1 << TRAIN_PATTERN] = {0};
    for (int n = 0; n < d->row; n++) {
        uint64_t found = patterns_of(bits + n, d->row, steps);
        for (int k = 0; k < 8; k++, found >>= 8) {
            at[found & 0xFFU]++;
        }
    }
    int32_t total = item * d->row * 8;
    for (int k = 0; k < 1 << width; k++) {
        const int32_t count = at[k];
        start[k] = at[k] = total;
        total += count;
    }
    for (int n = 0; n < d->row; n++) {
        uint64_t found = patterns_of(bits + n, d->row, steps);
        for (int k = 0; k < 8; k++, found >>= 8) {
            p->index[at[found & 0xFFU]++] = (uint16_t)(n * 8 + k);
        }
    }
}

void train_list_patterns(train_pool *pool, const uint8_t *bits, const train_patterns *patterns, int window,
                         int batch, int row) {
    const pattern_job job = {bits, patterns, window, row};
    const int items = batch * ((window + patterns->width - 1) / patterns->width);
    train_pool_run(pool, list_patterns, &job, items);
    patterns->start[(size_t)items << patterns->width] = items * row * 8;
}

typedef struct {
    uint8_t *bytes, *bits;
    int window, batch, count, row, pack;
} pack_job;

static void pack_sample(const void *job, int item, int thread) {
    (void)thread;
    const pack_job *d = job;
    for (int t = 0; t < d->window; t++) {
        uint8_t *bytes = d->bytes + ((size_t)t * (size_t)d->batch + (size_t)item) * (size_t)d->count;
        uint8_t *bits = d->bits + ((size_t)item * (size_t)d->window + (size_t)t) * (size_t)d->row;
        if (!d->pack) {
            for (int n = 0; n < d->count; n++) {
                bytes[n] = (uint8_t)(bits[n / 8] >> (n % 8) & 1U);
            }
            continue;
        }
        memset(bits, 0, (size_t)d->row);
        int n = 0;
        // Eight bytes of 0 and 1 are the top byte of one product (little-endian words).
        for (; n + 8 <= d->count; n += 8) {
            bits[n / 8] = (uint8_t)(word(bytes + n) * UINT64_C(0x0102040810204080) >> 56);
        }
        for (; n < d->count; n++) {
            bits[n / 8] = (uint8_t)(bits[n / 8] | bytes[n] << (n % 8));
        }
    }
}

void train_pack(train_pool *pool, const uint8_t *bytes, uint8_t *bits, int window, int batch, int count,
                int row) {
    const pack_job job = {(uint8_t *)(uintptr_t)bytes, bits, window, batch, count, row, 1};
    train_pool_run(pool, pack_sample, &job, batch);
}

void train_unpack(train_pool *pool, const uint8_t *bits, uint8_t *bytes, int window, int batch, int count,
                  int row) {
    const pack_job job = {bytes, (uint8_t *)(uintptr_t)bits, window, batch, count, row, 0};
    train_pool_run(pool, pack_sample, &job, batch);
}

/// Forward ///

typedef struct {
    const train_forward *forward;
    int tiles, parts, by_sample;
    size_t scratch;
} forward_job;

size_t train_forward_scratch(int inputs) {
    return (size_t)inputs * 16 * (size_t)train_chosen()->tile_units + 64;
}

// Where the room for all units of a sample begins ...
static int64_t room_of_sample(int units, int sample, int window) {
    return (int64_t)sample * units * (int64_t)train_region(window);
}

// ... or, in work that goes by tiles, that for samples from `first` on in a tile of `wide` units.
static int64_t room_of_tile(int batch, int unit, int wide, int first, int window) {
    return ((int64_t)unit * batch + (int64_t)first * wide) * (int64_t)train_region(window);
}

void train_forward_sample(const train_forward *d, int sample) {
    const int units = train_units(d->outputs), tiles = train_tiles(units, train_chosen()->tile_units);
    int64_t at = room_of_sample(units, sample, d->window);
    for (int k = 0; k < tiles; k++) {
        const int unit = train_tile(units, tiles, k);
        const size_t place = (size_t)sample * (size_t)units + (size_t)unit;
        d->saved.begin[place] = at;
        train_chosen()->forward(d, unit, train_tile(units, tiles, k + 1) - unit, sample, sample + 1, NULL);
        at += d->saved.count[place];
    }
}

static void forward_item(const void *job, int item, int thread) {
    const forward_job *d = job;
    if (d->by_sample) {
        train_forward_sample(d->forward, item);
        return;
    }
    const int units = train_units(d->forward->outputs), tile = item / d->parts, part = item % d->parts;
    const int unit = train_tile(units, d->tiles, tile), wide = train_tile(units, d->tiles, tile + 1) - unit;
    const int batch = d->forward->batch;
    const int first = batch * part / d->parts, last = batch * (part + 1) / d->parts;
    if (d->forward->neuron.theta) {
        d->forward->saved.begin[(size_t)first * (size_t)units + (size_t)unit] =
            room_of_tile(batch, unit, wide, first, d->forward->window);
    }
    train_chosen()->forward(d->forward, unit, wide, first, last,
                            d->forward->scratch + d->scratch * (size_t)thread);
}

void train_forward_run(train_pool *pool, const train_forward *job) {
    const int tiles = train_tiles(train_units(job->outputs), train_chosen()->tile_units);
    const int parts = tiles >= 8 ? 1 : 8 / tiles < job->batch ? 8 / tiles : job->batch;
    const int weights = job->in.index || job->patterns.index;
    const int by_sample = !weights && job->neuron.theta && tiles > 8;
    const forward_job work = {job, tiles, parts, by_sample, train_forward_scratch(weights ? job->inputs : 0)};
    train_pool_run(pool, forward_item, &work, by_sample ? job->batch : tiles * parts);
}

/// Backward ///

typedef struct {
    const train_backward *backward;
    int tiles, by_sample;
    size_t scratch;
} backward_job;

size_t train_backward_scratch(int inputs, int above, int window) {
    return ((size_t)inputs + (size_t)above + 2 * (size_t)window) * 16 * (size_t)train_chosen()->tile_units +
           128;
}

void train_backward_sample(const train_backward *d, int sample, float *scratch) {
    const int units = train_units(d->outputs), tiles = train_tiles(units, train_chosen()->tile_units);
    int64_t at = room_of_sample(units, sample, d->window);
    for (int k = 0; k < tiles; k++) {
        const int unit = train_tile(units, tiles, k);
        const size_t place = (size_t)sample * (size_t)units + (size_t)unit;
        if (d->deltas.index) {
            d->deltas.begin[place] = at;
        }
        train_chosen()->backward(d, unit, train_tile(units, tiles, k + 1) - unit, sample, sample + 1,
                                 scratch);
        for (int t = 0; t < d->window && d->deltas.index; t++) {
            at += d->deltas.count[place * (size_t)d->window + (size_t)t];
        }
    }
}

static void backward_item(const void *job, int item, int thread) {
    const backward_job *d = job;
    float *scratch = d->backward->scratch + d->scratch * (size_t)thread;
    if (d->by_sample) {
        train_backward_sample(d->backward, item, scratch);
        return;
    }
    const int units = train_units(d->backward->outputs), batch = d->backward->batch;
    const int unit = train_tile(units, d->tiles, item), wide = train_tile(units, d->tiles, item + 1) - unit;
    if (d->backward->deltas.index) {
        d->backward->deltas.begin[unit] = room_of_tile(batch, unit, wide, 0, d->backward->window);
    }
    train_chosen()->backward(d->backward, unit, wide, 0, batch, scratch);
}

void train_backward_run(train_pool *pool, const train_backward *job) {
    const int tiles = train_tiles(train_units(job->outputs), train_chosen()->tile_units);
    const size_t scratch = train_backward_scratch(job->gradient ? job->inputs : 0,
                                                  job->weight_above ? job->above : 0, job->window);
    // A sample at a time where nothing is shared between samples: what belongs together lies together.
    const int by_sample = !job->gradient && !job->bias_gradient && !job->weight_above && tiles > 8;
    const backward_job work = {job, tiles, by_sample, scratch};
    train_pool_run(pool, backward_item, &work, by_sample ? job->batch : tiles);
}

/// Errors ///

int32_t train_count_errors(const train_deltas *deltas, int32_t *start, int window, int batch, int outputs) {
    const int units = train_units(outputs), tiles = train_tiles(units, train_chosen()->tile_units);
    int32_t total = 0;
    for (int b = 0; b < batch; b++) {
        for (int t = 0; t < window; t++) {
            start[b * window + t] = total;
            for (int k = 0; k < tiles; k++) {
                const size_t place = (size_t)b * (size_t)units + (size_t)train_tile(units, tiles, k);
                total += deltas->count[place * (size_t)window + (size_t)t];
            }
        }
    }
    start[batch * window] = total;
    return total;
}

typedef struct {
    const train_deltas *deltas;
    const int32_t *start;
    uint16_t *index;
    float *value;
    int window, batch, outputs;
} errors_job;

static void errors_of_sample(const void *job, int item, int thread) {
    (void)thread;
    const errors_job *d = job;
    const int units = train_units(d->outputs), tiles = train_tiles(units, train_chosen()->tile_units);
    const int32_t *start = d->start + (size_t)item * (size_t)d->window;
    for (int t = 0; t < d->window; t++) {
        int32_t at = start[t];
        for (int k = 0; k < tiles; k++) {
            const size_t place = (size_t)item * (size_t)units + (size_t)train_tile(units, tiles, k);
            const uint16_t *count = d->deltas->count + place * (size_t)d->window;
            int64_t from = d->deltas->begin[place];
            for (int later = d->window - 1; later > t; later--) {
                from += count[later];
            }
            memcpy(d->index + at, d->deltas->index + from, count[t] * sizeof *d->index);
            memcpy(d->value + at, d->deltas->value + from, count[t] * sizeof *d->value);
            at += count[t];
        }
    }
}

void train_list_errors(train_pool *pool, const train_deltas *deltas, const int32_t *start, uint16_t *index,
                       float *value, int window, int batch, int outputs) {
    const errors_job job = {deltas, start, index, value, window, batch, outputs};
    train_pool_run(pool, errors_of_sample, &job, batch);
}

/// Weight gradients ///

#define BLOCK 64

typedef struct {
    const train_gradient *gradient;
    size_t scratch;
} gradient_job;

size_t train_gradient_scratch(int batch, int window) { return BLOCK * ((size_t)batch * (size_t)window + 16); }

static void gradient_item(const void *job, int item, int thread) {
    const gradient_job *d = job;
    train_chosen()->gradient(d->gradient, item * BLOCK, d->gradient->scratch + d->scratch * (size_t)thread);
}

void train_gradient_run(train_pool *pool, const train_gradient *job) {
    const int rows = job->batch * job->window;
    const train_errors *errors = &job->errors;
    // A counting sort by neuron; within a neuron the order of samples and steps stays.
    memset(job->begin, 0, sizeof *job->begin * ((size_t)job->outputs + 1));
    for (int32_t e = 0; e < errors->start[rows]; e++) {
        job->begin[errors->index[e] + 1]++;
    }
    for (int i = 0; i < job->outputs; i++) {
        job->begin[i + 1] += job->begin[i];
    }
    for (int r = 0; r < rows; r++) {
        for (int32_t e = errors->start[r]; e < errors->start[r + 1]; e++) {
            const int32_t place = job->begin[errors->index[e]]++;
            job->at[place] = r;
            job->value[place] = errors->value[e];
        }
    }
    memmove(job->begin + 1, job->begin, sizeof *job->begin * (size_t)job->outputs);
    job->begin[0] = 0;
    const gradient_job work = {job, train_gradient_scratch(job->batch, job->window)};
    train_pool_run(pool, gradient_item, &work, (job->inputs + BLOCK - 1) / BLOCK);
}

#define PARTS 8

typedef struct {
    const train_readout *readout;
    int parts;
    size_t sums;
} readout_job;

static size_t readout_sums(int inputs, int outputs) {
    return ((size_t)inputs + 2) * (size_t)train_readout_lanes(outputs) / 16 * 16;
}

size_t train_readout_scratch(int inputs, int outputs) { return PARTS * readout_sums(inputs, outputs); }

static void readout_part(const void *job, int item, int thread) {
    (void)thread;
    const readout_job *d = job;
    const int batch = d->readout->batch;
    train_chosen()->readout(d->readout, batch * item / d->parts, batch * (item + 1) / d->parts,
                            d->readout->scratch + d->sums * (size_t)item);
}

static void readout_row(const void *job, int item, int thread) {
    (void)thread;
    const readout_job *d = job;
    const train_readout *r = d->readout;
    const int last = (item + 1) * 64 < r->inputs + 1 ? (item + 1) * 64 : r->inputs + 1;
    const size_t lanes = (size_t)train_readout_lanes(r->outputs);
    for (int j = item * 64; j < last; j++) {
        float *out = j < r->inputs ? r->gradient + (size_t)j * (size_t)r->outputs : r->bias_gradient;
        for (int c = 0; out && c < r->outputs; c++) {
            float sum = 0;
            for (int p = 0; p < d->parts; p++) {
                sum += r->scratch[d->sums * (size_t)p + (size_t)j * lanes + (size_t)c];
            }
            out[c] = sum;
        }
    }
}

void train_readout_run(train_pool *pool, const train_readout *job) {
    const readout_job work = {job, job->batch < PARTS ? job->batch : PARTS,
                              readout_sums(job->inputs, job->outputs)};
    train_pool_run(pool, readout_part, &work, work.parts);
    train_pool_run(pool, readout_row, &work, (job->inputs + 64) / 64);
}

/// Updates ///

#define STRETCH 65536

typedef struct {
    const float *x;
    int64_t count;
    double *sums;
} square_job;

static void square_item(const void *job, int item, int thread) {
    (void)thread;
    const square_job *d = job;
    const int64_t first = (int64_t)item * STRETCH, left = d->count - first;
    d->sums[item] = train_chosen()->square_sum(d->x + first, left < STRETCH ? left : STRETCH);
}

double train_square_sum(train_pool *pool, const float *const *x, const int64_t *count, int arrays) {
    double total = 0, sums[64];
    for (int a = 0; a < arrays; a++) {
        for (int64_t done = 0; done < count[a]; done += 64 * (int64_t)STRETCH) {
            const int64_t rest = count[a] - done,
                          left = rest < 64 * (int64_t)STRETCH ? rest : 64 * (int64_t)STRETCH;
            const square_job job = {x[a] + done, left, sums};
            const int items = (int)((left + STRETCH - 1) / STRETCH);
            train_pool_run(pool, square_item, &job, items);
            for (int k = 0; k < items; k++) {
                total += sums[k];
            }
        }
    }
    return total;
}

typedef struct {
    const train_adamw *adamw;
    int *wrong;
} adamw_job;

static void adamw_item(const void *job, int item, int thread) {
    (void)thread;
    const adamw_job *d = job;
    const int64_t first = (int64_t)item * STRETCH, count = d->adamw->count;
    const int wrong =
        train_chosen()->adamw(d->adamw, first, first + STRETCH < count ? first + STRETCH : count);
    __atomic_fetch_or(d->wrong, wrong, __ATOMIC_RELAXED);
}

int train_adamw_run(train_pool *pool, const train_adamw *jobs, int arrays) {
    int wrong = 0;
    for (int a = 0; a < arrays; a++) {
        const adamw_job job = {jobs + a, &wrong};
        train_pool_run(pool, adamw_item, &job, (int)((jobs[a].count + STRETCH - 1) / STRETCH));
    }
    return wrong;
}

/// Losses ///

#define ROWS 256

static void entropy_item(const void *job, int item, int thread) {
    (void)thread;
    const train_cross_entropy *d = job;
    const int64_t first = (int64_t)item * ROWS, last = first + ROWS;
    train_chosen()->cross_entropy(d, first, last < d->rows ? last : d->rows, d->scratch + (size_t)item * 32);
}

static int items_of(int64_t rows) { return (int)((rows + ROWS - 1) / ROWS); }

size_t train_cross_entropy_scratch(int64_t rows) { return (size_t)items_of(rows) * 32; }

void train_cross_entropy_run(train_pool *pool, train_cross_entropy *job) {
    const int items = items_of(job->rows);
    train_pool_run(pool, entropy_item, job, items);
    job->product = 1;
    job->distance = 0;
    job->power = 0;
    for (int k = 0; k < items; k++) {
        const float *parts = job->scratch + (size_t)k * 32;
        for (int n = 0; n < 16; n++) {
            // Of numbers below 2^120 and 2^97.
            job->product *= (double)parts[n];
            job->distance += (double)parts[16 + n];
            if (job->product >= 0x1p120) {
                job->product *= 0x1p-120;
                job->power += 120;
            }
        }
    }
}
