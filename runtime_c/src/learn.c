// Learning: one MPD-ED update, tile by tile, in slices (docs/arithmetic.md section 3).
// SPDX-License-Identifier: Apache-2.0
//
// The hidden layers come first, from the top down, and the readout last, because errors come down through
// weights before their update. A tile of outputs goes through up to four stages: its errors over time in the
// error unit, those down into the layer below, its errors over time in the update unit, and the update of its
// weights, row by row.
#include "kernels/spikes.h"
#include "net.h"

enum { IDLE, EXPAND_DOWN, DOWN, EXPAND_UPDATE, UPDATE };

// A layer that is being learned.
typedef struct lesson {
    edge_net_t *n;
    edge_layer_t y;
    edge_seat_t seat;
    edge_layer_t above;  // of a hidden layer
    const uint8_t *above_weights;
    edge_seat_t below_seat;  // of any layer but the first
    edge_learning_t at;
    edge_threshold_t threshold;
    uint32_t history_bytes;
    int32_t error_limit;   // E1
    int32_t update_limit;  // E2
} lesson_t;

static void open_lesson(lesson_t *s, edge_net_t *n, uint32_t layer) {
    memset(s, 0, sizeof *s);
    s->n = n;
    s->at = edge_net_learning(n);
    s->history_bytes = edge_history_bytes(&n->model);
    edge_walk_t walk = edge_net_walk(n);
    for (uint32_t l = 0; l <= layer; l++) {
        s->below_seat = s->seat;
        s->y = edge_model_layer(&n->model, l);
        s->seat = edge_walk_layer(&n->model, &s->y, &walk);
    }
    if (!s->y.last) {
        s->above = edge_model_layer(&n->model, layer + 1);
        const edge_seat_t seat = edge_walk_layer(&n->model, &s->above, &walk);
        s->above_weights = edge_net_weights(n, &s->above, &seat);
    }
    s->threshold = edge_layer_threshold(&s->y);
    s->error_limit = edge_layer_error_limit(&s->y);
    s->update_limit = 32767 / n->model.window;
}

// The first stage that a layer's tiles need, or IDLE.
static uint8_t first_stage(const lesson_t *s) {
    const bool down = !s->y.last && s->n->layer > s->n->model.lowest;
    return down ? EXPAND_DOWN : s->y.learns ? EXPAND_UPDATE : IDLE;
}

static void *learning(const lesson_t *s, uint32_t offset) { return edge_area(s->n, EDGE_LEARNING, offset); }

static int16_t *tile_of(const lesson_t *s) { return (int16_t *)edge_area(s->n, EDGE_MEMBRANES, 0); }

// Outputs of the tile that exist.
static uint32_t columns_of(const lesson_t *s) {
    const uint32_t left = s->y.fan_out - s->n->base, tw = s->n->model.tile_width;
    return left < tw ? left : tw;
}

// x / 2^n towards zero, n 0 .. 7.
static int32_t trunc_shift(int32_t x, uint32_t n) { return x >= 0 ? x >> n : -(-x >> n); }

// The last spike at or before step t (1 ..), from a row of history. Returns its step, or 0.
static uint32_t spike_up_to(const uint8_t *history, uint32_t t) {
    if (t == 0) return 0;
    uint32_t b = (t - 1) / 8;
    uint32_t bits = history[b] & ((2u << (t - 1) % 8) - 1);
    while (!bits && b) bits = history[--b];
    return bits ? 8 * b + edge_highest_bit(bits) + 1 : 0;
}

/// Errors ///

// Weights times errors of one row. |sum| <= fan_out Wmax E1 < 2^31, and so is every part of it.
static int32_t dot(const uint8_t *row, uint32_t bits, const int16_t *eps, uint32_t columns) {
    int32_t sum = 0;
    if (bits == 8) {
        for (uint32_t i = 0; i < columns; i++) sum += ((int32_t)(row[i] ^ 0x80u) - 128) * eps[i];
    } else {
        for (uint32_t i = 0; i < columns; i++) sum += edge_tensor16(row, i) * eps[i];
    }
    return sum;
}

// What section 3.2 leaves of a sum that came down.
static int32_t arrived(const edge_layer_t *y, int32_t inter) {
    return edge_sat32(edge_round32(inter, y->down_shift), 32767);
}

