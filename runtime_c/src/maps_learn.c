// Learning through maps: errors through convolutions, pools and adds, and a convolution's sums
// (docs/arithmetic.md 3.2 to 3.5).
// SPDX-License-Identifier: Apache-2.0
//
// A convolution is learned tile by tile of its channels. At each position the tile's errors over time are
// made as for a
// dense layer, go down to the spikes that its window saw, and are added into sums, one a weight; when all
// positions are
// done the weights move. Spikes are found where they were made: a place of the map that comes in is a block
// of neurons of
// the source, and of every layer whose outputs that adds.
#include "lesson.h"

#if !defined(EDGE_NO_CONV) && !defined(EDGE_NO_LEARN)

void edge_maps_origins(edge_lesson_t *s, uint32_t from) {
    uint32_t block = 1;
    s->origins = 0;
    for (uint32_t k = from; k;) {
        edge_layer_t y;
        edge_net_layer(s->n, k - 1, &y);
        edge_origin_t *o = &s->origin[s->origins++];
        block *= y.pool;
        o->history = y.seat.history;
        o->sums = y.seat.sums;
        o->terms = y.seat.terms;
        o->first = y.seat.first;
        o->positions = y.positions;
        o->width = y.width;
        o->channels = y.fan_out;
        o->block = block;
        o->pool = y.pooling == EDGE_POOL_MAX ? y.pool : 1;
        o->passes = y.passes;
        o->has_terms = y.terms;
        k = y.add;
    }
}

/// Spikes ///

static const uint8_t *history_of(const edge_lesson_t *s, const edge_origin_t *o, uint32_t position,
                                 uint32_t channel) {
    const size_t neuron = (size_t)position * o->channels + channel;
    return (const uint8_t *)edge_lesson_area(s, o->history) + neuron * s->history_bytes;
}

static void start_at(const edge_lesson_t *s, uint32_t first_area, uint32_t positions, uint32_t position,
                     uint32_t *cursor) {
    const uint32_t *first = (const uint32_t *)edge_lesson_area(s, first_area) + position;
    for (uint32_t t = 0; t < s->n->model.window; t++) cursor[t] = first[(size_t)t * positions];
}

void edge_maps_start(const edge_lesson_t *s, uint32_t position, uint32_t channel, uint32_t *cursor) {
    const size_t first_neuron = (size_t)position * s->y.fan_out;
    const uint8_t *history =
        (const uint8_t *)edge_lesson_area(s, s->y.seat.history) + first_neuron * s->history_bytes;
    start_at(s, s->y.seat.first, s->y.positions, position, cursor);
    for (uint32_t c = 0; c < channel; c++) {
        for (uint32_t b = 0; b < s->history_bytes; b++) {
            for (uint32_t bits = *history++; bits; bits &= bits - 1) cursor[8 * b + edge_lowest_bit(bits)]++;
        }
    }
}

// Whether an earlier position of the same max pool fired too, channel by channel.
static bool fired_earlier(const uint8_t *history, const edge_origin_t *o, size_t bytes, uint32_t position,
                          uint32_t channel, uint32_t t) {
    const uint32_t in_y = position / o->width % o->pool, in_x = position % o->width % o->pool;
    const uint32_t corner = position - in_y * o->width - in_x;
    for (uint32_t k = 0; k < in_y * o->pool + in_x; k++) {
        const uint32_t other = corner + k / o->pool * o->width + k % o->pool;
        if (history[((size_t)other * o->channels + channel) * bytes + (t - 1) / 8] >> (t - 1) % 8 & 1)
            return true;
    }
    return false;
}

uint32_t edge_maps_output(const edge_lesson_t *s, uint32_t i, uint32_t t) {
    const edge_layer_t *y = &s->y;
    const edge_map_t out = edge_layer_outputs(y);
    const uint32_t position = i / y->fan_out, channel = i % y->fan_out;
    const uint32_t at_y = position / y->width / y->pool, at_x = position % y->width / y->pool;
    if (at_y >= out.height || at_x >= out.width) return UINT32_MAX;
    if (y->pooling == EDGE_POOL_MAX) {
        edge_origin_t o = {0};
        o.width = y->width;
        o.channels = y->fan_out;
        o.pool = y->pool;
        const uint8_t *history = (const uint8_t *)edge_lesson_area(s, s->y.seat.history);
        if (fired_earlier(history, &o, s->history_bytes, position, channel, t)) return UINT32_MAX;
    }
    return (at_y * out.width + at_x) * out.channels + channel;
}

