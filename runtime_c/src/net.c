// Inference: windows, steps, scores (docs/arithmetic.md section 2), and what learning records on the way.
// SPDX-License-Identifier: Apache-2.0
#include "net.h"

#include "kernels/spikes.h"

/// A net ///

static void copy_weights(edge_net_t *n, uint8_t *weights) {
    edge_walk_t walk = edge_net_walk(n);
    edge_layer_t y;
    memset(weights, 0, edge_model_weights_size(&n->model));
    while (edge_walk_next(&walk, &y)) {
        if (y.learns) memcpy(weights + y.seat.weights, y.weights, edge_layer_weight_bytes(&y));
        if (y.carry) memset(weights + y.seat.carry, 128, (size_t)y.fan_in * y.m4);
    }
}

void edge_net_layer(const edge_net_t *n, uint32_t l, edge_layer_t *y) {
    edge_walk_t walk = edge_net_walk(n);
    do (void)edge_walk_next(&walk, y);
    while (walk.next <= l);
}

int edge_net_init(edge_net_t *n, const edge_model_t *m, void *weights, void *arena, size_t size,
                  edge_mode_t mode) {
    if (!n) return EDGE_ERR_ARGUMENT;
    memset(n, 0, sizeof *n);
    if (!m || !m->image || !arena || (mode != EDGE_INFER && mode != EDGE_LEARN)) return EDGE_ERR_ARGUMENT;
    if ((uintptr_t)arena % 8 || (uintptr_t)weights % 8) return EDGE_ERR_ALIGN;
    if (mode == EDGE_LEARN && m->lowest == m->layers) return EDGE_ERR_MODE;
    if (mode == EDGE_LEARN && !weights) return EDGE_ERR_ARGUMENT;
    if (size < edge_model_arena_size(m, mode)) return EDGE_ERR_MEMORY;

    n->model = *m;
    n->weights = (uint8_t *)weights;
    n->arena = (uint8_t *)arena;
    n->mode = (uint8_t)mode;
    n->active = m->classes;
    n->over = 1;
    const edge_plan_t plan = edge_plan(m, mode);
    memcpy(n->areas, plan.areas, sizeof n->areas);
    if (edge_net_learns(n)) {
        memcpy(n->kept, &plan.kept, sizeof n->kept);
        copy_weights(n, n->weights);
    }
    return 0;
}

/// A window ///

// Areas are multiples of eight bytes.
static void clear_histories(edge_net_t *n, uint32_t offset, uint32_t neurons) {
    const size_t size = (size_t)neurons * edge_history_bytes(&n->model);
    edge_clear(edge_area(n, EDGE_LEARNING, offset), (size + 3) / 4 * 4);
}

static void begin_window(edge_net_t *n) {
    n->step = 0;
    n->over = 0;
    n->full = 0;
    // Membranes, last spikes and counts.
    edge_clear(n->arena, n->areas[EDGE_SPIKES]);
    if (!edge_net_learns(n)) return;
    const edge_learning_t at = edge_net_learning(n);
    edge_walk_t walk = edge_net_walk(n);
    if (n->model.lowest == 0 && n->model.input_kind == EDGE_INPUT_SPIKES)
        clear_histories(n, at.inputs, n->model.inputs);
    edge_layer_t y;
    while (edge_walk_next(&walk, &y)) {
        const uint32_t neurons = edge_layer_neurons(&y);
        if (y.history) clear_histories(n, y.seat.history, neurons);
        if (y.passes && y.surrogate == EDGE_GATE_RECTANGULAR) clear_histories(n, y.seat.gate, neurons);
        if (y.capacity) *(uint32_t *)edge_area(n, EDGE_LEARNING, y.seat.first) = 0;
    }
}

int edge_net_begin(edge_net_t *n) {
    if (n->stage) return EDGE_ERR_BUSY;
    begin_window(n);
    return 0;
}

/// A step ///

// One layer at one step.
typedef struct layer_step {
    edge_net_t *n;
    const edge_layer_t *y;
    const uint8_t *weights;
    int32_t *u;
    uint8_t *history;  // the input's, where it is kept here
    uint32_t history_bytes;
    uint32_t spikes_in;
    uint32_t leak;  // still due: 0 or 1
} layer_step_t;

// u <- floor(u / 2), if that is still due.
static void leak(layer_step_t *s) {
    if (s->leak) edge_leak(s->u, s->y->m4);
    s->leak = 0;
}

