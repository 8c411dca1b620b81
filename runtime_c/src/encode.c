// Encoders: measure raw samples into rows, align rows to the wearer, code rows as network inputs.
// SPDX-License-Identifier: Apache-2.0
//
// Arithmetic: docs/arithmetic.md section 4, in its order and with its names. C <= 64 channels.
#include "encode.h"

#include "bytes.h"
#include "model.h"
#include "softmax.h"

static const uint16_t GAIN[32] = {4096, 4186, 4277, 4371, 4467, 4565, 4664, 4767, 4871, 4978, 5087,
                                  5198, 5312, 5428, 5547, 5668, 5793, 5919, 6049, 6182, 6317, 6455,
                                  6597, 6741, 6889, 7039, 7194, 7351, 7512, 7677, 7845, 8016};

static int8_t clamp8(int32_t x) { return (int8_t)(x > 127 ? 127 : x < -128 ? -128 : x); }

int edge_encoder_is_log(const edge_encoder_t *e) {
    return e->kind == ENCODE_LOG_FRAMES || e->kind == ENCODE_LOG_SPIKES;
}

static uint32_t magnitude(int32_t x) { return (uint32_t)(x < 0 ? -x : x); }

int edge_encoder_read(edge_encoder_t *e, const edge_model_t *m) {
    const uint8_t *block = edge_model_encoder(m);
    if (!block) return EDGE_ERR_ENCODER;
    e->kind = block[0];
    e->channels = block[1];
    e->hop = edge_load16(block + 2);
    e->window = block[4];
    e->shift = block[5];
    e->mode = block[6];
    e->levels = block[7];
    e->level_low = edge_signed_byte(block[8]);
    e->level_width = block[9];
    e->threshold = block[10];
    e->span = block[11];
    e->centre[0] = edge_signed16(edge_load16(block + 12));
    e->centre[1] = edge_signed16(edge_load16(block + 14));
    e->stride = edge_load16(block + 18);
    e->penalty = block[20];
    e->gain_limit = block[21];
    e->rotation = edge_signed_byte(block[22]);
    e->gains = edge_model_at(m, edge_load32(block + 24));
    e->profile = edge_model_at(m, edge_load32(block + 28));

    const uint32_t blocks = e->kind == ENCODE_DELTA ? e->hop : e->kind == ENCODE_DIRECT ? 1 : 2;
    const uint32_t inputs = edge_model_inputs(m);
    e->row_size = (uint16_t)(blocks * e->channels);
    e->input_size = (uint16_t)(edge_model_input_kind(m) == EDGE_INPUT_SPIKES ? (inputs + 7) / 8 : inputs);
    return 0;
}

/// Measure ///

size_t edge_encoder_state_size(const edge_encoder_t *e) {
    const size_t sums = edge_encoder_is_log(e) ? (size_t)e->window * 2 * e->channels * sizeof(uint32_t) : 0;
    return sums + (size_t)edge_round_up(e->channels * sizeof(int16_t), 8);
}

void edge_measure_begin(edge_stream_t *s) {
    s->in_hop = 0;
    s->hops = 0;
    s->slot = 0;
    s->started = 0;
}

static int8_t row_value(const edge_encoder_t *e, int32_t v) { return clamp8(edge_floor32(v, e->shift)); }

// Differences of consecutive samples. row() is monotone, so the extremes are taken of its values, which fit a byte.
static int measure_difference(edge_stream_t *s, const volatile int16_t *sample, int8_t *row) {
    const edge_encoder_t *e = &s->encoder;
    for (uint32_t c = 0; c < e->channels; c++) {
        const int16_t x = sample[c];
        const int8_t v = row_value(e, s->started ? x - s->previous[c] : 0);
        int8_t *hi = row + c, *lo = row + e->channels + c;
        const int restart = s->in_hop == 0 || e->mode == 1;
        if (restart || v > *hi) *hi = v;
        if (restart || v < *lo) *lo = v;
        s->previous[c] = x;
    }
    if (!s->started) {
        s->started = 1;
        return 0;
    }
    return ++s->in_hop == e->hop;
}

// The mean of |x| and of |x - previous| over the hops so far, as a logarithm.
static void log_row(const edge_stream_t *s, int8_t *row) {
    const edge_encoder_t *e = &s->encoder;
    const uint32_t values = 2u * e->channels, n = (uint32_t)e->hop * s->hops;
    for (uint32_t v = 0; v < values; v++) {
        uint32_t sum = n;
        for (uint32_t h = 0; h < s->hops; h++) sum += s->sums[h * values + v];
        const int32_t level = (int32_t)edge_log2(sum) - (int32_t)edge_log2(n) - e->centre[v >= e->channels];
        row[v] = row_value(e, level);
    }
}

