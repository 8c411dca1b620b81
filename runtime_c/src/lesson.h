// A layer that is being learned, as learn.c and maps_learn.c see it (docs/arithmetic.md section 3).
// SPDX-License-Identifier: Apache-2.0
#ifndef EDGE_LESSON_H
#define EDGE_LESSON_H

#include "kernels/spikes.h"
#include "net.h"

enum { EDGE_IDLE, EDGE_EXPAND_DOWN, EDGE_DOWN, EDGE_EXPAND_UPDATE, EDGE_SUM, EDGE_UPDATE };

#define EDGE_MAX_ADDS 8  // layers that add up their spikes, where errors pass

// A layer whose spikes are among what a layer takes: the source, or one whose outputs that adds. Offsets in
// EDGE_LEARNING.
typedef struct edge_origin {
    uint32_t history, sums, terms, first;
    uint32_t positions, width, channels;
    uint32_t block;  // block x block of its positions make one place of the map that comes in
    uint32_t pool;   // of max pooling, else 1: of so many by so many, the first that fires makes the spike
    bool passes, has_terms;
} edge_origin_t;

typedef struct edge_lesson {
    edge_net_t *n;
    uint32_t l;
    edge_layer_t y;
    edge_layer_t above;  // the readout, of a hidden layer
    const uint8_t *above_weights;
    edge_layer_t below;  // the source, of any layer but those of the network's input
    bool from_above;     // the readout takes its outputs
    uint8_t arrive;      // shift of error sums that come from one layer only
    uint8_t readout_shift;
    edge_learning_t at;
    edge_threshold_t threshold;
    uint32_t history_bytes;
    int32_t error_limit;   // E1
    int32_t update_limit;  // E2
#ifndef EDGE_NO_CONV
    bool merged;    // dense, over bits that are pooled: histories are merged on the way
    bool plain;     // dense, each input a neuron of the layer before, its currents added by none
    edge_map_t in;  // the map that comes in
    uint32_t origins;
    edge_origin_t origin[EDGE_MAX_ADDS];
#endif
} edge_lesson_t;

// Bytes of a lesson before the origins: what edge_lesson_open clears.
#ifndef EDGE_NO_CONV
#define EDGE_LESSON_CLEARED offsetof(edge_lesson_t, origin)
#else
#define EDGE_LESSON_CLEARED sizeof(edge_lesson_t)
#endif

static inline bool edge_lesson_is_plain(const edge_lesson_t *s) { return EDGE_OF_GRAPHS(s, plain, true); }

static inline bool edge_lesson_is_merged(const edge_lesson_t *s) { return EDGE_OF_GRAPHS(s, merged, false); }

static inline void *edge_lesson_area(const edge_lesson_t *s, uint32_t offset) {
    return edge_area(s->n, EDGE_LEARNING, offset);
}

static inline int16_t *edge_lesson_tile(const edge_lesson_t *s) {
    return (int16_t *)edge_area(s->n, EDGE_MEMBRANES, 0);
}

// Outputs of the tile that exist.
static inline uint32_t edge_lesson_columns(const edge_lesson_t *s) {
    const uint32_t left = s->y.fan_out - s->n->base, tw = s->n->model.tile_width;
    return left < tw ? left : tw;
}

static inline uint32_t *edge_lesson_cursor(const edge_lesson_t *s, uint32_t which) {
    return (uint32_t *)edge_lesson_area(s, s->at.cursors[which]);
}

// Whether the tile is one row: the same error at every step, or the same input.
static inline bool edge_lesson_is_flat(const edge_lesson_t *s) {
    return !edge_layer_spikes(&s->y) || s->y.is_static;
}

// What spike errors are made into.
typedef struct edge_column {
    int16_t *eps;     // step 1
    uint32_t stride;  // to the next step
    bool update_unit;
#ifndef EDGE_NO_CONV
    bool adds;  // to what is there, between -E1 and E1
#endif
} edge_column_t;

