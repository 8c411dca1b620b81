// What inference and learning share of a net at work.
// SPDX-License-Identifier: Apache-2.0
#ifndef EDGE_NET_H
#define EDGE_NET_H

#include "kernels/kernels.h"
#include "model.h"
#include "softmax.h"

static inline void *edge_area(const edge_net_t *n, uint32_t area, uint32_t offset) {
    return EDGE_ALIGNED(n->arena + n->areas[area] + offset, 4);
}

// Whether the net records what learning needs.
static inline bool edge_net_learns(const edge_net_t *n) {
#ifndef EDGE_NO_LEARN
    return n->mode == EDGE_LEARN;
#else
    (void)n;
    return false;
#endif
}

// What edge_plan says of it, worked out once: all 0 where the net does not learn.
static inline edge_learning_t edge_net_learning(const edge_net_t *n) {
    edge_learning_t at;
    memcpy(&at, n->kept, sizeof at);
    return at;
}

// The start of a walk over the net's layers: offsets then count within the areas.
static inline edge_walk_t edge_net_walk(const edge_net_t *n) {
    return (edge_walk_t){.model = &n->model, .learning = n->kept[4]};
}

// Reads layer l and seats it.
void edge_net_layer(const edge_net_t *n, uint32_t l, edge_layer_t *y);

// The neurons of one position of a layer, at the present step.
edge_firing_t edge_net_firing(const edge_net_t *n, const edge_layer_t *y, const edge_threshold_t *th,
                              uint32_t position);

// Where the spikes of a layer with a capacity are counted, for a position at the present step; NULL where
// none is needed.
uint32_t *edge_net_first(const edge_net_t *n, const edge_layer_t *y, uint32_t position);

// Counts the neurons first + the bits of `fired`, which fire now, and keeps their gates of a linear
// surrogate.
void edge_net_record(edge_net_t *n, const edge_layer_t *y, const edge_firing_t *f, uint32_t *next,
                     uint32_t first, uint32_t fired);

// u[i] += the bias of output i.
void edge_layer_add_biases(const edge_layer_t *y, int32_t *u);

#ifndef EDGE_NO_CONV
// One step of a layer that is a convolution, or takes or adds something else than spikes (maps.c). input: the
// network's. counts may be NULL.
void edge_maps_step(edge_net_t *n, uint32_t l, const edge_layer_t *y, const void *input,
                    edge_stats_t *counts);
#endif

// The weights of a layer in use: learned ones in RAM, or the image's.
static inline const uint8_t *edge_net_weights(const edge_net_t *n, const edge_layer_t *y) {
#ifndef EDGE_NO_LEARN
    if (y->learns && n->weights) return n->weights + y->seat.weights;
#else
    (void)n;
#endif
    return y->weights;
}

static inline edge_threshold_t edge_layer_threshold(const edge_layer_t *y) {
    edge_threshold_t th = {y->theta0s, y->alphas, y->theta0, y->alpha, y->neuron == EDGE_IF};
    return th;
}

// The scores of the window so far. Returns int32[classes] in the arena.
const int32_t *edge_net_score_area(const edge_net_t *n);

// The softmax of those scores.
edge_softmax_t edge_net_softmax(const edge_net_t *n);

static inline void edge_count(uint32_t *counter, uint32_t n) {
#ifndef EDGE_NO_STATS
    *counter += n;
#else
    (void)counter;
    (void)n;
#endif
}

// Where the counts of a layer go. Returns NULL where nothing is counted.
static inline edge_stats_t *edge_net_counts(const edge_net_t *n, uint32_t layer) {
#ifndef EDGE_NO_STATS
    return n->stats ? n->stats + layer : NULL;
#else
    (void)n;
    (void)layer;
    return NULL;
#endif
}

#endif
