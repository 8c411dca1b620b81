// Counts of spikes, as sum pooling makes them: pooling, and lists of them. See train.h.
#include "table.h"
#include "train.h"

#define BLOCK 64

static void common_block(const uint8_t *counts, size_t step, int window, uint8_t *common) {
    uint8_t most[BLOCK], same[BLOCK];
    memset(common, 0, BLOCK);
    memset(most, 1, BLOCK);  // events at count c: 1 + steps without it; at 0: steps without 0
    for (int c = 0; c <= 4; c++) {
        memset(same, 0, BLOCK);
        for (int t = 0; t < window; t++) {
            const uint8_t *now = counts + (size_t)t * step;
            for (int n = 0; n < BLOCK; n++) {
                same[n] = (uint8_t)(same[n] + (now[n] == c));
            }
        }
        for (int n = 0; n < BLOCK; n++) {
            const int better = c == 0 || same[n] > most[n];
            common[n] = better ? (uint8_t)c : common[n];
            most[n] = better ? (uint8_t)(same[n] + (c == 0)) : most[n];
        }
    }
}

void train_common(const uint8_t *counts, int window, int row, uint8_t *common) {
    if (window > 16) {
        memset(common, 0, (size_t)row);
        return;
    }
    for (int n = 0; n < row; n += BLOCK) {
        common_block(counts + n, (size_t)row, window, common + n);
    }
}

typedef struct {
    const uint8_t *counts;
    const train_tally *tally;
    int window, row;
} tally_job;

// Where they differ, counts less common ones; common may be NULL. Returns how many; lists them if index is not NULL.
static int32_t list_row(const uint8_t *counts, const uint8_t *common, int row, uint16_t *index,
                        float *value) {
    int32_t found = 0;
    for (int n = 0; n < row; n += 8) {
        uint64_t now, then = 0;
        memcpy(&now, counts + n, sizeof now);
        if (common) {
            memcpy(&then, common + n, sizeof then);
        }
        for (uint64_t w = now ^ then; w;) {
            const int k = __builtin_ctzll(w) / 8;
            w &= ~(UINT64_C(0xFF) << 8 * k);
            if (index) {
                index[found] = (uint16_t)(n + k);
                value[found] = (float)(counts[n + k] - (common ? common[n + k] : 0));
            }
            found++;
        }
    }
    return found;
}

static void list_sample(const void *job, int item, int thread) {
    const tally_job *d = job;
    const train_tally *m = d->tally;
    uint8_t *common = m->scratch + (size_t)thread * (size_t)d->row;
    const size_t first = (size_t)item * (size_t)d->window;
    const uint8_t *counts = d->counts + first * (size_t)d->row;
    train_common(counts, d->window, d->row, common);
    int32_t at = m->common ? m->common_start[item] : 0;
    int32_t found = list_row(common, NULL, d->row, m->common ? m->common + at : NULL,
                             m->common ? m->common_value + at : NULL);
    if (!m->common) {
        m->common_start[item + 1] = found;
    }
    for (int t = 0; t < d->window; t++, counts += d->row) {
        at = m->common ? m->rest_start[first + (size_t)t] : 0;
        found = list_row(counts, common, d->row, m->common ? m->rest + at : NULL,
                         m->common ? m->rest_value + at : NULL);
        if (!m->common) {
            m->rest_start[first + (size_t)t + 1] = found;
        }
    }
}

static void add_up(int32_t *start, int count) {
    start[0] = 0;
    for (int k = 0; k < count; k++) {
        start[k + 1] += start[k];
    }
}

void train_list_counts(train_pool *pool, const uint8_t *counts, const train_tally *tally, int window,
                       int batch, int row) {
    const tally_job job = {counts, tally, window, row};
    train_pool_run(pool, list_sample, &job, batch);
    if (!tally->common) {
        add_up(tally->common_start, batch);
        add_up(tally->rest_start, batch * window);
    }
}

/// Pooling ///

typedef struct {
    const uint8_t *bits;
    uint8_t *counts;
    int row, row_out, size;
    train_image in;
} pool_job;

static void pool_row(const void *job, int item, int thread) {
    (void)thread;
    const pool_job *d = job;
    const uint8_t *bits = d->bits + (size_t)item * (size_t)d->row;
    uint8_t *out = d->counts + (size_t)item * (size_t)d->row_out, *to = out;
    const int channels = d->in.channels, size = d->size;
    for (int y = 0; y < d->in.height / size; y++) {
        for (int x = 0; x < d->in.width / size; x++) {
            for (int c = 0; c < channels; c += 8) {
                const int n = channels - c < 8 ? channels - c : 8;
                uint64_t sum = 0;
                for (int k = 0; k < size * size; k++) {
                    const int pixel = (y * size + k / size) * d->in.width + x * size + k % size;
                    sum += train_spread(train_bits(bits, d->row, pixel * channels + c, n));
                }
                memcpy(to, &sum, (size_t)n);
                to += n;
            }
        }
    }
    memset(to, 0, (size_t)(out + d->row_out - to));
}

void train_sum_pool(train_pool *pool, const uint8_t *bits, uint8_t *counts, int rows, int row, int row_out,
                    train_image in, int size) {
    const pool_job job = {bits, counts, row, row_out, size, in};
    train_pool_run(pool, pool_row, &job, rows);
}