// Keeps the spikes of those lines for learning.
static void mark_lines(layer_step_t *s, const uint16_t *list, uint32_t count) {
    if (!edge_net_learns(s->n) || !s->history) return;
    const uint32_t t = s->n->step - 1u;
    edge_mark_lines(s->history + t / 8, s->history_bytes, (uint8_t)(1u << t % 8), list, count);
}

static void add_list(layer_step_t *s, const uint16_t *list, uint32_t count) {
    if (s->y->bits == 8) {
        edge_kernels()->add_rows(s->u, s->weights, s->y->m4, list, count, s->leak);
        s->leak = 0;
    } else {
        leak(s);
        for (uint32_t k = 0; k < count; k++)
            edge_add_row(s->u, s->weights + 2 * (size_t)list[k] * s->y->m4, 10, s->y->m4, 1);
    }
    mark_lines(s, list, count);
    s->spikes_in += count;
}

static void add_spikes(layer_step_t *s, const uint8_t *spikes) {
    uint16_t list[EDGE_ROWS + 31];
    uint32_t count = 0;
    const edge_kernels_t *kernels = edge_kernels();
    for (uint32_t line = 0; line < s->y->fan_in;) {
        const uint32_t room = EDGE_ROWS - count;
        count += EDGE_WIDE && kernels->list_spikes
                     ? kernels->list_spikes(list + count, room, spikes, &line, s->y->fan_in)
                     : edge_list_spikes(list + count, room, spikes, &line, s->y->fan_in);
        if (count < EDGE_ROWS) break;
        add_list(s, list, EDGE_ROWS);
        count -= EDGE_ROWS;
        memcpy(list, list + EDGE_ROWS, count * sizeof *list);
    }
    if (count || s->leak) add_list(s, list, count);
}

// Adds the rows of inputs that are not 0, one by one: values, or spikes as bits.
static void add_inputs(layer_step_t *s, int32_t *into, const uint8_t *input, bool spikes) {
    const size_t row = (size_t)s->y->m4 * (s->y->bits == 8 ? 1u : 2u);
    for (uint32_t j = 0; j < s->y->fan_in; j++) {
        const int32_t x = spikes ? input[j / 8] >> j % 8 & 1 : edge_signed_byte(input[j]);
        if (x == 0) continue;
        edge_add_row(into, s->weights + row * j, s->y->bits, s->y->m4, x);
        const uint16_t line = (uint16_t)j;
        if (spikes) mark_lines(s, &line, 1);
        s->spikes_in++;
    }
}

// Static inputs: their current is computed at the first step and added at every one.
static void add_static(layer_step_t *s, const uint8_t *values) {
    int32_t *current = (int32_t *)edge_area(s->n, EDGE_CURRENT, 0);
    if (s->n->step == 1) {
        memset(current, 0, 4 * (size_t)s->y->m4);
        add_inputs(s, current, values, false);
    }
    for (uint32_t i = 0; i < s->y->m4; i++) s->u[i] += current[i];
}

edge_firing_t edge_net_firing(const edge_net_t *n, const edge_layer_t *y, const edge_threshold_t *th,
                              uint32_t position) {
    const uint32_t t = n->step, byte = (t - 1) / 8, bytes = edge_history_bytes(&n->model);
    const uint32_t column = position * y->m4, row = position * y->fan_out * bytes + byte;
    edge_firing_t f = {0};
    f.u = (int32_t *)edge_area(n, EDGE_MEMBRANES, y->seat.membranes) + column;
    f.last = (uint16_t *)edge_area(n, EDGE_LAST_SPIKES, y->seat.last) + column;
    f.threshold = th;
    f.t = t;
    f.bytes = bytes;
    f.bit = (uint8_t)(1u << (t - 1) % 8);
    f.gate_width = y->gate_width;
    if (edge_net_learns(n) && y->history) {
        f.history = (uint8_t *)edge_area(n, EDGE_LEARNING, y->seat.history) + row;
        if (y->passes && y->surrogate == EDGE_GATE_RECTANGULAR)
            f.gates = (uint8_t *)edge_area(n, EDGE_LEARNING, y->seat.gate) + row;
    }
    return f;
}

uint32_t *edge_net_first(const edge_net_t *n, const edge_layer_t *y, uint32_t position) {
    if (!edge_net_learns(n) || !y->passes || !y->capacity) return NULL;
    const size_t slot = (size_t)(n->step - 1u) * edge_layer_positions(y) + position;
    uint32_t *first = (uint32_t *)edge_area(n, EDGE_LEARNING, y->seat.first) + slot;
    first[1] = first[0];
    return first + 1;
}