// The steps of a row of spikes, one after the other. Returns the next step after t (0 at first), or 0.
static uint32_t next_spike(const uint8_t *history, uint32_t bytes, uint32_t t) {
    uint32_t b = t / 8;
    if (b >= bytes) return 0;
    uint32_t bits = (uint32_t)history[b] >> t % 8 << t % 8;
    while (!bits && ++b < bytes) bits = history[b];
    return bits ? 8 * b + edge_lowest_bit(bits) + 1 : 0;
}

/// Errors ///

uint32_t edge_maps_expand_added(const edge_lesson_t *s, bool update_unit) {
    edge_net_t *n = s->n;
    const edge_model_t *m = &n->model;
    const uint32_t columns = edge_lesson_columns(s), tw = m->tile_width, window = m->window;
    int16_t *tile = edge_lesson_tile(s);
    edge_clear(tile, 2 * (size_t)tw * window);
    // From the last of the layers that add up to this one.
    uint32_t top = s->l, levels = 1;
    for (uint32_t l = top + 1; l < m->layers; l++) {
        if (edge_model_layer(m, l).current != top + 1) continue;
        top = l;
        levels++;
    }
    edge_lesson_t level;
    int32_t down = 0;
    for (uint32_t l = top;; l = level.y.current - 1u) {
        edge_lesson_open(&level, n, l);
        for (uint32_t k = 0; k < columns; k++) {
            int16_t *column = tile + k;
            const int32_t limit = level.error_limit;
            const uint32_t i = n->position * s->y.fan_out + n->base + k;
            const edge_column_t to = {column, tw, false, true};
            uint32_t *cursor = NULL;
            if (level.y.capacity) {
                cursor = edge_lesson_cursor(s, 0);
                edge_maps_start(&level, n->position, n->base + k, cursor);
            }
            for (uint32_t t = 0; l < top && t < window; t++)
                column[t * tw] = (int16_t)edge_shifted(column[t * tw], down, 32767);
            edge_lesson_neuron(&level, i, 0, cursor, &to);
            for (uint32_t t = 0; t < window; t++) column[t * tw] = (int16_t)edge_sat32(column[t * tw], limit);
        }
        if (l == s->l) break;
        down = level.y.current_down;
    }
    n->largest = 0;
    for (uint32_t k = 0; k < columns; k++) {
        uint32_t largest = 0;
        for (uint32_t t = 0; t < window; t++) {
            int16_t *eta = tile + t * tw + k;
            if (update_unit) *eta = (int16_t)edge_lesson_update_unit(s, *eta);
            const uint32_t magnitude = (uint32_t)(*eta < 0 ? -*eta : *eta);
            if (magnitude > largest) largest = magnitude;
        }
        edge_lesson_keep_largest(n, k, largest);
    }
    n->at = columns;
    return levels * columns * (window + s->above.m4);
}

uint32_t edge_maps_places(const edge_lesson_t *s) {
    return s->y.kernel ? (uint32_t)s->y.kernel * s->y.kernel : s->in.height * s->in.width;
}

// Where place `at` of the present position's window is in the map that comes in. Returns whether it is in it.
static bool find_place(const edge_lesson_t *s, uint32_t at, uint32_t *place_y, uint32_t *place_x) {
    const edge_layer_t *y = &s->y;
    if (!y->kernel) {
        *place_y = at / s->in.width;
        *place_x = at % s->in.width;
        return true;
    }
    // What lies above or to the left wraps and is too large.
    *place_y = s->n->position / y->width * y->stride + at / y->kernel - y->padding;
    *place_x = s->n->position % y->width * y->stride + at % y->kernel - y->padding;
    return *place_y < s->in.height && *place_x < s->in.width;
}