// Section 3.2 for neuron i of the layer below the readout, at step t (any for a linear readout).
static int32_t from_readout(const lesson_t *s, uint32_t i, uint32_t t) {
    const int16_t *eps = (const int16_t *)learning(s, s->at.errors);
    if (edge_layer_spikes(&s->above)) eps += (size_t)(t - 1) * s->above.m4;
    const size_t row = (size_t)i * s->above.m4 * (s->above.bits == 8 ? 1u : 2u);
    edge_stats_t *counts = edge_net_counts(s->n, s->n->layer);
    if (counts && s->n->stage == first_stage(s)) edge_count(&counts->error_sops, s->above.fan_out);
    return arrived(&s->y, dot(s->above_weights + row, s->above.bits, eps, s->above.fan_out));
}

// The linear surrogate of section 3.3: what a gate G lets pass of ds.
static int32_t through_gate(int32_t ds, uint32_t gate) {
    return edge_round32(ds * (int32_t)(gate + gate / 128), 8);
}

// theta < 2^31, |eps| < 2^15, reset_mult < 2^16: the product is below 2^62, and ds - z fits 64 bits.
static int32_t after_reset(const edge_layer_t *y, int32_t d, int32_t theta, int32_t eps) {
    return edge_sat(d - edge_round64((int64_t)theta * eps * y->reset_mult, y->reset_shift), 32767);
}

static int32_t in_update_unit(const lesson_t *s, int32_t e) {
    const int32_t r = s->y.rate_shift + s->n->rate_decay;
    if (r < 0) return edge_sat((int64_t)e * ((int32_t)1 << -r), s->update_limit);
    return edge_sat32(edge_round32(e, r < 31 ? (uint32_t)r : 31), s->update_limit);
}

// Section 3.4: writes e back in time from step t to the step after `before`, into one column of eps (row 0 is
// step 1) that was zero.
static void spread(const edge_layer_t *y, int32_t e, uint32_t t, uint32_t before, int16_t *column,
                   uint32_t stride) {
    const bool lif = y->neuron != EDGE_IF;
    const uint32_t steps = lif && t - before > 8 ? 8 : t - before;
    edge_spread(column + (size_t)(t - 1) * stride, stride, e, steps, lif);
}

// The larger of a magnitude and that of x.
static uint32_t larger(uint32_t magnitude, int32_t x) {
    const uint32_t other = (uint32_t)(x < 0 ? -x : x);
    return other > magnitude ? other : magnitude;
}

// Errors of one spiking neuron over time, from its last spike to its first (sections 3.2 to 3.5).
//
// score_error: d of a spiking readout. cursor: uint32[T], the index of the neuron's spike at each step, moved
// on; NULL where no capacity is stated. Returns the largest magnitude; the column was zero before.
static uint32_t spike_errors(const lesson_t *s, uint32_t i, int32_t score_error, uint32_t *cursor,
                             bool update_unit, int16_t *column, uint32_t stride) {
    const edge_layer_t *y = &s->y;
    const size_t row = (size_t)i * s->history_bytes;
    const uint8_t *history = (const uint8_t *)learning(s, s->seat.history) + row;
    uint32_t t = spike_up_to(history, s->n->model.window);
    if (t == 0) return 0;

    const bool rectangular = y->surrogate == EDGE_GATE_RECTANGULAR, lif = y->neuron == EDGE_LIF;
    const uint8_t *gates = (const uint8_t *)learning(s, s->seat.gate) + (rectangular ? row : 0);
    const int32_t *sums = (const int32_t *)learning(s, s->seat.sums), limit = s->error_limit;
    const bool constant = y->last || (!y->sums && !edge_layer_spikes(&s->above));
    int32_t d = y->last ? score_error : constant ? from_readout(s, i, t) : 0;
    int32_t e_later = 0, unit = 0;
    uint32_t t_later = 0, largest = 0;
    for (uint32_t before; t; t = before) {
        const uint32_t at = t - 1, index = cursor ? cursor[at]++ : 0;
        before = spike_up_to(history, at);
        if (!constant) d = y->sums ? arrived(y, sums[index]) : from_readout(s, i, t);
        int32_t e = 0;
        if (!rectangular || gates[at / 8] >> at % 8 & 1) {
            int32_t eps = e_later;
            if (t_later && lif && y->reset_mult) {
                const uint32_t back = t_later - t - 1;
                eps = back <= 7 ? trunc_shift(e_later, back) : 0;
            }
            int32_t ds = d;
            if (eps && y->reset_mult) ds = after_reset(y, d, edge_theta(&s->threshold, i, t - before), eps);
            e = edge_sat32(rectangular ? ds : through_gate(ds, gates[index]), limit);
        }
        if (e != e_later) unit = update_unit ? in_update_unit(s, e) : e;
        if (unit) {
            const uint32_t steps = lif && t - before > 8 ? 8 : t - before;
            edge_spread(column + (size_t)at * stride, stride, unit, steps, lif);
            largest = larger(largest, unit);
        }
        e_later = e;
        t_later = t;
    }
    return largest;
}