// The gate of docs/arithmetic.md 3.3, 0 .. 255.
static inline uint8_t gate_of(uint32_t distance, uint32_t mult, uint32_t shift) {
    const uint64_t lost = ((uint64_t)distance * mult) >> shift;
    return (uint8_t)(lost < 255 ? 255 - lost : 0);
}

void edge_net_record(edge_net_t *n, const edge_layer_t *y, const edge_firing_t *f, uint32_t *next,
                     uint32_t first, uint32_t fired) {
    uint8_t *gate = (uint8_t *)edge_area(n, EDGE_LEARNING, y->seat.gate) + *next;
    // Copies: bytes may be written anywhere, and the compiler would read everything again.
    const edge_threshold_t th = *f->threshold;
    const uint32_t t = f->t, mult = y->gate_mult, shift = y->gate_shift, room = y->capacity - *next;
    const int32_t *u = f->u;
    const uint16_t *last = f->last;
    const bool linear = y->surrogate == EDGE_GATE_LINEAR;
    uint32_t spikes = 0;
    for (; fired; fired &= fired - 1, spikes++) {
        if (spikes == room) {
            n->full = 1;
            break;
        }
        if (!linear) continue;
        const uint32_t i = first + edge_lowest_bit(fired);
        const int32_t distance = u[i] - edge_ceiling(edge_theta(&th, i, t - last[i]));
        *gate++ = gate_of((uint32_t)distance, mult, shift);
    }
    *next += spikes;
}

#ifdef EDGE_SMALL
// Fires the neurons that are due; spikes, if not NULL, receives them as bits. Returns how many fired.
static uint32_t fire_layer(layer_step_t *s, uint8_t *spikes) {
    edge_net_t *n = s->n;
    const edge_layer_t *y = s->y;
    const edge_threshold_t th = edge_layer_threshold(y);
    const uint32_t t = n->step, byte = (t - 1) / 8, bytes = edge_history_bytes(&n->model);
    const uint8_t bit = (uint8_t)(1u << (t - 1) % 8);
    uint16_t *last = (uint16_t *)edge_area(n, EDGE_LAST_SPIKES, y->seat.last);
    int32_t *counts = (int32_t *)edge_area(n, EDGE_COUNTS, 0);
    uint8_t *history = (uint8_t *)edge_area(n, EDGE_LEARNING, y->seat.history) + byte;
    uint8_t *gates = (uint8_t *)edge_area(n, EDGE_LEARNING, y->seat.gate);
    uint32_t *next = edge_net_first(n, y, 0);
    uint32_t spikes_out = 0;
    if (spikes) memset(spikes, 0, (y->fan_out + 31) / 32 * 4);
    for (uint32_t i = 0; i < y->fan_out; i++) {
        // A threshold is never negative, so a negative membrane potential never fires.
        const int32_t distance = s->u[i] - edge_ceiling(edge_theta(&th, i, t - last[i]));
        if (distance < 0) continue;
        s->u[i] = 0;
        last[i] = (uint16_t)t;
        spikes_out++;
        if (spikes)
            spikes[i / 8] |= (uint8_t)(1u << i % 8);
        else
            counts[i]++;
        if (!edge_net_learns(n)) continue;
        if (y->history) history[i * bytes] |= bit;
        if (y->passes && y->surrogate == EDGE_GATE_RECTANGULAR && distance < y->gate_width)
            gates[i * bytes + byte] |= bit;
        if (!next) continue;
        if (*next == y->capacity) {
            n->full = 1;
            continue;
        }
        if (y->surrogate == EDGE_GATE_LINEAR)
            gates[*next] = gate_of((uint32_t)distance, y->gate_mult, y->gate_shift);
        ++*next;
    }
    return spikes_out;
}
#else
// Spikes of n neurons, whole words of bits.
static uint32_t count_spikes(const uint8_t *spikes, uint32_t n) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < n; i += 32)
        for (uint32_t bits = edge_word(spikes + i / 8); bits; bits &= bits - 1) count++;
    return count;
}