// The position of an origin that is number k of a place's block.
static uint32_t in_block(const edge_origin_t *o, uint32_t place_y, uint32_t place_x, uint32_t k) {
    return (place_y * o->block + k / o->block) * o->width + place_x * o->block + k % o->block;
}

uint32_t edge_maps_bring_down(const edge_lesson_t *s, uint32_t budget) {
    edge_net_t *n = s->n;
    const uint32_t tw = n->model.tile_width, columns = edge_lesson_columns(s), width = s->y.bits == 8 ? 1 : 2;
    const uint32_t bytes = s->history_bytes, channels = s->in.channels, places = edge_maps_places(s);
    const int16_t *tile = edge_lesson_tile(s);
    uint32_t *cursor = edge_lesson_cursor(s, 1);
    const uint8_t *weights = edge_net_weights(n, &s->y) + (size_t)width * n->base;
    uint32_t used = 0, spikes = 0;
    do {
        uint32_t place_y, place_x;
        used += tw;
        if (!find_place(s, n->at, &place_y, &place_x)) continue;
        const uint8_t *rows = weights + (size_t)width * n->at * channels * s->y.m4;
        for (uint32_t k = 0; k < s->origins; k++) {
            const edge_origin_t *o = &s->origin[k];
            const uint8_t *histories = (const uint8_t *)edge_lesson_area(s, o->history);
            int32_t *sums = (int32_t *)edge_lesson_area(s, o->sums);
            for (uint32_t b = 0; o->passes && b < o->block * o->block; b++) {
                const uint32_t position = in_block(o, place_y, place_x, b);
                start_at(s, o->first, o->positions, position, cursor);
                for (uint32_t c = 0; c < channels; c++) {
                    const uint8_t *history = history_of(s, o, position, c);
                    const uint8_t *row = rows + (size_t)width * c * s->y.m4;
                    for (uint32_t t = next_spike(history, bytes, 0); t; t = next_spike(history, bytes, t)) {
                        const uint32_t index = cursor[t - 1]++;
                        if (o->pool > 1 && fired_earlier(histories, o, bytes, position, c, t)) continue;
                        sums[index] += edge_lesson_dot(row, s->y.bits, tile + (size_t)(t - 1) * tw, columns);
                        spikes++;
                    }
                }
                used += channels;
            }
        }
    } while (++n->at < places && used + spikes * tw < budget);
    edge_stats_t *counts = edge_net_counts(n, s->y.source - 1u);
    if (counts) edge_count(&counts->error_sops, spikes * columns);
    return used + spikes * tw;
}

void edge_maps_add_terms(edge_lesson_t *s) {
    if (s->plain) edge_maps_origins(s, s->y.source);
    const uint32_t shift = (uint32_t)s->below.down_shift + s->y.input_down;
    for (uint32_t k = 0; k < s->origins; k++) {
        const edge_origin_t *o = &s->origin[k];
        if (!o->passes || !o->has_terms) continue;
        const int32_t *sums = (const int32_t *)edge_lesson_area(s, o->sums);
        int32_t *terms = (int32_t *)edge_lesson_area(s, o->terms);
        const uint32_t *first = (const uint32_t *)edge_lesson_area(s, o->first);
        const uint32_t spikes = first[(size_t)s->n->model.window * o->positions];
        for (uint32_t i = 0; i < spikes; i++) terms[i] += edge_lesson_term(sums[i], shift);
    }
}

// Terms of the readout at the spikes of an origin `o` of the lesson's layer, whose outputs the readout takes.
static void add_readout_terms(const edge_lesson_t *s, const edge_origin_t *o) {
    const edge_map_t out = edge_layer_outputs(&s->y);
    const uint32_t bytes = s->history_bytes, block = o->block * s->y.pool;
    const uint8_t *histories = (const uint8_t *)edge_lesson_area(s, o->history);
    int32_t *terms = (int32_t *)edge_lesson_area(s, o->terms);
    uint32_t *cursor = edge_lesson_cursor(s, 1);
    for (uint32_t position = 0; position < o->positions; position++) {
        const uint32_t at_y = position / o->width / block, at_x = position % o->width / block;
        if (at_y >= out.height || at_x >= out.width) continue;
        start_at(s, o->first, o->positions, position, cursor);
        for (uint32_t c = 0; c < o->channels; c++) {
            const uint8_t *history = history_of(s, o, position, c);
            const uint32_t j = (at_y * out.width + at_x) * out.channels + c;
            for (uint32_t t = next_spike(history, bytes, 0); t; t = next_spike(history, bytes, t)) {
                const uint32_t index = cursor[t - 1]++;
                if (o->pool > 1 && fired_earlier(histories, o, bytes, position, c, t)) continue;
                terms[index] += edge_lesson_readout_term(s, j, t);
            }
        }
    }
}

