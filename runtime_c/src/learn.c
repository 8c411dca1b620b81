// Learning: one MPD-ED update, tile by tile, in slices (docs/arithmetic.md section 3).
// SPDX-License-Identifier: Apache-2.0
//
// The hidden layers come first, from the top down, and the readout last, because errors come down through
// weights before their update. A tile of outputs goes through up to four stages: its errors over time in the
// error unit, those down into the layer below, its errors over time in the update unit, and the update of its
// weights, row by row.
#include "lesson.h"

#ifndef EDGE_NO_LEARN
// How errors come from a later layer k, if it takes the lesson's outputs by its weights.
static void find_takers(edge_lesson_t *s, const edge_layer_t *k) {
    uint8_t shift = s->y.down_shift;
    if (k->source != s->l + 1) return;
#ifndef EDGE_NO_CONV
    if (k->value_pool) return;
    shift = (uint8_t)(shift + k->input_down);
#endif
    if (k->last) {
        s->from_above = true;
        s->readout_shift = shift;
    } else {
        s->arrive = shift;
    }
}

void edge_lesson_open(edge_lesson_t *s, edge_net_t *n, uint32_t layer) {
    const edge_model_t *m = &n->model;
    edge_clear(s, EDGE_LESSON_CLEARED);
    s->n = n;
    s->l = layer;
    s->at = edge_net_learning(n);
    s->history_bytes = edge_history_bytes(m);
    edge_walk_t walk = edge_net_walk(n);
    do (void)edge_walk_next(&walk, &s->y);
    while (walk.next <= layer);
    while (edge_walk_next(&walk, &s->above)) find_takers(s, &s->above);
    s->above_weights = edge_net_weights(n, &s->above);
    if (s->y.source) edge_net_layer(n, s->y.source - 1u, &s->below);
    s->threshold = edge_layer_threshold(&s->y);
    s->error_limit = edge_layer_error_limit(&s->y);
    s->update_limit = 32767 / m->window;
#ifndef EDGE_NO_CONV
    s->plain = !s->y.kernel && s->y.source == layer && !s->below.bytes && s->below.pool <= 1 &&
               !edge_model_is(m, EDGE_ADDED, layer);
    if (!s->plain) {
        s->update_limit = edge_model_update_limit(m, layer);
        s->merged = !s->y.kernel && s->y.source && !s->below.bytes && !edge_model_is(m, EDGE_ADDED, layer);
        s->in = edge_model_input_map(m, &s->y);
        edge_maps_origins(s, s->y.source);
    }
#endif
}

// Whether errors go down from the layer by its weights. The readout's are fetched by those who want them.
static bool goes_down(const edge_lesson_t *s) {
    if (s->y.last || !s->y.source) return false;
#ifndef EDGE_NO_CONV
    for (uint32_t k = 0; k < s->origins; k++) {
        if (s->origin[k].passes) return true;
    }
#endif
    return edge_lesson_is_plain(s) && s->below.passes;
}

