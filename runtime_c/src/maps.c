// Inference through maps: convolutions, pooling, counts, spike and current adds (docs/arithmetic.md 2.1 to
// 2.5).
// SPDX-License-Identifier: Apache-2.0
//
// A convolution at one position is a dense layer over the inputs of its window: their rows are listed, and
// the kernels of
// dense layers do the rest.
#include "net.h"

#ifndef EDGE_NO_CONV
#include "kernels/spikes.h"

// One layer at one step, at one position after the other.
typedef struct map_step {
    edge_net_t *n;
    const edge_layer_t *y;
    const uint8_t *weights;
    edge_map_t in;          // the map that comes in
    const uint8_t *spikes;  // bits or bytes, or NULL
    const int8_t *values;   // frames or static, or NULL
    const int32_t
        *currents;  // taken as values, of a layer with `from` positions in a row and columns of from_m4
    uint32_t from_width, from_m4;
    bool bytes;
    uint32_t leak;   // still due: 0 or 1
    uint32_t rows;   // added in this step
    uint32_t count;  // rows listed
    int32_t *into;   // where they are added
    uint16_t list[EDGE_ROWS + 32];
} map_step_t;

/// Rows ///

static void leak(map_step_t *s) {
    if (s->leak) edge_leak(s->into, s->y->m4);
    s->leak = 0;
}

static void add_listed(map_step_t *s, uint32_t count) {
    const edge_layer_t *y = s->y;
    if (y->bits == 8) {
        edge_kernels()->add_rows(s->into, s->weights, y->m4, s->list, count, s->leak);
        s->leak = 0;
    } else {
        leak(s);
        for (uint32_t k = 0; k < count; k++)
            edge_add_row(s->into, s->weights + 2 * (size_t)s->list[k] * y->m4, 10, y->m4, 1);
    }
    s->rows += count;
    s->count -= count;
    memmove(s->list, s->list + count, s->count * sizeof *s->list);
}

// The bits of lines at .. at + n - 1, n <= 32 - at % 8.
static uint32_t bits_at(const uint8_t *spikes, uint32_t at, uint32_t n) {
    const uint8_t *p = spikes + at / 8;
    const uint32_t bytes = (at % 8 + n + 7) / 8;
    uint32_t bits = 0;
    if (bytes == 4)
        bits = edge_load32(p);
    else
        for (uint32_t b = 0; b < bytes; b++) bits |= (uint32_t)p[b] << 8 * b;
    bits >>= at % 8;
    return n < 32 ? bits & (((uint32_t)1 << n) - 1) : bits;
}

// Lists `count` rows from `row` on for the spikes of lines from `at` on.
static void list_bits(map_step_t *s, uint32_t row, uint32_t at, uint32_t count) {
    while (count) {
        const uint32_t room = 32 - at % 8, n = count < room ? count : room;
        for (uint32_t bits = bits_at(s->spikes, at, n); bits; bits &= bits - 1)
            s->list[s->count++] = (uint16_t)(row + edge_lowest_bit(bits));
        if (s->count >= EDGE_ROWS) add_listed(s, EDGE_ROWS);
        row += n;
        at += n;
        count -= n;
    }
}

// The same for counts: a row is listed as often as its count says.
static void list_counts(map_step_t *s, uint32_t row, uint32_t at, uint32_t count) {
    const uint8_t *counts = s->spikes + at;
    for (uint32_t c = 0; c < count; c++) {
        for (uint32_t k = counts[c]; k; k--) {
            s->list[s->count++] = (uint16_t)(row + c);
            if (s->count == EDGE_ROWS) add_listed(s, EDGE_ROWS);
        }
    }
}

static void add_value(map_step_t *s, uint32_t row, int32_t x) {
    const edge_layer_t *y = s->y;
    s->rows += x != 0 || y->value_pool;
    if (x == 0) return;
    edge_add_row(s->into, s->weights + (size_t)row * y->m4 * (y->bits == 8 ? 1u : 2u), y->bits, y->m4, x);
}

// The value of channel c at a place of the map of values: |sum of currents| < 2^31 (2.4).
static int32_t value_at(const map_step_t *s, uint32_t place_y, uint32_t place_x, uint32_t c) {
    const uint32_t z = s->y->value_pool;
    int32_t sum = 0;
    for (uint32_t ky = 0; ky < z; ky++) {
        const size_t position = (size_t)(place_y * z + ky) * s->from_width + place_x * z;
        for (uint32_t kx = 0; kx < z; kx++) sum += s->currents[(position + kx) * s->from_m4 + c];
    }
    const int32_t x = edge_round32(sum, s->y->value_shift);
    return x < -128 ? -128 : x > 127 ? 127 : x;
}