/// Errors of the readout ///

// Section 3.1.
static int32_t score_error(const edge_softmax_t *p, const edge_objective_t *o, uint32_t c, uint32_t label) {
    if (o->loss == EDGE_LOSS_CROSS_ENTROPY)
        return edge_sat((c == label ? 32768 : 0) - edge_softmax_p(p, c), 32767);
    const int32_t wanted = c == label ? o->desired : o->others;
    const int32_t missing = wanted - p->scores[c];
    if (c == label ? missing <= 0 : missing >= 0) return 0;
    return edge_sat((int64_t)missing * o->count_mult, 32767);
}

static uint32_t *cursor_of(const lesson_t *s, uint32_t which) {
    return (uint32_t *)learning(s, s->at.cursors[which]);
}

static void start_cursor(const lesson_t *s, uint32_t which, const edge_seat_t *seat) {
    memcpy(cursor_of(s, which), learning(s, seat->first), 4 * (size_t)s->n->model.window);
}

static void readout_errors(edge_net_t *n, uint32_t label) {
    lesson_t s;
    open_lesson(&s, n, n->model.layers - 1u);
    const edge_objective_t o = edge_model_objective(&n->model);
    const edge_softmax_t p = edge_net_softmax(n);
    int16_t *errors = (int16_t *)learning(&s, s.at.errors);
    const bool spikes = edge_layer_spikes(&s.y);
    memset(errors, 0, 2 * (size_t)s.y.m4 * (spikes ? n->model.window : 1u));
    if (s.y.capacity) start_cursor(&s, 0, &s.seat);
    for (uint32_t c = 0; c < n->active; c++) {
        const int32_t e = score_error(&p, &o, c, label);
        if (spikes)
            spike_errors(&s, c, e, s.y.capacity ? cursor_of(&s, 0) : NULL, false, errors + c, s.y.m4);
        else
            errors[c] = (int16_t)edge_sat(e, s.error_limit);
    }
}

/// The tile ///

// Whether the tile is one row: the same error at every step, or the same input.
static bool is_flat(const lesson_t *s) {
    return !edge_layer_spikes(&s->y) || (s->n->layer == 0 && s->n->model.input_kind == EDGE_INPUT_STATIC);
}

static bool spike_inputs(const lesson_t *s) {
    return s->n->layer > 0 || s->n->model.input_kind == EDGE_INPUT_SPIKES;
}

// Whether the fast kernel applies; it wants the tile packed.
static bool is_packed(const lesson_t *s) { return spike_inputs(s) && s->y.bits == 8 && !s->y.carry; }

// Output i of the readout, from the errors that readout_errors left. Returns the largest magnitude.
static uint32_t spread_readout(const lesson_t *s, uint32_t i, int16_t *column, uint32_t stride) {
    const int16_t *errors = (const int16_t *)learning(s, s->at.errors) + i;
    const bool is_static = s->n->layer == 0 && s->n->model.input_kind == EDGE_INPUT_STATIC;
    uint32_t largest = 0;
    if (!edge_layer_spikes(&s->y)) {
        const int32_t e = in_update_unit(s, errors[0]);
        column[0] = (int16_t)(is_static ? e * s->n->model.window : e);
        return larger(0, column[0]);
    }
    const uint8_t *history = (const uint8_t *)learning(s, s->seat.history) + (size_t)i * s->history_bytes;
    for (uint32_t t = spike_up_to(history, s->n->model.window); t;) {
        const uint32_t before = spike_up_to(history, t - 1);
        const int32_t e = in_update_unit(s, errors[(size_t)(t - 1) * s->y.m4]);
        if (e) spread(&s->y, e, t, before, column, stride);
        largest = larger(largest, e);
        t = before;
    }
    return largest;
}