// Opens layer `layer` of a net that learns.
void edge_lesson_open(edge_lesson_t *s, edge_net_t *n, uint32_t layer);

// Errors of one spiking neuron over time, from its last spike to its first (sections 3.2 to 3.5).
//
// i: the neuron, whose channel is i mod fan_out. score_error: d of a spiking readout. cursor: uint32[T], the
// index of the
// neuron's spike at each step, moved on; NULL where no capacity is stated. Returns the largest magnitude;
// the column was
// zero before, unless it adds.
uint32_t edge_lesson_neuron(const edge_lesson_t *s, uint32_t i, int32_t score_error, uint32_t *cursor,
                            const edge_column_t *column);

// An error in the update unit (section 3.5).
int32_t edge_lesson_update_unit(const edge_lesson_t *s, int32_t e);

// Keeps the largest magnitude of output k of the tile.
static inline void edge_lesson_keep_largest(edge_net_t *n, uint32_t k, uint32_t largest) {
    if (largest > n->largest) n->largest = (uint16_t)largest;
    ((uint8_t *)n->bounds)[k] = (uint8_t)(largest < 254 * 32 ? (largest + 31) / 32 : 255);
}

// What the readout sends to output j of its source at step t, as a term (section 3.2).
int32_t edge_lesson_readout_term(const edge_lesson_t *s, uint32_t j, uint32_t t);

// Weights times errors of one row. |sum| <= reach fan_out Wmax E1 < 2^31, and so is every part of it.
int32_t edge_lesson_dot(const uint8_t *row, uint32_t bits, const int16_t *eps, uint32_t columns);

// A sum of section 3.2 as a term: rounded and saturated. shift 0 .. 62.
EDGE_SHORT int32_t edge_lesson_term(int32_t inter, uint32_t shift) {
    return shift < 32 ? edge_sat32(edge_round32(inter, shift), 32767) : 0;
}

#ifndef EDGE_NO_CONV
/// Through maps (maps_learn.c) ///

// Finds the layers whose spikes make the outputs of layer `from` (from 1; 0: none).
void edge_maps_origins(edge_lesson_t *s, uint32_t from);

// Sets a cursor to the spikes of neuron `channel` of a position of the lesson's layer.
void edge_maps_start(const edge_lesson_t *s, uint32_t position, uint32_t channel, uint32_t *cursor);

// The output that neuron i's spike at step t is in. Returns UINT32_MAX where it is in none, or another spike
// stands for it.
uint32_t edge_maps_output(const edge_lesson_t *s, uint32_t i, uint32_t t);

// The tile's eta of a layer whose currents another adds (section 3.4), at the present position; in the
// update unit if so.
// Returns the budget used.
uint32_t edge_maps_expand_added(const edge_lesson_t *s, bool update_unit);

// Places of a window, or of the whole map for a dense layer.
uint32_t edge_maps_places(const edge_lesson_t *s);

// Section 3.2 for places at .. of the present position, down to the layers whose spikes they are. Returns
// the budget used.
uint32_t edge_maps_bring_down(const edge_lesson_t *s, uint32_t budget);

// Adds the present position's places at .. into a convolution's sums (section 3.5). Returns the budget used.
uint32_t edge_maps_sum(const edge_lesson_t *s, uint32_t budget);

// The sums of weight row r over the tile, before they are shifted. Returns how many eps rows went in, of a
// convolution
// whether any did.
uint32_t edge_maps_row(const edge_lesson_t *s, uint32_t r, int32_t *sums);

// The history of input r of a layer whose inputs are merged.
void edge_maps_history(const edge_lesson_t *s, uint32_t r, uint8_t *history);

// Before a layer with a spike add is learned: what came down to its outputs goes on to those it adds
// (section 3.2).
void edge_maps_pass_on(edge_lesson_t *s);

// When the errors of a layer have all gone down: they become a term of each of several.
void edge_maps_add_terms(edge_lesson_t *s);
#endif

#endif