// `places` of the map that stand side by side, from (place_y, place_x) on, into the rows from `row` on.
static void add_places(map_step_t *s, uint32_t row, uint32_t place_y, uint32_t place_x, uint32_t places) {
    const uint32_t channels = s->in.channels, at = (place_y * s->in.width + place_x) * channels;
    const uint32_t count = places * channels;
    if (s->spikes && s->bytes) {
        list_counts(s, row, at, count);
    } else if (s->spikes) {
        list_bits(s, row, at, count);
    } else if (s->values) {
        for (uint32_t k = 0; k < count; k++) add_value(s, row + k, s->values[at + k]);
    } else {
        for (uint32_t k = 0; k < count; k++)
            add_value(s, row + k, value_at(s, place_y, place_x + k / channels, k % channels));
    }
}

// All that position (py, px) sees.
static void add_window(map_step_t *s, uint32_t py, uint32_t px) {
    const edge_layer_t *y = s->y;
    s->count = 0;
    if (s->values || s->currents) leak(s);
    if (!y->kernel) {
        for (uint32_t k = 0; k < s->in.height; k++)
            add_places(s, k * s->in.width * s->in.channels, k, 0, s->in.width);
    }
    // Rows and columns beyond the map are left out. The padding is below the kernel: some column is in it.
    const uint32_t top = py * y->stride, left = px * y->stride;
    const uint32_t from = left < y->padding ? y->padding - left : 0;
    const uint32_t room = s->in.width + y->padding - left, to = room < y->kernel ? room : y->kernel;
    for (uint32_t ky = 0; ky < y->kernel; ky++) {
        const uint32_t place_y = top + ky - y->padding;  // wraps above the map
        if (place_y >= s->in.height) continue;
        add_places(s, (ky * y->kernel + from) * s->in.channels, place_y, left + from - y->padding, to - from);
    }
    if (s->count || s->leak) add_listed(s, s->count);
}

/// Outputs ///

static void or_bits(uint8_t *spikes, uint32_t at, uint32_t bits) {
    const uint64_t moved = (uint64_t)bits << at % 8;
    spikes += at / 8;
    for (uint64_t rest = moved; rest; rest >>= 8) *spikes++ |= (uint8_t)(rest & 0xFF);
}

// Where position (py, px) goes after pooling. Returns the first of its outputs, or UINT32_MAX where no
// window covers it.
static uint32_t pooled_at(const edge_layer_t *y, uint32_t py, uint32_t px) {
    const edge_map_t out = edge_layer_outputs(y);
    py /= y->pool;
    px /= y->pool;
    return py < out.height && px < out.width ? (py * out.width + px) * out.channels : UINT32_MAX;
}

// Adds the outputs of the layer that a spike add takes, at one position.
static void add_outputs(uint8_t *into, const uint8_t *spikes, bool bytes, uint32_t at, uint32_t count) {
    for (uint32_t c = 0; c < count; c++)
        into[c] = (uint8_t)(into[c] + (bytes ? spikes[at + c] : bits_at(spikes, at + c, 1)));
}

// Fires the neurons of a position and passes their spikes on. Returns how many fired.
static uint32_t fire_position(map_step_t *s, const edge_threshold_t *th, uint32_t position,
                              uint8_t *outputs) {
    edge_net_t *n = s->n;
    const edge_layer_t *y = s->y;
    const edge_firing_t f = edge_net_firing(n, y, th, position);
    uint32_t *next = edge_net_first(n, y, position);
    int32_t *counts = y->last ? (int32_t *)edge_area(n, EDGE_COUNTS, 0) : NULL;
    const uint32_t to = outputs ? pooled_at(y, position / y->width, position % y->width) : UINT32_MAX;
    uint32_t spikes_out = 0;
    for (uint32_t i = 0; i < y->fan_out; i += 32) {
        const uint32_t left = y->fan_out - i;
        const uint32_t fired = edge_fire(&f, i, left < 32 ? left : 32);
        if (!fired) continue;
        if (edge_net_learns(n) && next) edge_net_record(n, y, &f, next, i, fired);
        spikes_out += edge_restart_fired(&f, i, fired);
        for (uint32_t bits = counts ? fired : 0; bits; bits &= bits - 1) counts[i + edge_lowest_bit(bits)]++;
        if (to == UINT32_MAX) continue;
        if (!y->bytes)
            or_bits(outputs, to + i, fired);
        else
            for (uint32_t bits = fired; bits; bits &= bits - 1) outputs[to + i + edge_lowest_bit(bits)]++;
    }
    return spikes_out;
}

/// A step ///

static void take_source(map_step_t *s, const void *input) {
    edge_net_t *n = s->n;
    const edge_layer_t *y = s->y;
    if (!y->source) {
        if (n->model.input_kind == EDGE_INPUT_SPIKES)
            s->spikes = (const uint8_t *)input;
        else
            s->values = (const int8_t *)input;
        return;
    }
    edge_layer_t from;
    edge_net_layer(n, y->source - 1u, &from);
    if (y->value_pool) {
        s->currents = (const int32_t *)edge_area(n, EDGE_CURRENT, from.seat.current);
        s->from_width = from.width;
        s->from_m4 = from.m4;
    } else {
        s->spikes = (const uint8_t *)edge_area(n, EDGE_SPIKES, from.seat.spikes);
        s->bytes = from.bytes;
    }
}