// Row 0 becomes the sum of all rows. |sum| <= T E2 <= 32767.
static void flatten(int16_t *tile, uint32_t stride, uint32_t window) {
    for (uint32_t i = 0; i < stride; i++) {
        int32_t sum = 0;
        for (uint32_t t = 0; t < window; t++) sum += tile[(size_t)t * stride + i];
        tile[i] = (int16_t)sum;
    }
}

// Where output k of a tile stands in a row of eps, in int16. In a packed tile (edge_tile_t) outputs 4 g and 4 g + 2 share
// a word, the first in its low half.
static uint32_t place_of(uint32_t k, bool packed) {
    if (!packed) return k;
#ifdef EDGE_LITTLE_ENDIAN
    const uint32_t half = k / 2 % 2;
#else
    const uint32_t half = 1 - k / 2 % 2;
#endif
    return (k & ~(uint32_t)3) + 2 * (k % 2) + half;
}

// Words of two halves become low + 65536 high, so that they add lane by lane.
static void pack(int16_t *tile, size_t words) {
    uint8_t *bytes = (uint8_t *)tile;
    for (size_t k = 0; k < words; k++) {
        uint32_t word;
        memcpy(&word, EDGE_ALIGNED(bytes + 4 * k, 4), 4);
        word -= (word & 0x8000) << 1;
        memcpy(EDGE_ALIGNED(bytes + 4 * k, 4), &word, 4);
    }
}

// A kernel makes multiples of this number of the tile's outputs, or none: 0.
static uint32_t together(const lesson_t *s) {
    const edge_layer_t *y = &s->y;
    const edge_kernels_t *kernels = edge_kernels();
    const bool fits = kernels->errors && s->n->stage == EXPAND_UPDATE && is_packed(s) && !is_flat(s) &&
                      y->neuron == EDGE_LIF && !y->last && !y->sums && !edge_layer_spikes(&s->above) &&
                      s->above.bits == 8 && s->history_bytes <= 8 && s->n->model.window >= 8;
    return fits ? kernels->together : 0;
}

static void keep_largest(edge_net_t *n, uint32_t k, uint32_t largest) {
    if (largest > n->largest) n->largest = (uint16_t)largest;
    ((uint8_t *)n->bounds)[k] = (uint8_t)(largest < 254 * 32 ? (largest + 31) / 32 : 255);
}

// Outputs from `at` of the tile, by a kernel.
static void expand_together(const lesson_t *s, uint32_t outputs, uint32_t *cursor, int16_t *columns) {
    edge_net_t *n = s->n;
    const edge_layer_t *y = &s->y;
    const int32_t rate = y->rate_shift + n->rate_decay;
    const edge_errors_t e = {.history = (const uint8_t *)learning(s, s->seat.history),
                             .gates = (const uint8_t *)learning(s, s->seat.gate),
                             .cursor = y->surrogate == EDGE_GATE_RECTANGULAR ? NULL : cursor,
                             .threshold = &s->threshold,
                             .weights = s->above_weights,
                             .scores = (const int16_t *)learning(s, s->at.errors),
                             .m4 = s->above.m4,
                             .down_shift = y->down_shift,
                             .history_bytes = s->history_bytes,
                             .window = n->model.window,
                             .reset_mult = y->reset_mult,
                             .reset_shift = y->reset_shift,
                             .error_limit = s->error_limit,
                             .update_limit = s->update_limit,
                             .rate = rate < 31 ? rate : 31,
                             .stride = n->model.tile_width};
    uint32_t largest[EDGE_MAX_TILE];
    uint64_t spiking = edge_kernels()->errors(&e, n->base + n->at, outputs, columns, largest);
    for (uint32_t k = 0; k < outputs; k++) keep_largest(n, n->at + k, largest[k]);
    edge_stats_t *counts = edge_net_counts(n, n->layer);
    if (!counts || first_stage(s) != n->stage) return;
    for (; spiking; spiking &= spiking - 1) edge_count(&counts->error_sops, s->above.fan_out);
}