// Fires the neurons that are due; spikes, if not NULL, receives them as bits. Returns how many fired.
static uint32_t fire_layer(layer_step_t *s, uint8_t *spikes) {
    edge_net_t *n = s->n;
    const edge_layer_t *y = s->y;
    const edge_threshold_t th = edge_layer_threshold(y);
    edge_firing_t f = edge_net_firing(n, y, &th, 0);
    uint32_t *next = edge_net_first(n, y, 0);
    int32_t *counts = y->last ? (int32_t *)edge_area(n, EDGE_COUNTS, 0) : NULL;
    const edge_kernels_t *kernels = edge_kernels();
    uint32_t spikes_out = 0;
    if (EDGE_WIDE && edge_net_learns(n) && next && kernels->record && spikes &&
        y->surrogate == EDGE_GATE_LINEAR && y->gate_shift <= 24) {
        if (y->capacity - *next >= y->fan_out + 32) {
            f.gate_mult = y->gate_mult;
            f.gate_shift = y->gate_shift;
            f.gate_most = (((uint32_t)255 << y->gate_shift) + y->gate_mult - 1) / y->gate_mult;
            uint8_t *gates = (uint8_t *)edge_area(n, EDGE_LEARNING, y->seat.gate) + *next;
            spikes_out = kernels->record(&f, y->fan_out, spikes, gates);
            *next += spikes_out;
            return spikes_out;
        }
    }
    if (EDGE_RESTART && kernels->restart && spikes &&
        (!next || (y->surrogate == EDGE_GATE_RECTANGULAR && y->capacity - *next >= y->fan_out))) {
        kernels->restart(&f, y->fan_out, spikes);
        if (next || edge_net_counts(n, 0)) spikes_out = count_spikes(spikes, y->fan_out);
        if (next) *next += spikes_out;
        return spikes_out;
    }
    for (uint32_t i = 0; i < y->fan_out; i += 32) {
        const uint32_t left = y->fan_out - i;
        const uint32_t fired = edge_fire(&f, i, left < 32 ? left : 32);
        if (spikes) edge_store32(spikes + i / 8, fired);
        if (!fired) continue;
        if (edge_net_learns(n) && next) edge_net_record(n, y, &f, next, i, fired);
        spikes_out += edge_restart_fired(&f, i, fired);
        for (uint32_t bits = counts ? fired : 0; bits; bits &= bits - 1) counts[i + edge_lowest_bit(bits)]++;
    }
    return spikes_out;
}
#endif

void edge_layer_add_biases(const edge_layer_t *y, int32_t *u) {
    if (!y->biases) return;
    for (uint32_t i = 0; i < y->fan_out; i++) u[i] += edge_tensor32(y->biases, i);
}

static void record_values(edge_net_t *n, const edge_learning_t *at, const int8_t *values) {
    int8_t *history = (int8_t *)edge_area(n, EDGE_LEARNING, at->inputs);
    if (n->model.input_kind == EDGE_INPUT_FRAMES) {
        const uint32_t t = n->step - 1u;
        for (uint32_t j = 0; j < n->model.inputs; j++) history[(size_t)j * n->model.window + t] = values[j];
    } else if (n->step == 1) {
        memcpy(history, values, n->model.inputs);
    }
}

#ifndef EDGE_NO_CONV
// Whether layer l is a dense layer whose currents go into its own neurons only. One of currents only is kept.
static bool is_plain(const edge_layer_t *y, uint32_t l) {
    return !y->kernel && y->source == l && !y->value_pool && !y->add && !y->current && !y->kept;
}
#endif

int edge_net_step(edge_net_t *n, const void *input) {
    if (n->stage) return EDGE_ERR_BUSY;
    const bool starts = n->over || n->step == n->model.window || n->step == 0;
    if (!input && (n->model.input_kind != EDGE_INPUT_STATIC || starts)) return EDGE_ERR_ARGUMENT;
    if (n->over || n->step == n->model.window) begin_window(n);
    n->step++;

    const bool learning = edge_net_learns(n);
    const uint8_t *given = (const uint8_t *)input;  // to the layer
    edge_walk_t walk = edge_net_walk(n);
    layer_step_t s = {n, NULL, NULL, NULL, NULL, edge_history_bytes(&n->model), 0, 0};
    if (learning) {
        const edge_learning_t at = edge_net_learning(n);
        if (n->model.lowest == 0 && n->model.input_kind == EDGE_INPUT_SPIKES)
            s.history = (uint8_t *)edge_area(n, EDGE_LEARNING, at.inputs);
        else if (n->model.lowest == 0)
            record_values(n, &at, (const int8_t *)input);
    }
#ifndef EDGE_NO_CONV
    bool bytes = false;  // whether the layer before gave bytes
#endif
    edge_layer_t y;
    for (uint32_t l = 0; edge_walk_next(&walk, &y); l++) {
        edge_stats_t *counts = edge_net_counts(n, l);
#ifndef EDGE_NO_CONV
        if (bytes || !is_plain(&y, l)) {
            edge_maps_step(n, l, &y, input, counts);
            s.history = NULL;
            given = (const uint8_t *)edge_area(n, EDGE_SPIKES, y.seat.spikes);
            bytes = y.bytes;
            continue;
        }
        bytes = false;
#endif
        s.y = &y;
        s.weights = edge_net_weights(n, &y);
        s.u = (int32_t *)edge_area(n, EDGE_MEMBRANES, y.seat.membranes);
        s.spikes_in = 0;

        s.leak = y.neuron == EDGE_LIF;
        const bool bits = l > 0 || n->model.input_kind == EDGE_INPUT_SPIKES;
        if (EDGE_FAST && bits) {
            add_spikes(&s, given);
        } else {
            leak(&s);
            if (y.is_static)
                add_static(&s, given);
            else
                add_inputs(&s, s.u, given, bits);
        }
        edge_layer_add_biases(&y, s.u);

        uint8_t *out = y.last ? NULL : (uint8_t *)edge_area(n, EDGE_SPIKES, y.seat.spikes);
        const uint32_t spikes_out = edge_layer_spikes(&y) ? fire_layer(&s, out) : 0;
        if (counts) {
            edge_count(&counts->spikes_in, s.spikes_in);
            edge_count(&counts->spikes_out, spikes_out);
            edge_count(&counts->forward_sops, s.spikes_in * y.fan_out);
        }
        s.history = NULL;  // further layers record their own output
        given = out;
    }
    return 0;
}