void edge_maps_pass_on(edge_lesson_t *s) {
    if (!s->y.add) return;
    edge_maps_origins(s, s->y.add);
    for (uint32_t k = 0; k < s->origins; k++) {
        const edge_origin_t *o = &s->origin[k];
        if (!o->passes) continue;
        if (s->from_above) add_readout_terms(s, o);
        int32_t *terms = (int32_t *)edge_lesson_area(s, o->terms);
        const uint32_t *first = (const uint32_t *)edge_lesson_area(s, o->first);
        const uint32_t spikes = first[(size_t)s->n->model.window * o->positions];
        for (uint32_t i = 0; i < spikes; i++)
            terms[i] = edge_shifted(edge_sat32(terms[i], 32767), s->y.add_down, 32767);
    }
    edge_maps_origins(s, s->plain ? 0 : s->y.source);
}

/// Sums ///

// Eight steps, byte b of their histories, of one channel of a max pool (or one neuron) whose corner is
// given: adds the eps of
// those with a spike. Returns how many.
static uint32_t add_pool(const edge_lesson_t *s, const edge_origin_t *o, const uint8_t *corner, uint32_t b,
                         int32_t *sums) {
    const size_t across = (size_t)o->channels * s->history_bytes, down = across * o->width;
    uint32_t bits = 0, added = 0;
    for (uint32_t ky = 0; ky < o->pool; ky++) {
        for (uint32_t kx = 0; kx < o->pool; kx++) bits |= corner[ky * down + kx * across + b];
    }
    if (edge_lesson_is_flat(s)) {
        for (; bits; bits &= bits - 1) added++;
        return added;
    }
    const uint32_t tw = s->n->model.tile_width, columns = edge_lesson_columns(s);
    const int16_t *tile = edge_lesson_tile(s) + (size_t)8 * b * tw;
    for (; bits; bits &= bits - 1, added++)
        edge_add_eps(sums, tile + (size_t)edge_lowest_bit(bits) * tw, 1, columns);
    return added;
}

// All pools of an origin's block, for one channel of a place. Returns how many eps rows went in.
static uint32_t add_block(const edge_lesson_t *s, const edge_origin_t *o, uint32_t place_y, uint32_t place_x,
                          uint32_t channel, int32_t *sums) {
    const uint32_t bytes = s->history_bytes;
    uint32_t added = 0;
    for (uint32_t ky = 0; ky < o->block; ky += o->pool) {
        for (uint32_t kx = 0; kx < o->block; kx += o->pool) {
            const uint32_t position = (place_y * o->block + ky) * o->width + place_x * o->block + kx;
            const uint8_t *corner = history_of(s, o, position, channel);
            for (uint32_t b = 0; b < bytes; b++) added += add_pool(s, o, corner, b, sums);
        }
    }
    return added;
}

void edge_maps_history(const edge_lesson_t *s, uint32_t r, uint8_t *history) {
    const edge_origin_t *o = &s->origin[0];
    const uint32_t place = r / s->in.channels, bytes = s->history_bytes;
    const size_t across = (size_t)o->channels * bytes, down = across * o->width;
    const uint32_t position = place / s->in.width * o->block * o->width + place % s->in.width * o->block;
    const uint8_t *corner = history_of(s, o, position, r % s->in.channels);
    for (uint32_t b = 0; b < bytes; b++) {
        uint32_t bits = 0;
        for (uint32_t ky = 0; ky < o->block; ky++) {
            for (uint32_t kx = 0; kx < o->block; kx++) bits |= corner[ky * down + kx * across + b];
        }
        history[b] = (uint8_t)bits;
    }
}