// Outputs at .. of the tile, one or several at a time. Returns the budget used.
static uint32_t expand(lesson_t *s, uint32_t budget) {
    edge_net_t *n = s->n;
    const uint32_t tw = n->model.tile_width, columns = columns_of(s), window = n->model.window;
    const bool update_unit = n->stage == EXPAND_UPDATE;
    const bool packed = update_unit && is_packed(s);
    const uint32_t many = together(s);
    int16_t *tile = tile_of(s);
    uint32_t *cursor = NULL;
    // A layer that is gone through twice keeps its place of the tile's start in cursor 0 until the second
    // time.
    if (s->y.capacity && !s->y.last) cursor = cursor_of(s, !update_unit && s->y.learns ? 1 : 0);
    uint32_t used = 0;
    if (n->at == 0) {
        n->largest = 0;
        memset(n->bounds, 0, sizeof n->bounds);
        if (!many || tw % many || columns < tw)
            edge_clear(tile, 2 * (size_t)tw * (is_flat(s) && !edge_layer_spikes(&s->y) ? 1u : window));
        if (cursor && cursor != cursor_of(s, 0)) memcpy(cursor, cursor_of(s, 0), 4 * (size_t)window);
    }
    do {
        const uint32_t i = n->base + n->at;
        int16_t *column = tile + place_of(n->at, packed);
        if (many && columns - n->at >= many) {
            const uint32_t these = (columns - n->at) / many * many;
            expand_together(s, these, cursor, column);
            used += these * (window + s->above.m4);
            n->at += these - 1;
            continue;
        }
        const uint32_t largest = s->y.last ? spread_readout(s, i, column, tw)
                                           : spike_errors(s, i, 0, cursor, update_unit, column, tw);
        keep_largest(n, n->at, largest);
        used += window + (s->y.sums ? 0 : s->above.m4);
    } while (++n->at < columns && used < budget);
    if (n->at == columns && update_unit && n->largest) {
        if (edge_layer_spikes(&s->y) && is_flat(s)) flatten(tile, tw, window);
        if (packed && !many && !edge_kernels()->lanes)
            pack(tile, (size_t)tw / 2 * (is_flat(s) ? 1u : window));
    }
    return used;
}

// Section 3.2: the tile's errors into the error sums of the layer below, one of its neurons at a time.
// Returns the budget used.
static uint32_t bring_down(lesson_t *s, uint32_t budget) {
    edge_net_t *n = s->n;
    const uint32_t tw = n->model.tile_width, columns = columns_of(s), width = s->y.bits == 8 ? 1 : 2;
    const int16_t *tile = tile_of(s);
    int32_t *sums = (int32_t *)learning(s, s->below_seat.sums);
    uint32_t *cursor = cursor_of(s, 1);
    const uint8_t *weights = edge_net_weights(n, &s->y, &s->seat) + (size_t)width * n->base;
    uint32_t used = 0, spikes = 0;
    if (n->at == 0) start_cursor(s, 1, &s->below_seat);
    do {
        const uint8_t *history =
            (const uint8_t *)learning(s, s->below_seat.history) + (size_t)n->at * s->history_bytes;
        const uint8_t *row = weights + (size_t)width * n->at * s->y.m4;
        for (uint32_t t = spike_up_to(history, n->model.window); t; t = spike_up_to(history, t - 1)) {
            sums[cursor[t - 1]++] += dot(row, s->y.bits, tile + (size_t)(t - 1) * tw, columns);
            used += tw;
            spikes++;
        }
        used += tw;
    } while (++n->at < s->y.fan_in && used < budget);
    edge_stats_t *counts = edge_net_counts(n, n->layer - 1u);
    if (counts) edge_count(&counts->error_sops, spikes * columns);
    return used;
}

/// The update ///

