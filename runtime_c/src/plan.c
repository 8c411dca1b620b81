// The memory plan of docs/image.md section 5: the same bytes as pyedge/plan.py.
// SPDX-License-Identifier: Apache-2.0
#include "model.h"

// Sums stay at the end of their 32 bits once they are there: no image may state so much.
EDGE_SHORT uint32_t sum(uint32_t a, uint32_t b) { return b < EDGE_TOO_MUCH - a ? a + b : EDGE_TOO_MUCH; }

// Where the next n elements of 2^shift bytes lie: every area starts at a multiple of eight.
static uint32_t take(uint32_t *next, uint32_t n, uint32_t shift) {
    const uint32_t at = *next, most = EDGE_TOO_MUCH >> shift;
    *next = sum(at, (((n < most ? n : most) << shift) + 7) & ~(uint32_t)7);
    return at;
}

bool edge_walk_next(edge_walk_t *walk, edge_layer_t *y) {
    const edge_model_t *m = walk->model;
    if (walk->next == m->layers) return false;
    edge_model_read_layer(m, walk->next++, y);
    edge_seat_t *seat = &y->seat;
    const uint32_t columns = edge_layer_positions(y) * y->m4;
    const bool spikes = edge_layer_spikes(y);
    if (y->neuron != EDGE_CURRENTS) seat->membranes = take(&walk->membranes, columns, 2);
    if (spikes) seat->last = take(&walk->last, columns, 1);
    if (spikes && !y->last) {
        const edge_map_t outputs = edge_layer_outputs(y);
        const uint32_t size = edge_map_size(&outputs);
        seat->spikes =
            edge_layer_bytes(y) ? take(&walk->spikes, size, 0) : take(&walk->spikes, (size + 31) / 32, 2);
    }
    if (edge_layer_kept(y) || y->is_static) seat->current = take(&walk->current, columns, 2);
#ifndef EDGE_NO_LEARN
    const uint32_t history = edge_layer_neurons(y) * edge_history_bytes(m), weights = y->fan_in * y->m4;
    if (y->learns) {
        seat->weights = take(&walk->weights, weights, y->bits != 8);
        if (y->carry) seat->carry = take(&walk->weights, weights, 0);
    }
    if (y->history) seat->history = take(&walk->learning, history, 0);
    if (y->passes && spikes) {
        const bool bits = y->surrogate == EDGE_GATE_RECTANGULAR;
        seat->gate = take(&walk->learning, bits ? history : y->capacity, 0);
        if (y->sums) seat->sums = take(&walk->learning, y->capacity, 2);
        if (edge_layer_terms(y)) seat->terms = take(&walk->learning, y->capacity, 2);
        if (y->capacity) seat->first = take(&walk->learning, m->window * edge_layer_positions(y) + 1, 2);
    }
#endif
    return true;
}

#ifndef EDGE_NO_LEARN
static EDGE_ALONE void plan_learning(edge_learning_t *at, const edge_model_t *m) {
    uint32_t next = 0;
    bool capacity = false;
    edge_layer_t y = {0};
    for (uint32_t l = 0; l < m->layers; l++) {
        edge_model_read_layer(m, l, &y);
        capacity |= y.capacity != 0;
    }
    if (capacity) {  // 8 T bytes; a half may start at a multiple of four only
        at->cursors[0] = take(&next, m->window, 3);
        at->cursors[1] = at->cursors[0] + 4u * m->window;
    }
    at->errors = take(&next, y.m4 * (edge_layer_spikes(&y) ? m->window : 1u), 1);
    if (m->lowest == 0) {
        const uint32_t each = m->input_kind == EDGE_INPUT_SPIKES   ? edge_history_bytes(m)
                              : m->input_kind == EDGE_INPUT_FRAMES ? m->window
                                                                   : 1u;
        at->inputs = take(&next, m->inputs * each, 0);
    }
    at->layers = next;
}

// Of a convolution that learns, the sums of one tile over the positions.
static uint32_t sums_of_tile(const edge_model_t *m, uint32_t tw) {
    uint32_t sums = 0;
#ifndef EDGE_NO_CONV
    for (uint32_t l = m->lowest; l < m->layers; l++) {
        const edge_layer_t y = edge_model_layer(m, l);
        const uint32_t size = 4 * y.fan_in * (tw < y.m4 ? tw : y.m4);
        if (y.kernel && y.learns && size > sums) sums = size;
    }
#else
    (void)m;
    (void)tw;
#endif
    return sums;
}
#endif

edge_plan_t edge_plan(const edge_model_t *m, edge_mode_t mode) {
    edge_plan_t plan = {0};
    edge_walk_t walk = {.model = m};
    edge_layer_t y;
    uint32_t counts = 0;
#ifndef EDGE_NO_LEARN
    const bool learns = m->lowest < m->layers;
    if (learns) plan_learning(&plan.kept, m);
    walk.learning = plan.kept.layers;
#endif
    while (edge_walk_next(&walk, &y)) {
        if (y.last && edge_layer_spikes(&y)) counts = 4 * y.m4;
    }
    const uint32_t scratch = sum(walk.membranes, walk.last);
    uint32_t head = scratch;
    plan.infer = sum(sum(scratch, counts), sum(walk.spikes, walk.current));
#ifndef EDGE_NO_LEARN
    plan.weights = walk.weights;
    // Wide tiles go through a layer's rows less often: worth a quarter of what learning keeps anyway.
    const uint32_t room = sum(scratch, walk.learning / 4), row = 2u * m->window;
    uint32_t tw = 64;
    while (tw > 4 && row * tw > room && row * tw > 2048) tw /= 2;
    const uint32_t tile = row * tw, more = tile > scratch ? tile - scratch : 0;
    plan.tile_width = tw;
    plan.kept.sums = walk.learning;
    if (learns) {
        plan.learn = sum(sum(plan.infer, more), sum(walk.learning, sums_of_tile(m, tw)));
        if (mode == EDGE_LEARN) head += more;
    }
#else
    (void)mode;
#endif
    const uint32_t sizes[5] = {walk.membranes, head - walk.membranes, counts, walk.spikes, walk.current};
    for (uint32_t i = 0; i < 5; i++) plan.areas[i + 1] = plan.areas[i] + sizes[i];
    return plan;
}