static int measure_log(edge_stream_t *s, const volatile int16_t *sample, int8_t *row) {
    const edge_encoder_t *e = &s->encoder;
    uint32_t *sums = s->sums + (size_t)s->slot * 2 * e->channels;
    for (uint32_t c = 0; c < e->channels; c++) {
        const int16_t x = sample[c];
        const int32_t change = s->started ? x - s->previous[c] : 0;
        if (s->in_hop == 0) sums[c] = sums[e->channels + c] = 0;
        sums[c] += magnitude(x);
        sums[e->channels + c] += magnitude(change);
        s->previous[c] = x;
    }
    s->started = 1;
    if (++s->in_hop < e->hop) return 0;
    if (s->hops < e->window) s->hops++;
    log_row(s, row);
    s->slot = (uint8_t)(s->slot + 1u == e->window ? 0 : s->slot + 1);
    return 1;
}

int edge_measure(edge_stream_t *s, const volatile int16_t *sample, int8_t *row) {
    const edge_encoder_t *e = &s->encoder;
    int complete;
    switch (e->kind) {
    case ENCODE_DIFFERENCE: complete = measure_difference(s, sample, row); break;
    case ENCODE_LOG_FRAMES:
    case ENCODE_LOG_SPIKES: complete = measure_log(s, sample, row); break;
    default:
        if (e->kind == ENCODE_DELTA) row += (size_t)s->in_hop * e->channels;
        for (uint32_t c = 0; c < e->channels; c++) row[c] = row_value(e, sample[c]);
        complete = ++s->in_hop == e->hop;
    }
    if (complete) s->in_hop = 0;
    return complete;
}

/// Align ///

void edge_align(const edge_encoder_t *e, const edge_alignment_t *a, const int8_t *block, int8_t *aligned) {
    const int32_t channels = e->channels;
    const int32_t sh = edge_floor32(a->rotation, 2), f = a->rotation - 4 * sh;
    int32_t from = sh % channels;
    if (from < 0) from += channels;
    for (int32_t c = 0; c < channels; c++) {
        const int32_t next = from + 1 == channels ? 0 : from + 1;
        const int32_t y = edge_floor32((4 - f) * block[from] + f * block[next] + 2, 2);
        const int32_t g = a->gain[c];
        if (edge_encoder_is_log(e)) {
            aligned[c] = clamp8(y + g);
        } else {
            const int32_t octaves = edge_floor32(g, 5), m = GAIN[g - 32 * octaves];
            aligned[c] = clamp8(edge_floor32(y * m + (1 << (11 - octaves)), (uint32_t)(12 - octaves)));
        }
        from = next;
    }
}

/// Code ///

static void light(uint8_t *input, uint32_t line) {
    input[line / 8] = (uint8_t)(input[line / 8] | 1u << line % 8);
}

static void code_difference(edge_stream_t *s, const edge_alignment_t *a, const int8_t *row) {
    const edge_encoder_t *e = &s->encoder;
    int8_t hi[EDGE_MAX_CHANNELS], lo[EDGE_MAX_CHANNELS];
    edge_align(e, a, row, hi);
    edge_align(e, a, row + e->channels, lo);
    for (uint32_t c = 0; c < e->channels; c++) {
        if (hi[c] >= e->threshold) light(s->input, c);
        if (lo[c] <= -e->threshold) light(s->input, e->channels + c);
    }
}

static void code_delta(edge_stream_t *s, const edge_alignment_t *a, const int8_t *row, int first) {
    const edge_encoder_t *e = &s->encoder;
    int8_t value[EDGE_MAX_CHANNELS];
    for (uint32_t h = 0; h < e->hop; h++) {
        edge_align(e, a, row + (size_t)h * e->channels, value);
        for (uint32_t c = 0; c < e->channels; c++) {
            int8_t *reference = s->references + c;
            const int32_t change = first && h == 0 ? 0 : value[c] - *reference;
            if (first && h == 0) *reference = value[c];
            if (change >= e->threshold) light(s->input, c);
            if (-change >= e->threshold) light(s->input, e->channels + c);
            if (change >= e->threshold || -change >= e->threshold) *reference = value[c];
        }
    }
}

static void code_log_spikes(edge_stream_t *s, const edge_alignment_t *a, const int8_t *row) {
    const edge_encoder_t *e = &s->encoder;
    int8_t value[EDGE_MAX_CHANNELS];
    EDGE_GIVEN(e->channels > 0);
    for (uint32_t b = 0; b < 2u * e->channels; b++) {
        if (b % e->channels == 0) edge_align(e, a, row + b, value);
        const int32_t level = edge_floor32(value[b % e->channels] - e->level_low, e->level_width);
        light(s->input, b * e->levels + (uint32_t)(level < 0            ? 0
                                                   : level >= e->levels ? e->levels - 1
                                                                        : level));
    }
}

void edge_code(edge_stream_t *s, const edge_alignment_t *a, const int8_t *row, int first) {
    const edge_encoder_t *e = &s->encoder;
    if (e->kind == ENCODE_LOG_FRAMES || e->kind == ENCODE_DIRECT) {
        for (uint32_t at = 0; at < e->row_size; at += e->channels)
            edge_align(e, a, row + at, (int8_t *)s->input + at);
        return;
    }
    memset(s->input, 0, e->input_size);
    if (e->kind == ENCODE_DIFFERENCE)
        code_difference(s, a, row);
    else if (e->kind == ENCODE_DELTA)
        code_delta(s, a, row, first);
    else
        code_log_spikes(s, a, row);
}
