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
    e->hop = edge_half(block + 2);
    e->window = block[4];
    e->shift = block[5];
    e->mode = block[6];
    e->levels = block[7];
    e->level_low = edge_signed_byte(block[8]);
    e->level_width = block[9];
    e->threshold = block[10];
    e->span = block[11];
    e->centre[0] = edge_signed16(edge_half(block + 12));
    e->centre[1] = edge_signed16(edge_half(block + 14));
    e->stride = edge_half(block + 18);
    e->penalty = block[20];
    e->gain_limit = block[21];
    e->rotation = edge_signed_byte(block[22]);
    e->gains = edge_model_at(m, edge_word(block + 24));
    e->profile = edge_model_at(m, edge_word(block + 28));

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

int edge_measure(edge_stream_t *s, const volatile int16_t *sample, int8_t *row) {
    const edge_encoder_t *e = &s->encoder;
    const uint32_t channels = e->channels;
    const int started = s->started, restart = s->in_hop == 0 || e->mode == 1, log = edge_encoder_is_log(e);
    uint32_t *sums = s->sums + (size_t)s->slot * 2 * channels;
    if (e->kind == ENCODE_DELTA) row += (size_t)s->in_hop * channels;
    for (uint32_t c = 0; c < channels; c++) {
        const int16_t x = sample[c];
        const int32_t change = started ? x - s->previous[c] : 0;
        s->previous[c] = x;
        if (log) {
            if (restart) sums[c] = sums[channels + c] = 0;
            sums[c] += magnitude(x);
            sums[channels + c] += magnitude(change);
        } else if (e->kind == ENCODE_DIFFERENCE) {
            // row_value is monotone, so the extremes are taken of its values, which fit a byte.
            const int8_t v = row_value(e, change);
            int8_t *hi = row + c, *lo = row + channels + c;
            if (restart || v > *hi) *hi = v;
            if (restart || v < *lo) *lo = v;
        } else {
            row[c] = row_value(e, x);
        }
    }
    s->started = 1;
    if (e->kind == ENCODE_DIFFERENCE && !started) return 0;
    if (++s->in_hop < e->hop) return 0;
    s->in_hop = 0;
    if (log) {
        if (s->hops < e->window) s->hops++;
        log_row(s, row);
        s->slot = (uint8_t)(s->slot + 1u == e->window ? 0 : s->slot + 1);
    }
    return 1;
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

// One value of the block that starts at `at` of a row.
static void code_value(edge_stream_t *s, uint32_t at, uint32_t c, int8_t v, int first) {
    const edge_encoder_t *e = &s->encoder;
    switch (e->kind) {
    case ENCODE_DIFFERENCE:
        if ((at ? -v : v) >= e->threshold) light(s->input, at + c);
        break;
    case ENCODE_DELTA: {
        int8_t *reference = s->references + c;
        if (first) *reference = v;
        const int32_t change = v - *reference;
        if (magnitude(change) < e->threshold) break;
        light(s->input, change < 0 ? e->channels + c : c);
        *reference = v;
        break;
    }
    case ENCODE_LOG_SPIKES: {
        const int32_t level = edge_floor32(v - e->level_low, e->level_width), top = e->levels - 1;
        light(s->input, (at + c) * e->levels + (uint32_t)(level < 0 ? 0 : level > top ? top : level));
        break;
    }
    default: s->input[at + c] = (uint8_t)v;
    }
}

void edge_code(edge_stream_t *s, const edge_alignment_t *a, const int8_t *row, int first) {
    const edge_encoder_t *e = &s->encoder;
    int8_t value[EDGE_MAX_CHANNELS];
    memset(s->input, 0, e->input_size);
    for (uint32_t at = 0; at < e->row_size; at += e->channels) {
        edge_align(e, a, row + at, value);
        for (uint32_t c = 0; c < e->channels; c++) code_value(s, at, c, value[c], first && at == 0);
    }
}
