// The memory plan of docs/image.md section 5: the same bytes as pyedge/plan.py.
// SPDX-License-Identifier: Apache-2.0
#include "model.h"

// Where the next `size` bytes lie: every area starts at a multiple of eight.
static uint32_t take(uint64_t *next, uint64_t size) {
    const uint32_t at = (uint32_t)*next;
    *next += edge_round_up(size, 8);
    return at;
}

edge_seat_t edge_walk_layer(const edge_model_t *m, const edge_layer_t *y, edge_walk_t *walk) {
    edge_seat_t seat = {0};
    const uint64_t history = (uint64_t)edge_layer_neurons(y) * edge_history_bytes(m);
    const uint64_t columns = (uint64_t)y->positions * y->m4;
    if (y->neuron != EDGE_CURRENTS) seat.membranes = take(&walk->membranes, 4 * columns);
    if (edge_layer_spikes(y)) seat.last = take(&walk->last, 2 * columns);
    if (!y->last && edge_layer_spikes(y)) {
        const edge_map_t outputs = edge_layer_outputs(y);
        const uint32_t size = edge_map_size(&outputs);
        seat.spikes = take(&walk->spikes, y->bytes ? size : 4 * ((size + 31) / 32));
    }
    if (y->kept || y->is_static) seat.current = take(&walk->current, 4 * columns);
    if (y->history) seat.history = take(&walk->learning, history);
    if (y->passes && edge_layer_spikes(y)) {
        seat.gate = take(&walk->learning, y->surrogate == EDGE_GATE_RECTANGULAR ? history : y->capacity);
        if (y->sums) seat.sums = take(&walk->learning, 4 * (uint64_t)y->capacity);
        if (y->terms) seat.terms = take(&walk->learning, 4 * (uint64_t)y->capacity);
        if (y->capacity) seat.first = take(&walk->learning, 4 * ((uint64_t)m->window * y->positions + 1));
    }
    if (y->learns) {
        seat.weights = take(&walk->weights, (uint64_t)y->fan_in * y->m4 * (y->bits == 8 ? 1u : 2u));
        if (y->carry) seat.carry = take(&walk->weights, (uint64_t)y->fan_in * y->m4);
    }
    return seat;
}

edge_learning_t edge_plan_learning(const edge_model_t *m) {
    edge_learning_t at = {{0, 0}, 0, 0, 0, 0};
    uint64_t next = 0;
    bool capacity = false;
    for (uint32_t l = 0; l < m->layers; l++) capacity |= edge_model_layer(m, l).capacity != 0;
    const edge_layer_t readout = edge_model_layer(m, m->layers - 1u);
    if (capacity) {  // 8 T bytes; a half may start at a multiple of four only
        at.cursors[0] = take(&next, 8 * (uint64_t)m->window);
        at.cursors[1] = at.cursors[0] + 4u * m->window;
    }
    at.errors = take(&next, 2 * (uint64_t)readout.m4 * (edge_layer_spikes(&readout) ? m->window : 1u));
    if (m->lowest == 0) {
        const uint32_t each = m->input_kind == EDGE_INPUT_SPIKES   ? edge_history_bytes(m)
                              : m->input_kind == EDGE_INPUT_FRAMES ? m->window
                                                                   : 1u;
        at.inputs = take(&next, (uint64_t)m->inputs * each);
    }
    at.layers = (uint32_t)next;
    return at;
}

edge_plan_t edge_plan(const edge_model_t *m, edge_mode_t mode) {
    edge_plan_t plan = {0};
    edge_walk_t walk = {0};
    const bool learns = m->lowest < m->layers;
    if (learns) walk.learning = edge_plan_learning(m).layers;
    uint64_t counts = 0, sums = 0;
    for (uint32_t l = 0; l < m->layers; l++) {
        const edge_layer_t y = edge_model_layer(m, l);
        edge_walk_layer(m, &y, &walk);
        if (y.last && edge_layer_spikes(&y)) counts = 4 * (uint64_t)y.m4;
    }

    const uint64_t scratch = walk.membranes + walk.last;
    // Wide tiles go through a layer's rows less often: worth a quarter of what learning keeps anyway.
    const uint64_t room = scratch + (learns ? walk.learning / 4 : 0), roomy = room > 2048 ? room : 2048;
    uint32_t tw = 64;
    while (tw > 4 && 2 * (uint64_t)m->window * tw > roomy) tw /= 2;
    const uint64_t tile = 2 * (uint64_t)m->window * tw;
    const uint64_t head = learns && mode == EDGE_LEARN && tile > scratch ? tile : scratch;

    // Of a convolution that learns, the sums of one tile over the positions.
    for (uint32_t l = m->lowest; l < m->layers; l++) {
        const edge_layer_t y = edge_model_layer(m, l);
        const uint64_t size = 4 * (uint64_t)y.fan_in * (tw < y.m4 ? tw : y.m4);
        if (y.kernel && y.learns && size > sums) sums = size;
    }

    const uint64_t sizes[5] = {walk.membranes, head - walk.membranes, counts, walk.spikes, walk.current};
    for (uint32_t i = 0; i < 5; i++) plan.areas[i + 1] = plan.areas[i] + sizes[i];
    plan.infer = scratch + counts + walk.spikes + walk.current;
    if (learns) plan.learn = plan.infer + (tile > scratch ? tile - scratch : 0) + walk.learning + sums;
    plan.sums = (uint32_t)walk.learning;
    plan.weights = walk.weights;
    plan.tile_width = tw;
    return plan;
}