// The first stage that a layer's tiles need, or EDGE_IDLE.
static uint8_t first_stage(const edge_lesson_t *s) {
    return goes_down(s) ? EDGE_EXPAND_DOWN : s->y.learns ? EDGE_EXPAND_UPDATE : EDGE_IDLE;
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

int32_t edge_lesson_dot(const uint8_t *row, uint32_t bits, const int16_t *eps, uint32_t columns) {
    if (bits == 8) return edge_dot(row, eps, columns);
    int32_t sum = 0;
    for (uint32_t i = 0; i < columns; i++) sum += edge_tensor16(row, i) * eps[i];
    return sum;
}

int32_t edge_lesson_readout_term(const edge_lesson_t *s, uint32_t j, uint32_t t) {
    const int16_t *eps = (const int16_t *)edge_lesson_area(s, s->at.errors);
    if (edge_layer_spikes(&s->above)) eps += (size_t)(t - 1) * s->above.m4;
    const size_t row = (size_t)j * s->above.m4 * (s->above.bits == 8 ? 1u : 2u);
    const int32_t inter = edge_lesson_dot(s->above_weights + row, s->above.bits, eps, s->above.fan_out);
    return edge_lesson_term(inter, s->readout_shift);
}

// The same for neuron i.
static int32_t from_readout(const edge_lesson_t *s, uint32_t i, uint32_t t) {
    if (!s->from_above) return 0;
    edge_stats_t *counts = edge_net_counts(s->n, s->l);
    if (counts && s->n->stage == first_stage(s)) edge_count(&counts->error_sops, s->above.fan_out);
#ifndef EDGE_NO_CONV
    if (s->y.pool > 1) {
        const uint32_t j = edge_maps_output(s, i, t);
        return j == UINT32_MAX ? 0 : edge_lesson_readout_term(s, j, t);
    }
#endif
    return edge_lesson_readout_term(s, i, t);
}

// d of section 3.2 for the spike of neuron i at step t, `index` in the order of the layer's spikes.
static int32_t error_of(const edge_lesson_t *s, uint32_t i, uint32_t t, uint32_t index) {
    if (edge_layer_terms(&s->y)) {
        const int32_t *terms = (const int32_t *)edge_lesson_area(s, s->y.seat.terms);
        return edge_sat32(terms[index] + from_readout(s, i, t), 32767);
    }
    if (!s->y.sums) return from_readout(s, i, t);
    return edge_lesson_term(((const int32_t *)edge_lesson_area(s, s->y.seat.sums))[index], s->arrive);
}

// The linear surrogate of section 3.3: what a gate G lets pass of ds.
static int32_t through_gate(int32_t ds, uint32_t gate) {
    return edge_round32(ds * (int32_t)(gate + gate / 128), 8);
}

// theta < 2^31, |eps| < 2^15, reset_mult < 2^16: the product is below 2^62, and ds - z fits 64 bits.
static int32_t after_reset(const edge_layer_t *y, int32_t d, int32_t theta, int32_t eps) {
    return edge_sat(d - edge_round64((int64_t)theta * eps * y->reset_mult, y->reset_shift), 32767);
}

int32_t edge_lesson_update_unit(const edge_lesson_t *s, int32_t e) {
    const int32_t r = s->y.rate_shift + s->n->rate_decay;
    return edge_shifted(e, r < 31 ? r : 31, s->update_limit);
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

// Adds e to a column, back in time as edge_spread does.
static void add_spread(int16_t *eps, uint32_t stride, int32_t e, uint32_t steps, bool halved, int32_t limit) {
    for (uint32_t d = 0; d < steps; d++, eps -= stride)
        *eps = (int16_t)edge_sat32(*eps + (halved ? trunc_shift(e, d) : e), limit);
}

uint32_t edge_lesson_neuron(const edge_lesson_t *s, uint32_t i, int32_t score_error, uint32_t *cursor,
                            const edge_column_t *column) {
    const edge_layer_t *y = &s->y;
    const size_t row = (size_t)i * s->history_bytes;
    const uint8_t *history = (const uint8_t *)edge_lesson_area(s, s->y.seat.history) + row;
    uint32_t t = spike_up_to(history, s->n->model.window);
    if (t == 0) return 0;

    const bool rectangular = y->surrogate == EDGE_GATE_RECTANGULAR, lif = y->neuron == EDGE_LIF;
    const uint8_t *gates = (const uint8_t *)edge_lesson_area(s, s->y.seat.gate) + (rectangular ? row : 0);
    const int32_t limit = s->error_limit;
    const bool constant = y->last || (!y->sums && !edge_layer_spikes(&s->above) && edge_layer_pool(y) == 1);
    const uint32_t channel = edge_layer_positions(y) == 1 ? i : i % y->fan_out, stride = column->stride;
    int32_t d = y->last ? score_error : constant ? from_readout(s, i, t) : 0;
    int32_t e_later = 0, unit = 0;
    uint32_t t_later = 0, largest = 0;
    for (uint32_t before; t; t = before) {
        const uint32_t at = t - 1, index = cursor ? cursor[at]++ : 0;
        before = spike_up_to(history, at);
        if (!constant) d = error_of(s, i, t, index);
        int32_t e = 0;
        if (!rectangular || gates[at / 8] >> at % 8 & 1) {
            int32_t eps = e_later;
            if (t_later && lif && y->reset_mult) {
                const uint32_t back = t_later - t - 1;
                eps = back <= 7 ? trunc_shift(e_later, back) : 0;
            }
            int32_t ds = d;
            if (eps && y->reset_mult)
                ds = after_reset(y, d, edge_theta(&s->threshold, channel, t - before), eps);
            e = edge_sat32(rectangular ? ds : through_gate(ds, gates[index]), limit);
        }
        if (e != e_later) unit = column->update_unit ? edge_lesson_update_unit(s, e) : e;
        if (unit) {
            const uint32_t steps = lif && t - before > 8 ? 8 : t - before;
            int16_t *eps = column->eps + (size_t)at * stride;
            if (EDGE_OF_GRAPHS(column, adds, false))
                add_spread(eps, stride, unit, steps, lif, limit);
            else
                edge_spread(eps, stride, unit, steps, lif);
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
        return edge_sat32((c == label ? 32768 : 0) - edge_softmax_p(p, c), 32767);
    const int32_t wanted = c == label ? o->desired : o->others;
    const int32_t missing = wanted - p->scores[c];
    if (c == label ? missing <= 0 : missing >= 0) return 0;
    return edge_sat((int64_t)missing * o->count_mult, 32767);
}

// From the first position on.
static void start_cursor(const edge_lesson_t *s, uint32_t which, const edge_layer_t *y) {
    const uint32_t *first = (const uint32_t *)edge_lesson_area(s, y->seat.first);
    uint32_t *cursor = edge_lesson_cursor(s, which);
    for (uint32_t t = 0; t < s->n->model.window; t++) cursor[t] = first[(size_t)t * edge_layer_positions(y)];
}

static EDGE_ALONE void readout_errors(edge_net_t *n, uint32_t label) {
    edge_lesson_t s;
    edge_lesson_open(&s, n, n->model.layers - 1u);
    const edge_objective_t o = edge_model_objective(&n->model);
    const edge_softmax_t p = edge_net_softmax(n);
    int16_t *errors = (int16_t *)edge_lesson_area(&s, s.at.errors);
    const bool spikes = edge_layer_spikes(&s.y);
    memset(errors, 0, 2 * (size_t)s.y.m4 * (spikes ? n->model.window : 1u));
    if (!s.y.passes) return;
    if (s.y.capacity) start_cursor(&s, 0, &s.y);
    for (uint32_t c = 0; c < n->active; c++) {
        const int32_t e = score_error(&p, &o, c, label);
        if (spikes)
            edge_lesson_neuron(&s, c, e, s.y.capacity ? edge_lesson_cursor(&s, 0) : NULL,
                               &(edge_column_t){.eps = errors + c, .stride = s.y.m4});
        else
            errors[c] = (int16_t)edge_sat32(e, s.error_limit);
    }
}

/// The tile ///

static bool spike_inputs(const edge_lesson_t *s) {
    return s->n->layer > 0 || s->n->model.input_kind == EDGE_INPUT_SPIKES;
}

// Whether the fast kernel applies; it wants the tile packed.
static bool is_packed(const edge_lesson_t *s) {
    return EDGE_FAST && (edge_lesson_is_plain(s) || edge_lesson_is_merged(s)) && spike_inputs(s) &&
           s->y.bits == 8 && !s->y.carry;
}

// Output i of the readout, from the errors that readout_errors left. Returns the largest magnitude.
static EDGE_ALONE uint32_t spread_readout(const edge_lesson_t *s, uint32_t i, int16_t *column,
                                          uint32_t stride) {
    const int16_t *errors = (const int16_t *)edge_lesson_area(s, s->at.errors) + i;
    const bool is_static = s->n->layer == 0 && s->n->model.input_kind == EDGE_INPUT_STATIC;
    uint32_t largest = 0;
    if (!edge_layer_spikes(&s->y)) {
        const int32_t e = edge_lesson_update_unit(s, errors[0]);
        column[0] = (int16_t)(is_static ? e * s->n->model.window : e);
        return larger(0, column[0]);
    }
    const uint8_t *history =
        (const uint8_t *)edge_lesson_area(s, s->y.seat.history) + (size_t)i * s->history_bytes;
    for (uint32_t t = spike_up_to(history, s->n->model.window); t;) {
        const uint32_t before = spike_up_to(history, t - 1);
        const int32_t e = edge_lesson_update_unit(s, errors[(size_t)(t - 1) * s->y.m4]);
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

// Where output k of a tile stands in a row of eps, in int16. In a packed tile (edge_tile_t) outputs 4 g and
// 4 g + 2 share
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
static uint32_t together(const edge_lesson_t *s) {
    const edge_layer_t *y = &s->y;
    if (!EDGE_TOGETHER) return 0;
    const edge_kernels_t *kernels = edge_kernels();
    const bool fits = kernels->errors && s->n->stage == EDGE_EXPAND_UPDATE && is_packed(s) &&
                      !edge_lesson_is_flat(s) && y->neuron == EDGE_LIF && !y->last && !y->sums &&
                      s->from_above && !edge_layer_spikes(&s->above) && s->readout_shift < 32 &&
                      s->above.bits == 8 && s->history_bytes <= 8 && s->n->model.window >= 8;
    return fits ? kernels->together : 0;
}

// Outputs from `at` of the tile, by a kernel.
static EDGE_ALONE void expand_together(const edge_lesson_t *s, uint32_t outputs, uint32_t *cursor,
                                       int16_t *columns) {
    edge_net_t *n = s->n;
    const edge_layer_t *y = &s->y;
    const int32_t rate = y->rate_shift + n->rate_decay;
    const edge_errors_t e = {.history = (const uint8_t *)edge_lesson_area(s, s->y.seat.history),
                             .gates = (const uint8_t *)edge_lesson_area(s, s->y.seat.gate),
                             .cursor = y->surrogate == EDGE_GATE_RECTANGULAR ? NULL : cursor,
                             .threshold = &s->threshold,
                             .weights = s->above_weights,
                             .scores = (const int16_t *)edge_lesson_area(s, s->at.errors),
                             .m4 = s->above.m4,
                             .down_shift = s->readout_shift,
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
    for (uint32_t k = 0; k < outputs; k++) edge_lesson_keep_largest(n, n->at + k, largest[k]);
    edge_stats_t *counts = edge_net_counts(n, n->layer);
    if (!counts || first_stage(s) != n->stage) return;
    for (; spiking; spiking &= spiking - 1) edge_count(&counts->error_sops, s->above.fan_out);
}

// Outputs at .. of the tile, one or several at a time. Returns the budget used.
static EDGE_ALONE uint32_t expand(edge_lesson_t *s, uint32_t budget) {
    edge_net_t *n = s->n;
    const uint32_t tw = n->model.tile_width, columns = edge_lesson_columns(s), window = n->model.window;
    const bool update_unit = n->stage == EDGE_EXPAND_UPDATE;
    const bool packed = update_unit && is_packed(s);
    const uint32_t many = together(s);
    int16_t *tile = edge_lesson_tile(s);
    uint32_t *cursor = NULL;
    // A layer that is gone through twice keeps its place of the tile's start in cursor 0 until the second
    // time.
    if (s->y.capacity && !s->y.last)
        cursor = edge_lesson_cursor(s, edge_lesson_is_plain(s) && !update_unit && s->y.learns ? 1 : 0);
    uint32_t used = 0, first = n->base;
#ifndef EDGE_NO_CONV
    first += n->position * s->y.fan_out;
    if (cursor && !s->plain) edge_maps_start(s, n->position, n->base + n->at, cursor);
#endif
    if (n->at == 0) {
        n->largest = 0;
        memset(n->bounds, 0, sizeof n->bounds);
        if (!many || tw % many || columns < tw)
            edge_clear(tile,
                       2 * (size_t)tw * (edge_lesson_is_flat(s) && !edge_layer_spikes(&s->y) ? 1u : window));
        if (cursor && edge_lesson_is_plain(s) && cursor != edge_lesson_cursor(s, 0))
            memcpy(cursor, edge_lesson_cursor(s, 0), 4 * (size_t)window);
    }
    do {
        const uint32_t i = first + n->at;
        int16_t *column = tile + place_of(n->at, packed);
        if (many && columns - n->at >= many) {
            const uint32_t these = (columns - n->at) / many * many;
            expand_together(s, these, cursor, column);
            used += these * (window + s->above.m4);
            n->at += these - 1;
            continue;
        }
        const edge_column_t to = {.eps = column, .stride = tw, .update_unit = update_unit};
        const uint32_t largest =
            s->y.last ? spread_readout(s, i, column, tw) : edge_lesson_neuron(s, i, 0, cursor, &to);
        edge_lesson_keep_largest(n, n->at, largest);
        used += window + (s->y.sums ? 0 : s->above.m4);
    } while (++n->at < columns && used < budget);
    if (n->at == columns && update_unit && n->largest) {
        if (edge_layer_spikes(&s->y) && edge_lesson_is_flat(s)) flatten(tile, tw, window);
        if (packed && !many && !edge_kernels()->lanes)
            pack(tile, (size_t)tw / 2 * (edge_lesson_is_flat(s) ? 1u : window));
    }
    return used;
}

#ifndef EDGE_NO_CONV
// The same of a layer whose currents another adds.
static uint32_t expand_added(const edge_lesson_t *s) {
    const bool update_unit = s->n->stage == EDGE_EXPAND_UPDATE;
    const uint32_t used = edge_maps_expand_added(s, update_unit);
    if (update_unit && edge_lesson_is_flat(s))
        flatten(edge_lesson_tile(s), s->n->model.tile_width, s->n->model.window);
    return used;
}
#endif

// Section 3.2: the tile's errors into the error sums of the layer below, one of its neurons at a time.
// Returns the budget used.
static uint32_t bring_down(edge_lesson_t *s, uint32_t budget) {
    edge_net_t *n = s->n;
    const uint32_t tw = n->model.tile_width, columns = edge_lesson_columns(s), width = s->y.bits == 8 ? 1 : 2;
    const int16_t *tile = edge_lesson_tile(s);
    int32_t *sums = (int32_t *)edge_lesson_area(s, s->below.seat.sums);
    uint32_t *cursor = edge_lesson_cursor(s, 1);
    const uint8_t *weights = edge_net_weights(n, &s->y) + (size_t)width * n->base;
    uint32_t used = 0, spikes = 0;
    if (n->at == 0) start_cursor(s, 1, &s->below);
    do {
        const uint8_t *history =
            (const uint8_t *)edge_lesson_area(s, s->below.seat.history) + (size_t)n->at * s->history_bytes;
        const uint8_t *row = weights + (size_t)width * n->at * s->y.m4;
        for (uint32_t t = spike_up_to(history, n->model.window); t; t = spike_up_to(history, t - 1)) {
            sums[cursor[t - 1]++] += edge_lesson_dot(row, s->y.bits, tile + (size_t)(t - 1) * tw, columns);
            used += tw;
            spikes++;
        }
        used += tw;
    } while (++n->at < s->y.fan_in && used < budget);
    edge_stats_t *counts = edge_net_counts(n, s->y.source - 1u);
    if (counts) edge_count(&counts->error_sops, spikes * columns);
    return used;
}

/// The update ///

// The sums S of input j over a tile that is not packed (section 3.5). Returns how many eps rows went in.
static uint32_t weight_sums(const edge_lesson_t *s, uint32_t j, const int16_t *tile, uint32_t columns,
                            int32_t *sums) {
    const uint32_t tw = s->n->model.tile_width, steps = s->y.is_static ? 1 : s->n->model.window;
    const bool spikes = spike_inputs(s), flat = edge_lesson_is_flat(s);
    const void *start =
        s->n->layer ? edge_lesson_area(s, s->below.seat.history) : edge_lesson_area(s, s->at.inputs);
    const uint8_t *input = (const uint8_t *)start + (size_t)j * (spikes ? s->history_bytes : steps);
    uint32_t added = 0;
    int32_t all = 0;
    memset(sums, 0, 4 * (size_t)columns);
    for (uint32_t t = 0; t < steps; t++) {
        if (spikes && input[t / 8] >> t % 8 == 0) {
            t |= 7;  // no more in this byte
            continue;
        }
        const int32_t x = spikes ? input[t / 8] >> t % 8 & 1 : edge_signed_byte(input[t]);
        if (x == 0) continue;
        if (!flat) edge_add_eps(sums, tile + (size_t)t * tw, x, columns);
        all += x;
        added++;
    }
    if (!flat) return added;
    edge_add_eps(sums, tile, all, columns);
    return all != 0;
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

static void count_moves(const edge_lesson_t *s, edge_moves_t moves) {
    edge_stats_t *counts = edge_net_counts(s->n, s->l);
    if (!counts) return;
    edge_count(&counts->update_sops, moves.spikes * edge_lesson_columns(s));
    edge_count(&counts->moved, moves.moved);
}

#ifndef EDGE_NO_CONV
// Some rows at a time, whose histories are merged first.
static EDGE_ALONE uint32_t update_merged(edge_lesson_t *s, uint8_t *w, edge_tile_t tile, uint32_t from,
                                         uint32_t to) {
    uint32_t merged[128];  // a kernel may read words
    const uint32_t bytes = s->history_bytes, most = (sizeof merged - 8) / bytes, seed = tile.row_seed;
    memset(merged, 0, sizeof merged);
    tile.history = (const uint8_t *)merged;
    for (uint32_t row = from; row < to;) {
        const uint32_t rows = to - row < most ? to - row : most;
        for (uint32_t k = 0; k < rows; k++) edge_maps_history(s, row + k, (uint8_t *)merged + k * bytes);
        tile.row_seed = seed + 2 * row;
        count_moves(s, edge_kernels()->update(w + (size_t)row * s->y.m4, s->y.m4, &tile, 0, rows));
        row += rows;
    }
    s->n->at = to;
    return (to - from) * s->n->model.tile_width;
}
#endif

// Rows at .. of the tile. Returns the budget used.
static EDGE_ALONE uint32_t update(edge_lesson_t *s, uint32_t budget) {
    edge_net_t *n = s->n;
    const uint32_t tw = n->model.tile_width, columns = edge_lesson_columns(s), groups = (columns + 3) / 4;
    const uint32_t k0 = edge_hash(edge_model_objective(&n->model).seed + 0x9E3779B9u * (n->update + 1));
    const uint32_t k1 = edge_hash(k0 ^ (0x85EBCA6Bu * (n->layer + 1u)));
    uint32_t column_keys[EDGE_MAX_TILE / 4] = {0};
    for (uint32_t g = 0; g < groups; g++) column_keys[g] = edge_hash(k1 + 2 * (n->base / 4 + g) + 1) | 1;

    const uint32_t left = s->y.fan_in - n->at, afford = budget / tw + 1;
    const uint32_t from = n->at, to = from + (left < afford ? left : afford);
    const uint32_t width = s->y.bits == 8 ? 1 : 2;
    uint8_t *w = n->weights + s->y.seat.weights + (size_t)width * n->base;
    uint8_t *carry = s->y.carry ? n->weights + s->y.seat.carry + n->base : NULL;
    edge_moves_t moves = {0, 0};
    if (is_packed(s)) {
        const void *history =
            n->layer ? edge_lesson_area(s, s->below.seat.history) : edge_lesson_area(s, s->at.inputs);
        const edge_tile_t tile = {(const uint32_t *)edge_area(n, EDGE_MEMBRANES, 0),
                                  edge_lesson_is_flat(s),
                                  groups,
                                  tw / 2,
                                  (const uint8_t *)history,
                                  s->history_bytes,
                                  k1,
                                  column_keys,
                                  (const uint8_t *)n->bounds};
#ifndef EDGE_NO_CONV
        if (s->merged) return update_merged(s, w, tile, from, to);
#endif
        moves = edge_kernels()->update(w, s->y.m4, &tile, from, to);
    } else {
        int32_t sums[EDGE_MAX_TILE];
        for (uint32_t j = from; j < to; j++) {
#ifndef EDGE_NO_CONV
            const uint32_t added =
                s->plain ? weight_sums(s, j, edge_lesson_tile(s), columns, sums) : edge_maps_row(s, j, sums);
#else
            const uint32_t added = weight_sums(s, j, edge_lesson_tile(s), columns, sums);
#endif
            if (!added) continue;
            if (!edge_lesson_is_plain(s) || !spike_inputs(s)) {  // sums over spikes fit
                for (uint32_t i = 0; i < columns; i++)
                    sums[i] = edge_sat32(edge_round32(sums[i], s->y.input_shift), 32767);
            }
            const size_t row = (size_t)j * s->y.m4;
            if (!edge_layer_kernel(&s->y)) moves.spikes += added;
            moves.moved += move_row(&s->y, w + width * row, carry ? carry + row : NULL, sums, columns,
                                    edge_hash(k1 + 2 * j) | 1, column_keys);
        }
    }
    count_moves(s, moves);
    n->at = to;
    return (to - from) * tw;
}

/// Slices ///

static void finish(edge_net_t *n) {
    n->stage = EDGE_IDLE;
    n->over = 1;
    n->update++;
}

// Spikes of the window in a layer with a capacity.
static uint32_t spikes_of(const edge_lesson_t *s, const edge_layer_t *y) {
    const uint32_t *first = (const uint32_t *)edge_lesson_area(s, y->seat.first);
    return first[(size_t)s->n->model.window * edge_layer_positions(y)];
}

// Goes on with layer `layer`, or with the next one that has something to do.
static void enter_layer(edge_lesson_t *s, edge_net_t *n, uint32_t layer) {
    for (;;) {
        n->layer = (uint8_t)layer;
        n->base = n->position = n->at = 0;
        edge_lesson_open(s, n, layer);
#ifndef EDGE_NO_CONV
        if (s->y.passes) edge_maps_pass_on(s);
#endif
        n->stage = s->y.passes ? first_stage(s) : EDGE_IDLE;
        if (n->stage != EDGE_IDLE) break;
        if (s->y.last) {  // a readout that does not learn
            finish(n);
            return;
        }
        layer--;  // the lowest learns: it is above that
    }
    if (s->y.last) return;
    if (s->y.capacity && edge_lesson_is_plain(s)) start_cursor(s, 0, &s->y);
    if (!goes_down(s)) return;
    if (edge_lesson_is_plain(s)) {
        memset(edge_lesson_area(s, s->below.seat.sums), 0, 4 * (size_t)spikes_of(s, &s->below));
        return;
    }
#ifndef EDGE_NO_CONV
    for (uint32_t k = 0; k < s->origins; k++) {
        const edge_origin_t *o = &s->origin[k];
        const uint32_t *first = (const uint32_t *)edge_lesson_area(s, o->first);
        if (o->passes)
            memset(edge_lesson_area(s, o->sums), 0,
                   4 * (size_t)first[(size_t)n->model.window * o->positions]);
    }
#endif
}

static void next_layer(edge_lesson_t *s) {
    edge_net_t *n = s->n;
#ifndef EDGE_NO_CONV
    if (goes_down(s)) edge_maps_add_terms(s);
#endif
    if (s->y.last)
        finish(n);
    else
        enter_layer(s, n, n->layer > n->model.lowest ? n->layer - 1u : n->model.layers - 1u);
}

// How far `at` goes in the present stage.
static uint32_t end_of_stage(const edge_lesson_t *s) {
    const uint8_t stage = s->n->stage;
    if (stage == EDGE_UPDATE) return s->y.fan_in;
    if (stage == EDGE_EXPAND_DOWN || stage == EDGE_EXPAND_UPDATE) return edge_lesson_columns(s);
#ifndef EDGE_NO_CONV
    if (!s->plain) return edge_maps_places(s);
#endif
    return s->y.fan_in;
}

// Goes on to the next stage, position, tile or layer when the present stage has come to its end.
static void advance(edge_lesson_t *s) {
    edge_net_t *n = s->n;
    if (n->at < end_of_stage(s)) return;
    n->at = 0;
    if (n->stage == EDGE_EXPAND_DOWN && n->largest) {
        n->stage = EDGE_DOWN;
    } else if (n->stage <= EDGE_DOWN && s->y.learns) {
        n->stage = EDGE_EXPAND_UPDATE;
    } else if (n->stage == EDGE_EXPAND_UPDATE && n->largest) {
        n->stage = edge_layer_kernel(&s->y) ? EDGE_SUM : EDGE_UPDATE;
    } else if (n->stage != EDGE_UPDATE && ++n->position < edge_layer_positions(&s->y)) {
        n->stage = first_stage(s);
    } else if (n->stage != EDGE_UPDATE && n->summed) {
        n->stage = EDGE_UPDATE;
    } else {
        n->base += n->model.tile_width;
        n->position = 0;
        n->summed = 0;
        n->stage = first_stage(s);
        if (n->base >= s->y.fan_out) next_layer(s);
    }
}

static uint32_t run_stage(edge_lesson_t *s, uint32_t budget) {
    const uint8_t stage = s->n->stage;
    if (stage == EDGE_UPDATE) return update(s, budget);
#ifndef EDGE_NO_CONV
    if (stage == EDGE_SUM) return edge_maps_sum(s, budget);
    if (stage == EDGE_DOWN && !s->plain) return edge_maps_bring_down(s, budget);
    if (stage != EDGE_DOWN && edge_model_is(&s->n->model, EDGE_ADDED, s->l)) return expand_added(s);
#endif
    return stage == EDGE_DOWN ? bring_down(s, budget) : expand(s, budget);
}

int edge_net_learn_begin(edge_net_t *n, int32_t label) {
    if (n->stage) return EDGE_ERR_BUSY;
    if (n->mode != EDGE_LEARN) return EDGE_ERR_MODE;
    if (label < 0 || label >= n->active) return EDGE_ERR_LABEL;
    if (edge_net_steps(n) != n->model.window) return EDGE_ERR_WINDOW;
    if (n->full) return EDGE_ERR_CAPACITY;
    const uint32_t last = n->model.layers - 1u;
    n->layer = (uint8_t)last;
    n->summed = 0;
    readout_errors(n, (uint32_t)label);
    edge_lesson_t s;
#ifndef EDGE_NO_CONV
    for (uint32_t l = n->model.lowest; l < last; l++) {
        if (!edge_model_is(&n->model, EDGE_TERMS, l)) continue;
        edge_lesson_open(&s, n, l);
        memset(edge_lesson_area(&s, s.y.seat.terms), 0, 4 * (size_t)spikes_of(&s, &s.y));
    }
#endif
    enter_layer(&s, n, last > n->model.lowest ? last - 1 : last);  // the highest hidden layer first
    return 0;
}

int edge_net_learn_run(edge_net_t *n, uint32_t budget) {
    if (!n->stage) return EDGE_ERR_ARGUMENT;
    uint32_t used = 0;
    edge_lesson_t s;
    do {
        edge_lesson_open(&s, n, n->layer);
        const uint32_t layer = n->layer;
        do {
            const uint32_t left = budget > used ? budget - used : 0;
            used += run_stage(&s, left);
            advance(&s);
        } while (n->stage && n->layer == layer && used < budget);
    } while (n->stage && used < budget);
    return n->stage ? 1 : 0;
}
#else
int edge_net_learn_begin(edge_net_t *n, int32_t label) {
    (void)n;
    (void)label;
    return EDGE_ERR_MODE;
}

int edge_net_learn_run(edge_net_t *n, uint32_t budget) {
    (void)n;
    (void)budget;
    return EDGE_ERR_ARGUMENT;
}
#endif

int edge_net_rate_decay(edge_net_t *n, uint32_t decay) {
    if (n->stage) return EDGE_ERR_BUSY;
    if (decay > 15) return EDGE_ERR_ARGUMENT;
    n->rate_decay = (uint8_t)decay;
    return 0;
}

uint32_t edge_net_updates(const edge_net_t *n) { return n->update; }