// The sums S of input j over a tile that is not packed (section 3.5). Returns how many eps rows went in.
static uint32_t weight_sums(const lesson_t *s, uint32_t j, const int16_t *tile, uint32_t columns,
                            int32_t *sums) {
    const uint32_t tw = s->n->model.tile_width, window = s->n->model.window;
    uint32_t added = 0;
    memset(sums, 0, 4 * (size_t)columns);
    if (spike_inputs(s)) {
        const void *start = s->n->layer ? learning(s, s->below_seat.history) : learning(s, s->at.inputs);
        const uint8_t *history = (const uint8_t *)start + (size_t)j * s->history_bytes;
        for (uint32_t b = 0; b < s->history_bytes; b++) {
            for (uint32_t bits = history[b]; bits; bits &= bits - 1, added++) {
                if (is_flat(s)) continue;
                const int16_t *eps = tile + (size_t)(8 * b + edge_lowest_bit(bits)) * tw;
                for (uint32_t i = 0; i < columns; i++) sums[i] += eps[i];
            }
        }
        if (!is_flat(s)) return added;
        for (uint32_t i = 0; i < columns; i++) sums[i] = (int32_t)added * tile[i];
        return added != 0;
    }

    const int8_t *values = (const int8_t *)learning(s, s->at.inputs);
    if (is_flat(s)) {
        int32_t x = 0;
        if (s->n->model.input_kind == EDGE_INPUT_STATIC)
            x = values[j];
        else
            for (uint32_t t = 0; t < window; t++) x += values[(size_t)j * window + t];
        for (uint32_t i = 0; i < columns; i++) sums[i] = x * tile[i];
        added = x != 0;
    } else {
        for (uint32_t t = 0; t < window; t++) {
            const int32_t x = values[(size_t)j * window + t];
            if (x == 0) continue;
            const int16_t *eps = tile + (size_t)t * tw;
            for (uint32_t i = 0; i < columns; i++) sums[i] += x * eps[i];
            added++;
        }
    }
    for (uint32_t i = 0; i < columns; i++) sums[i] = edge_sat(edge_round32(sums[i], s->y.input_shift), 32767);
    return added;
}

// Section 3.7 for one row of the tile. Returns how many weights moved.
static uint32_t move_row(const edge_layer_t *y, uint8_t *w, uint8_t *carry, const int32_t *sums,
                         uint32_t columns, uint32_t row_key, const uint32_t *column_keys) {
    const uint32_t width = y->bits == 8 ? 1 : 2;
    uint32_t moved = 0;
    for (uint32_t i = 0; i < columns; i++) {
        const uint32_t r16 = edge_rotate_right(edge_random(row_key, column_keys[i / 4]), i % 4 * 8) & 0xFFFF;
        // Without carry a weight moves exactly if bit 15 of S + r is set.
        if (carry || ((uint32_t)sums[i] + (r16 >> 1)) & 0x8000)
            moved += edge_move(w + width * i, y->bits, carry ? carry + i : NULL, sums[i], r16);
    }
    return moved;
}

// Rows at .. of the tile. Returns the budget used.
static uint32_t update(lesson_t *s, uint32_t budget) {
    edge_net_t *n = s->n;
    const uint32_t tw = n->model.tile_width, columns = columns_of(s), groups = (columns + 3) / 4;
    const uint32_t k0 = edge_hash(edge_model_objective(&n->model).seed + 0x9E3779B9u * (n->update + 1));
    const uint32_t k1 = edge_hash(k0 ^ (0x85EBCA6Bu * (n->layer + 1u)));
    uint32_t column_keys[EDGE_MAX_TILE / 4] = {0};
    for (uint32_t g = 0; g < groups; g++) column_keys[g] = edge_hash(k1 + 2 * (n->base / 4 + g) + 1) | 1;

    const uint32_t left = s->y.fan_in - n->at, afford = budget / tw + 1;
    const uint32_t from = n->at, to = from + (left < afford ? left : afford);
    const uint32_t width = s->y.bits == 8 ? 1 : 2;
    uint8_t *w = n->weights + s->seat.weights + (size_t)width * n->base;
    uint8_t *carry = s->y.carry ? n->weights + s->seat.carry + n->base : NULL;
    edge_moves_t moves = {0, 0};
    if (is_packed(s)) {
        const void *history = n->layer ? learning(s, s->below_seat.history) : learning(s, s->at.inputs);
        const edge_tile_t tile = {(const uint32_t *)edge_area(n, EDGE_MEMBRANES, 0),
                                  is_flat(s),
                                  groups,
                                  tw / 2,
                                  (const uint8_t *)history,
                                  s->history_bytes,
                                  k1,
                                  column_keys,
                                  (const uint8_t *)n->bounds};
        moves = edge_kernels()->update(w, s->y.m4, &tile, from, to);
    } else {
        int32_t sums[EDGE_MAX_TILE];
        for (uint32_t j = from; j < to; j++) {
            const uint32_t added = weight_sums(s, j, tile_of(s), columns, sums);
            if (!added) continue;
            const size_t row = (size_t)j * s->y.m4;
            moves.spikes += added;
            moves.moved += move_row(&s->y, w + width * row, carry ? carry + row : NULL, sums, columns,
                                    edge_hash(k1 + 2 * j) | 1, column_keys);
        }
    }
    edge_stats_t *counts = edge_net_counts(n, n->layer);
    if (counts) {
        edge_count(&counts->update_sops, moves.spikes * columns);
        edge_count(&counts->moved, moves.moved);
    }
    n->at = to;
    return (to - from) * tw;
}