/// What the window says ///

uint32_t edge_net_steps(const edge_net_t *n) { return n->over ? 0 : n->step; }

static int check_window(const edge_net_t *n) {
    if (n->stage) return EDGE_ERR_BUSY;
    return edge_net_steps(n) ? 0 : EDGE_ERR_WINDOW;
}

const int32_t *edge_net_score_area(const edge_net_t *n) {
    edge_layer_t y;
    edge_net_layer(n, n->model.layers - 1u, &y);
    return (const int32_t *)(edge_layer_spikes(&y) ? edge_area(n, EDGE_COUNTS, 0)
                                                   : edge_area(n, EDGE_MEMBRANES, y.seat.membranes));
}

edge_softmax_t edge_net_softmax(const edge_net_t *n) {
    const edge_objective_t o = edge_model_objective(&n->model);
    return edge_softmax(edge_net_score_area(n), n->active, o.score_mult, o.score_shift);
}

int edge_net_predict(const edge_net_t *n, int32_t *confidence) {
    const int error = check_window(n);
    if (error) return error;
    const edge_softmax_t s = edge_net_softmax(n);
    if (confidence) *confidence = edge_softmax_p(&s, s.winner);
    return (int)s.winner;
}

int edge_net_scores(const edge_net_t *n, int32_t *scores) {
    if (!scores) return EDGE_ERR_ARGUMENT;
    const int error = check_window(n);
    if (error) return error;
    memcpy(scores, edge_net_score_area(n), 4 * (size_t)n->active);
    return 0;
}

int edge_net_likelihood(const edge_net_t *n, int32_t label, int32_t *likelihood) {
    if (!likelihood) return EDGE_ERR_ARGUMENT;
    if (label < 0 || label >= n->active) return EDGE_ERR_LABEL;
    const int error = check_window(n);
    if (error) return error;
    const edge_softmax_t s = edge_net_softmax(n);
    *likelihood = edge_softmax_likelihood(&s, (uint32_t)label);
    return 0;
}

/// Classes ///

uint32_t edge_net_classes(const edge_net_t *n) { return n->active; }

int edge_net_add_class(edge_net_t *n) {
    if (n->stage) return EDGE_ERR_BUSY;
    if (n->mode != EDGE_LEARN) return EDGE_ERR_MODE;
    if (n->active == n->model.classes + edge_model_spare(&n->model)) return EDGE_ERR_SPARE;
    n->over = 1;
    return n->active++;
}

/// Statistics ///

void edge_net_stats_clear(edge_net_t *n) {
    if (n->stats) memset(n->stats, 0, n->model.layers * sizeof *n->stats);
}

int edge_net_count(edge_net_t *n, edge_stats_t *counts) {
#ifdef EDGE_NO_STATS
    if (counts) return EDGE_ERR_ARGUMENT;
#endif
    n->stats = counts;
    edge_net_stats_clear(n);
    return 0;
}

int edge_net_stats(const edge_net_t *n, uint32_t layer, edge_stats_t *stats) {
    if (!n->stats || !stats || layer >= n->model.layers) return EDGE_ERR_ARGUMENT;
    *stats = n->stats[layer];
    return 0;
}