// Adds x times eps over the window for one channel of a place. Returns how many eps rows went in.
static uint32_t add_input(const edge_lesson_t *s, uint32_t place_y, uint32_t place_x, uint32_t channel,
                          int32_t *sums) {
    const edge_model_t *m = &s->n->model;
    const uint32_t columns = edge_lesson_columns(s), window = m->window, bytes = s->history_bytes;
    const size_t j = ((size_t)place_y * s->in.width + place_x) * s->in.channels + channel;
    const int16_t *tile = edge_lesson_tile(s);
    const bool flat = edge_lesson_is_flat(s);
    uint32_t added = 0;
    int32_t x = 0;  // the sum of the input over the window: what a flat tile takes, which sees no frames
    if (s->y.source) {
        for (uint32_t k = 0; k < s->origins; k++) {
            added += add_block(s, &s->origin[k], place_y, place_x, channel, sums);
        }
        x = (int32_t)added;
    } else if (m->input_kind == EDGE_INPUT_SPIKES) {
        const uint8_t *history = (const uint8_t *)edge_lesson_area(s, s->at.inputs) + j * bytes;
        for (uint32_t t = next_spike(history, bytes, 0); t; t = next_spike(history, bytes, t), added++)
            edge_add_eps(sums, tile + (size_t)(t - 1) * m->tile_width, 1, columns);
    } else if (m->input_kind == EDGE_INPUT_STATIC) {
        x = ((const int8_t *)edge_lesson_area(s, s->at.inputs))[j];
    } else {
        const int8_t *values = (const int8_t *)edge_lesson_area(s, s->at.inputs) + j * window;
        for (uint32_t t = 0; t < window; t++) {
            if (values[t] == 0) continue;
            edge_add_eps(sums, tile + (size_t)t * m->tile_width, values[t], columns);
            added++;
        }
    }
    if (!flat) return added;
    if (x) edge_add_eps(sums, tile, x, columns);
    return x != 0;
}

static int32_t *sums_of(const edge_lesson_t *s, uint32_t *stride) {
    const uint32_t tw = s->n->model.tile_width;
    *stride = tw < s->y.m4 ? tw : s->y.m4;
    return (int32_t *)edge_lesson_area(s, s->at.sums);
}

uint32_t edge_maps_sum(const edge_lesson_t *s, uint32_t budget) {
    edge_net_t *n = s->n;
    const uint32_t channels = s->in.channels, places = edge_maps_places(s), tw = n->model.tile_width;
    uint32_t stride, used = 0, added = 0;
    int32_t *sums = sums_of(s, &stride);
    if (!n->summed) memset(sums, 0, 4 * (size_t)s->y.fan_in * stride);
    n->summed = 1;
    do {
        uint32_t place_y, place_x;
        used += channels;
        if (!find_place(s, n->at, &place_y, &place_x)) continue;
        int32_t *rows = sums + (size_t)n->at * channels * stride;
        for (uint32_t c = 0; c < channels; c++)
            added += add_input(s, place_y, place_x, c, rows + (size_t)c * stride);
    } while (++n->at < places && used + added * tw < budget);
    edge_stats_t *counts = edge_net_counts(n, n->layer);
    if (counts) edge_count(&counts->update_sops, added * edge_lesson_columns(s));
    return used + added * tw;
}

uint32_t edge_maps_row(const edge_lesson_t *s, uint32_t r, int32_t *sums) {
    const uint32_t columns = edge_lesson_columns(s), place = r / s->in.channels;
    if (s->y.kernel) {
        uint32_t stride, any = 0;
        const int32_t *row = sums_of(s, &stride) + (size_t)r * stride;
        for (uint32_t i = 0; i < columns; i++) any |= (uint32_t)(sums[i] = row[i]);
        return any != 0;
    }
    memset(sums, 0, 4 * (size_t)columns);
    return add_input(s, place / s->in.width, place % s->in.width, r % s->in.channels, sums);
}
#endif