/// Slices ///

static void finish(edge_net_t *n) {
    n->stage = IDLE;
    n->over = 1;
    n->update++;
}

static void enter_layer(edge_net_t *n, uint32_t layer) {
    n->layer = (uint8_t)layer;
    n->base = 0;
    n->at = 0;
    lesson_t s;
    open_lesson(&s, n, layer);
    n->stage = first_stage(&s);
    if (n->stage == IDLE) {  // a readout that does not learn
        finish(n);
        return;
    }
    if (s.y.last) return;
    if (s.y.capacity) start_cursor(&s, 0, &s.seat);
    if (layer > n->model.lowest) {
        const uint32_t *first = (const uint32_t *)learning(&s, s.below_seat.first);
        memset(learning(&s, s.below_seat.sums), 0, 4 * (size_t)first[n->model.window]);
    }
}

static void next_layer(edge_net_t *n) {
    if (n->layer + 1u == n->model.layers)
        finish(n);
    else if (n->layer > n->model.lowest)
        enter_layer(n, n->layer - 1u);
    else
        enter_layer(n, n->model.layers - 1u);
}

// Goes on to the next stage, tile or layer when the present stage has come to its end.
static void advance(const lesson_t *s) {
    edge_net_t *n = s->n;
    const bool rows = n->stage == DOWN || n->stage == UPDATE;
    if (n->at < (rows ? s->y.fan_in : columns_of(s))) return;
    n->at = 0;
    if (n->stage == EXPAND_DOWN && n->largest) {
        n->stage = DOWN;
    } else if (n->stage <= DOWN && s->y.learns) {
        n->stage = EXPAND_UPDATE;
    } else if (n->stage == EXPAND_UPDATE && n->largest) {
        n->stage = UPDATE;
    } else {
        n->base += n->model.tile_width;
        n->stage = first_stage(s);
        if (n->base >= s->y.fan_out) next_layer(n);
    }
}

int edge_net_learn_begin(edge_net_t *n, int32_t label) {
    if (n->stage) return EDGE_ERR_BUSY;
    if (n->mode != EDGE_LEARN) return EDGE_ERR_MODE;
    if (label < 0 || label >= n->active) return EDGE_ERR_LABEL;
    if (edge_net_steps(n) != n->model.window) return EDGE_ERR_WINDOW;
    if (n->full) return EDGE_ERR_CAPACITY;
    n->layer = (uint8_t)(n->model.layers - 1);
    readout_errors(n, (uint32_t)label);
    const uint32_t top = n->model.layers - 2u;  // the highest hidden layer
    enter_layer(n, n->layer > n->model.lowest ? top : n->layer);
    return 0;
}

int edge_net_learn_run(edge_net_t *n, uint32_t budget) {
    if (!n->stage) return EDGE_ERR_ARGUMENT;
    uint32_t used = 0;
    lesson_t s;
    do {
        open_lesson(&s, n, n->layer);
        const uint32_t layer = n->layer;
        do {
            const uint32_t left = budget > used ? budget - used : 0;
            used += n->stage == DOWN     ? bring_down(&s, left)
                    : n->stage == UPDATE ? update(&s, left)
                                         : expand(&s, left);
            advance(&s);
        } while (n->stage && n->layer == layer && used < budget);
    } while (n->stage && used < budget);
    return n->stage ? 1 : 0;
}

int edge_net_rate_decay(edge_net_t *n, uint32_t decay) {
    if (n->stage) return EDGE_ERR_BUSY;
    if (decay > 15) return EDGE_ERR_ARGUMENT;
    n->rate_decay = (uint8_t)decay;
    return 0;
}

uint32_t edge_net_updates(const edge_net_t *n) { return n->update; }
