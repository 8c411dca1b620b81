// Streams: a ring of raw samples, the rows of one window, overlapping windows through the net.
// SPDX-License-Identifier: Apache-2.0
#include "edge/stream.h"

#include "bytes.h"
#include "encode.h"

enum { MIN_SAMPLES = 2, MAX_SAMPLES = 32768 };

static size_t padded(size_t size) { return (size_t)edge_round_up(size, 8); }

static size_t rows_size(const edge_encoder_t *e, const edge_model_t *m) {
    return (size_t)edge_model_window(m) * e->row_size;
}

size_t edge_stream_size(const edge_model_t *m, uint32_t samples) {
    edge_encoder_t e;
    if (samples < MIN_SAMPLES || samples > MAX_SAMPLES || (samples & (samples - 1))) return 0;
    if (edge_encoder_read(&e, m)) return 0;
    return padded((size_t)samples * e.channels * sizeof(int16_t)) + edge_encoder_state_size(&e) +
           padded(rows_size(&e, m)) + padded(e.input_size) + padded(e.channels);
}

static void *take(uint8_t **at, size_t size) {
    uint8_t *taken = *at;
    *at += padded(size);
    return taken;
}

int edge_stream_init(edge_stream_t *s, edge_net_t *n, void *memory, size_t size, uint32_t samples) {
    if (!s || !n || !memory) return EDGE_ERR_ARGUMENT;
    if ((uintptr_t)memory % 8) return EDGE_ERR_ALIGN;
    memset(s, 0, sizeof *s);
    const edge_model_t *m = &n->model;
    edge_encoder_t *e = &s->encoder;
    const int error = edge_encoder_read(e, m);
    if (error) return error;
    const size_t needed = edge_stream_size(m, samples);
    if (needed == 0) return EDGE_ERR_ARGUMENT;
    if (size < needed) return EDGE_ERR_MEMORY;

    s->net = n;
    s->mask = (uint16_t)(samples - 1);
    uint8_t *at = memory;
    const size_t sums = edge_encoder_state_size(e) - padded(e->channels * sizeof(int16_t));
    s->sums = take(&at, sums);
    s->ring = take(&at, (size_t)samples * e->channels * sizeof(int16_t));
    s->previous = take(&at, e->channels * sizeof(int16_t));
    s->rows = take(&at, rows_size(e, m));
    s->input = take(&at, e->input_size);
    s->references = take(&at, e->channels);
    edge_stream_align(s, NULL);
    edge_stream_reset(s);
    return 0;
}

// The ring is written through a volatile pointer, so the compiler keeps the sample before the index that publishes it.
int edge_stream_push(edge_stream_t *s, const int16_t *sample) {
    const uint16_t head = s->head;
    if ((uint16_t)(head - s->tail) > s->mask) {
        s->lost++;
        return EDGE_ERR_OVERRUN;
    }
    volatile int16_t *slot = s->ring + (size_t)(head & s->mask) * s->encoder.channels;
    for (uint32_t c = 0; c < s->encoder.channels; c++) slot[c] = sample[c];
    s->head = (uint16_t)(head + 1);
    return 0;
}

int edge_stream_window(edge_stream_t *s, const edge_alignment_t *a, const int8_t *rows, uint32_t start) {
    const uint32_t steps = edge_model_window(&s->net->model);
    int error = edge_net_begin(s->net);
    for (uint32_t t = 0; t < steps && !error; t++) {
        const uint32_t at = start + t < steps ? start + t : start + t - steps;
        edge_code(s, a, rows + (size_t)at * s->encoder.row_size, t == 0);
        error = edge_net_step(s->net, s->input);
    }
    return error;
}

int edge_stream_poll(edge_stream_t *s) {
    if (s->net->stage) return EDGE_ERR_BUSY;
    const uint32_t steps = edge_model_window(&s->net->model);
    while (s->tail != s->head) {
        const uint16_t tail = s->tail;
        const volatile int16_t *sample = s->ring + (size_t)(tail & s->mask) * s->encoder.channels;
        // Measuring writes into the oldest row.
        s->complete = 0;
        const int row_complete = edge_measure(s, sample, s->rows + (size_t)s->row * s->encoder.row_size);
        s->tail = (uint16_t)(tail + 1);
        if (!row_complete) continue;
        s->row = s->row + 1 < steps ? s->row + 1 : 0;
        if (--s->due) continue;
        s->due = s->encoder.stride;
        s->complete = 1;
        const int error = edge_stream_window(s, &s->alignment, s->rows, s->row);
        return error ? error : 1;
    }
    return 0;
}

void edge_stream_reset(edge_stream_t *s) {
    s->tail = s->head;
    s->row = 0;
    s->due = edge_model_window(&s->net->model);
    s->complete = 0;
    edge_measure_begin(s);
}

uint32_t edge_stream_waiting(const edge_stream_t *s) { return (uint16_t)(s->head - s->tail); }

uint32_t edge_stream_channels(const edge_stream_t *s) { return s->encoder.channels; }

uint32_t edge_stream_room(const edge_stream_t *s) { return s->mask + 1u - edge_stream_waiting(s); }

uint32_t edge_stream_lost(const edge_stream_t *s) { return s->lost; }

/// Kept windows ///

size_t edge_stream_window_size(const edge_model_t *m) {
    edge_encoder_t e;
    return edge_encoder_read(&e, m) ? 0 : rows_size(&e, m);
}

int edge_stream_keep(const edge_stream_t *s, void *rows, size_t size) {
    const size_t total = rows_size(&s->encoder, &s->net->model), first = (size_t)s->row * s->encoder.row_size;
    if (!rows) return EDGE_ERR_ARGUMENT;
    if (!s->complete) return EDGE_ERR_WINDOW;
    if (size < total) return EDGE_ERR_MEMORY;
    memcpy(rows, s->rows + first, total - first);
    memcpy((uint8_t *)rows + (total - first), s->rows, first);
    return 0;
}

int edge_stream_replay(edge_stream_t *s, const void *rows, size_t size) {
    if (!rows) return EDGE_ERR_ARGUMENT;
    if (size < rows_size(&s->encoder, &s->net->model)) return EDGE_ERR_MEMORY;
    return edge_stream_window(s, &s->alignment, rows, 0);
}

const edge_alignment_t *edge_stream_alignment(const edge_stream_t *s) { return &s->alignment; }

void edge_stream_align(edge_stream_t *s, const edge_alignment_t *alignment) {
    const edge_encoder_t *e = &s->encoder;
    if (alignment) {
        s->alignment = *alignment;
        return;
    }
    memset(&s->alignment, 0, sizeof s->alignment);
    s->alignment.rotation = e->rotation;
    if (e->gains) memcpy(s->alignment.gain, e->gains, e->channels);
}
