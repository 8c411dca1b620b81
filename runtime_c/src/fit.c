// Fits rotation and gains to a wearer from a few labelled windows, by forward passes alone.
// SPDX-License-Identifier: Apache-2.0
//
// Arithmetic: docs/arithmetic.md 4.5. One call runs one window, so a fit never holds up its caller for longer than a window.
#include "edge/stream.h"

#include <stdbool.h>

#include "bytes.h"
#include "encode.h"
#include "softmax.h"

enum { FIT_ROTATIONS, FIT_LEVELS, FIT_GAINS, FIT_DONE };

enum { LEAST_LIKELIHOOD = -256 };

int edge_fit_begin(edge_fit_t *f, edge_stream_t *s, const void *rows, const uint8_t *labels, uint32_t windows,
                   uint32_t repetitions) {
    if (!f || !s || !rows || !labels || windows - 1u > 65534u || repetitions - 1u > 254u)
        return EDGE_ERR_ARGUMENT;
    for (uint32_t w = 0; w < windows; w++) {
        if (labels[w] >= edge_net_classes(s->net)) return EDGE_ERR_LABEL;
    }
    memset(f, 0, sizeof *f);
    f->stream = s;
    f->rows = rows;
    f->labels = labels;
    f->windows = windows;
    f->repetitions = (uint8_t)repetitions;
    return 0;
}

// The profile has levels for the classes that the image began with.
static bool has_levels(const edge_fit_t *f, uint32_t window) {
    return f->labels[window] < edge_model_classes(&f->stream->net->model);
}

static const int8_t *window_rows(const edge_fit_t *f) {
    return (const int8_t *)f->rows + f->window * edge_stream_window_size(&f->stream->net->model);
}

// Adds the log likelihood of the next window's label.
static int add_likelihood(edge_fit_t *f) {
    int32_t likelihood;
    int error = edge_stream_window(f->stream, &f->tried, window_rows(f), 0);
    if (!error) error = edge_net_likelihood(f->stream->net, f->labels[f->window], &likelihood);
    if (error) return error;
    f->score += likelihood > LEAST_LIKELIHOOD ? likelihood : LEAST_LIKELIHOOD;
    f->window++;
    return 0;
}

// N 65535, penalty 255, |q| 64: the product is below 2^31.
static int32_t rotation_penalty(const edge_fit_t *f) {
    const int32_t q = f->tried.rotation;
    const uint32_t turns = (uint32_t)(q < 0 ? -q : q);
    return (int32_t)(f->windows * f->stream->encoder.penalty * turns / (4u * f->repetitions));
}

static void finish(edge_fit_t *f) {
    f->stream->alignment = f->tried;
    f->phase = FIT_DONE;
}

static void next_rotation(edge_fit_t *f) {
    const int32_t score = f->score - rotation_penalty(f);
    if (f->candidate == 0 || score > f->best) {
        f->best = score;
        f->rotation = f->tried.rotation;
    }
    f->candidate++;
    f->score = 0;
    const int32_t turns = (f->candidate + 1) / 2;
    f->tried.rotation = (int8_t)(f->candidate % 2 ? -turns : turns);
    if (f->candidate <= 2u * f->stream->encoder.span) return;
    f->tried.rotation = f->rotation;
    if (f->stream->encoder.profile)
        f->phase = FIT_LEVELS;
    else
        finish(f);
}

// Adds what the next window's channels lack of their class's level. At most 2^18 values of a channel: sums stay below 2^26.
static void add_levels(edge_fit_t *f) {
    const edge_encoder_t *e = &f->stream->encoder;
    const int logarithmic = edge_encoder_is_log(e);
    const int8_t *rows = window_rows(f);
    const uint8_t *profile = e->profile + (size_t)f->labels[f->window] * e->channels;
    const size_t size = edge_stream_window_size(&f->stream->net->model);
    const int32_t n = (int32_t)(size / e->channels);
    EDGE_GIVEN(n > 0);
    int32_t sum[EDGE_MAX_CHANNELS] = {0};
    int8_t value[EDGE_MAX_CHANNELS];
    for (size_t at = 0; at < size; at += e->channels) {
        edge_align(e, &f->tried, rows + at, value);
        for (uint32_t c = 0; c < e->channels; c++)
            sum[c] += logarithmic || value[c] >= 0 ? value[c] : -value[c];
    }
    for (uint32_t c = 0; c < e->channels; c++) {
        int32_t level;
        if (logarithmic) {
            level = sum[c] >= 0 ? sum[c] / n : -((n - 1 - sum[c]) / n);
        } else {
            level =
                edge_floor32((int32_t)edge_log2((uint32_t)(sum[c] + n)) - (int32_t)edge_log2((uint32_t)n), 3);
            if (level > 127) level = 127;  // and not below 0: sum + n >= n
        }
        f->delta[c] += edge_signed_byte(profile[c]) - level;
    }
}

static void set_gains(edge_fit_t *f) {
    const edge_encoder_t *e = &f->stream->encoder;
    const int64_t k = f->repetitions;
    uint32_t windows = 0;
    for (uint32_t w = 0; w < f->windows; w++) windows += has_levels(f, w) ? 1 : 0;
    if (!windows) windows = 1;  // and no sum to divide
    for (uint32_t c = 0; c < e->channels; c++)
        f->tried.gain[c] = (int8_t)edge_sat(f->delta[c] * k / (windows * (k + 1)), e->gain_limit);
    f->phase = FIT_GAINS;
}

static void judge_gains(edge_fit_t *f) {
    if (f->score - rotation_penalty(f) <= f->best) memset(f->tried.gain, 0, sizeof f->tried.gain);
    finish(f);
}

int edge_fit_run(edge_fit_t *f) {
    if (f->phase == FIT_DONE) return 0;
    if (f->phase == FIT_LEVELS) {
        if (has_levels(f, f->window)) add_levels(f);
        f->window++;
    } else {
        const int error = add_likelihood(f);
        if (error) return error;
    }
    if (f->window < f->windows) return 1;
    f->window = 0;
    if (f->phase == FIT_ROTATIONS)
        next_rotation(f);
    else if (f->phase == FIT_LEVELS)
        set_gains(f);
    else
        judge_gains(f);
    return f->phase != FIT_DONE;
}