// into[i] += x / 2^shift, rounded; 2^-shift times x for a negative shift. |x| 2^-shift < 2^30 (2.4).
static void add_shifted(int32_t *into, const int32_t *x, uint32_t count, int32_t shift) {
    if (shift >= 0) {
        for (uint32_t i = 0; i < count; i++) into[i] += edge_round32(x[i], (uint32_t)shift);
    } else {
        for (uint32_t i = 0; i < count; i++) into[i] += x[i] * ((int32_t)1 << -shift);
    }
}

// Keeps the network's spikes of this step for learning.
static void record_inputs(edge_net_t *n, const uint8_t *spikes) {
    const uint32_t bytes = edge_history_bytes(&n->model), t = n->step - 1u, inputs = n->model.inputs;
    uint8_t *history = (uint8_t *)edge_area(n, EDGE_LEARNING, edge_net_learning(n).inputs) + t / 8;
    for (uint32_t at = 0; at < inputs; at += 32) {
        const uint32_t left = inputs - at;
        for (uint32_t bits = bits_at(spikes, at, left < 32 ? left : 32); bits; bits &= bits - 1)
            history[(size_t)(at + edge_lowest_bit(bits)) * bytes] |= (uint8_t)(1u << t % 8);
    }
}

void edge_maps_step(edge_net_t *n, uint32_t l, const edge_layer_t *y, const void *input,
                    edge_stats_t *counts) {
    map_step_t s;
    memset(&s, 0, offsetof(map_step_t, list));
    s.n = n;
    s.y = y;
    s.weights = edge_net_weights(n, y);
    s.in = edge_model_input_map(&n->model, y);
    take_source(&s, input);
    if (l == 0 && s.spikes && edge_net_learns(n) && n->model.lowest == 0) record_inputs(n, s.spikes);

    const bool own = y->kept || y->is_static, lif = y->neuron == EDGE_LIF;
    int32_t *currents = own ? (int32_t *)edge_area(n, EDGE_CURRENT, y->seat.current) : NULL;
    int32_t *membranes = (int32_t *)edge_area(n, EDGE_MEMBRANES, y->seat.membranes);
    const bool fresh = !y->is_static || n->step == 1;  // static currents stay
    edge_layer_t other;
    const int32_t *shortcut = NULL;
    if (y->current) {
        edge_net_layer(n, y->current - 1u, &other);
        shortcut = (const int32_t *)edge_area(n, EDGE_CURRENT, other.seat.current);
    }
    const uint8_t *added = NULL;
    bool added_bytes = false;
    if (y->add) {
        edge_net_layer(n, y->add - 1u, &other);
        added = (const uint8_t *)edge_area(n, EDGE_SPIKES, other.seat.spikes);
        added_bytes = other.bytes;
    }
    uint8_t *outputs = NULL;
    if (!y->last && edge_layer_spikes(y)) {
        const edge_map_t map = edge_layer_outputs(y);
        const uint32_t size = edge_map_size(&map);
        outputs = (uint8_t *)edge_area(n, EDGE_SPIKES, y->seat.spikes);
        edge_clear(outputs, y->bytes ? (size + 3) / 4 * 4 : (size + 31) / 32 * 4);
    }

    const edge_threshold_t th = edge_layer_threshold(y);
    uint32_t spikes_out = 0, px = 0, py = 0;
    for (uint32_t p = 0; p < y->positions; p++) {
        int32_t *u = membranes + (size_t)p * y->m4, *into = own ? currents + (size_t)p * y->m4 : u;
        if (fresh) {
            s.into = into;
            s.leak = lif && !own;
            if (own) memset(into, 0, 4 * (size_t)y->m4);
            add_window(&s, py, px);
            edge_layer_add_biases(y, into);
            if (shortcut) add_shifted(into, shortcut + (size_t)p * y->m4, y->m4, y->current_shift);
        }
        if (own && y->neuron != EDGE_CURRENTS) {
            if (lif) edge_leak(u, y->m4);
            for (uint32_t i = 0; i < y->m4; i++) u[i] += into[i];
        }
        if (edge_layer_spikes(y)) spikes_out += fire_position(&s, &th, p, outputs);
        const uint32_t to = added ? pooled_at(y, py, px) : UINT32_MAX;
        if (to != UINT32_MAX) add_outputs(outputs + to, added, added_bytes, p * y->fan_out, y->fan_out);
        if (++px == y->width) {
            px = 0;
            py++;
        }
    }
    if (counts) {
        edge_count(&counts->spikes_in, s.rows);
        edge_count(&counts->spikes_out, spikes_out);
        edge_count(&counts->forward_sops, s.rows * y->fan_out);
    }
}
#endif
