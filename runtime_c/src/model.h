// What the runtime knows of an open image: its layers, decoded, and where each lives in memory.
// SPDX-License-Identifier: Apache-2.0
#ifndef EDGE_MODEL_H
#define EDGE_MODEL_H

#include <stdbool.h>

#include "bytes.h"
#include "edge/edge.h"

typedef enum { EDGE_LIF = 0, EDGE_IF = 1, EDGE_LINEAR = 2, EDGE_CURRENTS = 3 } edge_neuron_t;
typedef enum { EDGE_GATE_NONE = 0, EDGE_GATE_RECTANGULAR = 1, EDGE_GATE_LINEAR = 2 } edge_gate_t;
typedef enum { EDGE_POOL_NONE = 0, EDGE_POOL_MAX = 1, EDGE_POOL_SUM = 2 } edge_pool_t;
typedef enum { EDGE_LOSS_CROSS_ENTROPY = 1, EDGE_LOSS_SPIKE_COUNT = 2 } edge_loss_t;

// Roles of a layer, worked out when the image is opened (docs/image.md sections 4 and 5).
enum {
    EDGE_PASSES,    // errors pass: it learns, or takes something from a layer that errors pass
    EDGE_RECALLED,  // its spikes reach a layer that learns
    EDGE_SUMS,      // keeps error sums at spikes: errors come from another layer than the readout
    EDGE_TERMS,     // keeps the sum of several terms at spikes
    EDGE_KEPT,      // its currents are taken by another layer
    EDGE_ADDED      // its currents are added by a layer that errors pass
};

// A map of signals; the index of (y, x, c) is (y * width + x) * channels + c.
typedef struct edge_map {
    uint32_t height, width, channels;
} edge_map_t;

static inline uint32_t edge_map_size(const edge_map_t *map) {
    return map->height * map->width * map->channels;
}

// Where one layer lives, offsets in bytes.
typedef struct edge_seat {
    uint32_t membranes;  // int32[positions][m4]: u, or the scores of a linear readout
    uint32_t last;       // uint16[positions][m4]: the step of the last spike
    uint32_t spikes;     // bits or bytes of the current step's outputs
    uint32_t current;    // int32[positions][m4], where it is kept
    uint32_t history;    // uint8[neurons][ceil(T / 8)]: all spikes of the window
    uint32_t gate;       // uint8[neurons][ceil(T / 8)] bits, or uint8[capacity]
    uint32_t sums;       // int32[capacity]
    uint32_t terms;      // int32[capacity]
    uint32_t first;      // uint32[T * positions + 1]: index of the first spike of each step and position
    uint32_t weights;    // in the learned weights
    uint32_t carry;      // in the learned weights
} edge_seat_t;

// One row of the layer table. Pointers are NULL where the image has no such tensor.
typedef struct edge_layer {
    uint8_t neuron, bits, surrogate, down_shift, input_shift, reset_shift, gate_shift;
    bool learns, carry;
    bool last;  // the readout
    bool passes, sums;
    bool is_static;  // takes static inputs: its current is computed once
    bool history;    // keeps its spikes for learning
    uint8_t source;  // the layer taken, numbered from 1; 0: the network's input
    int8_t rate_shift;
    uint16_t reset_mult, gate_mult;
    int32_t gate_width, theta0, alpha;
    uint32_t fan_in, fan_out;
    uint32_t m4;  // fan_out, rounded up to a multiple of four
    uint32_t capacity;
    const uint8_t *weights, *biases, *theta0s, *alphas;
#ifndef EDGE_NO_CONV
    // Version 2 of the image; layers taken are numbered from 1, and 0 is none.
    bool terms, kept;
    bool bytes;                       // its outputs are bytes, else bits
    uint8_t kernel, stride, padding;  // of a convolution, else 0
    uint8_t pooling, pool;            // the pool's size, 1 without pooling
    uint8_t value_pool, value_shift, input_down, add, current;
    int8_t add_down, current_shift, current_down;
    uint16_t in_height, in_width;  // of a convolution
    uint32_t positions;            // 1 of a dense layer
    uint32_t width;                // positions in a row
#endif
    edge_seat_t seat;  // of a net's layer
} edge_layer_t;

// What only graphs have; of a chain's layers the compiler then knows it.
#ifndef EDGE_NO_CONV
#define EDGE_OF_GRAPHS(y, field, else_) ((y)->field)
#else
#define EDGE_OF_GRAPHS(y, field, else_) ((void)(y), else_)
#endif
static inline uint32_t edge_layer_positions(const edge_layer_t *y) { return EDGE_OF_GRAPHS(y, positions, 1); }
static inline uint32_t edge_layer_kernel(const edge_layer_t *y) { return EDGE_OF_GRAPHS(y, kernel, 0); }
static inline uint32_t edge_layer_pool(const edge_layer_t *y) { return EDGE_OF_GRAPHS(y, pool, 1); }
static inline bool edge_layer_bytes(const edge_layer_t *y) { return EDGE_OF_GRAPHS(y, bytes, false); }
static inline bool edge_layer_kept(const edge_layer_t *y) { return EDGE_OF_GRAPHS(y, kept, false); }
static inline bool edge_layer_terms(const edge_layer_t *y) { return EDGE_OF_GRAPHS(y, terms, false); }

static inline bool edge_layer_spikes(const edge_layer_t *y) { return y->neuron < EDGE_LINEAR; }

static inline uint32_t edge_layer_neurons(const edge_layer_t *y) {
    return edge_layer_positions(y) * y->fan_out;
}

// Its outputs, after pooling.
static inline edge_map_t edge_layer_outputs(const edge_layer_t *y) {
    edge_map_t map = {1, 1, y->fan_out};
#ifndef EDGE_NO_CONV
    if (y->kernel) {
        map.height = y->positions / y->width / y->pool;
        map.width = y->width / y->pool;
    }
#endif
    return map;
}

static inline int32_t edge_layer_wmax(const edge_layer_t *y) { return y->bits == 8 ? 128 : 512; }

// E1 of docs/arithmetic.md 3.1.
static inline int32_t edge_layer_error_limit(const edge_layer_t *y) {
    uint32_t limit = (uint32_t)INT32_MAX / (y->fan_out * (uint32_t)edge_layer_wmax(y));
#ifndef EDGE_NO_CONV
    if (y->kernel) {
        const uint32_t across = (y->kernel + y->stride - 1u) / y->stride;  // positions that see one input
        limit /= across * across;  // one division after another rounds as one by the product does
    }
#endif
    return limit < 32767 ? (int32_t)limit : 32767;
}

static inline uint32_t edge_layer_weight_bytes(const edge_layer_t *y) {
    return y->fan_in * y->m4 * (y->bits == 8 ? 1u : 2u);
}

// Decodes the row of layer l < layers, which has no seat then.
void edge_model_read_layer(const edge_model_t *m, uint32_t l, edge_layer_t *y);

// Returns it, at the price of a copy.
static inline edge_layer_t edge_model_layer(const edge_model_t *m, uint32_t l) {
    edge_layer_t y;
    edge_model_read_layer(m, l, &y);
    return y;
}

// The map that layer l's weights expect, l's row being y; its outputs' or values' shape for a dense layer.
edge_map_t edge_model_input_map(const edge_model_t *m, const edge_layer_t *y);

// Whether the padding of a layer's weights is 0 and 10-bit weights are in range; weights need no alignment.
bool edge_layer_weights_valid(const edge_layer_t *y, const uint8_t *weights);

// Xmax of layer l (docs/arithmetic.md 2.1). Returns 1 .. 255.
uint32_t edge_model_largest_input(const edge_model_t *m, uint32_t l);

// E2 of layer l (docs/arithmetic.md 3.5). Returns 0 .. 32767.
int32_t edge_model_update_limit(const edge_model_t *m, uint32_t l);

// Whether layer l has a role.
static inline bool edge_model_is(const edge_model_t *m, uint32_t role, uint32_t l) {
    return m->roles[l] >> role & 1;
}

// The header's numbers for scores and errors (docs/arithmetic.md 2.6, 3.1 and 3.6).
typedef struct edge_objective {
    uint32_t score_mult, score_shift;  // K, Z
    edge_loss_t loss;
    int32_t desired, others, count_mult;  // D, U, Q
    uint32_t seed;
} edge_objective_t;

// Returns them.
edge_objective_t edge_model_objective(const edge_model_t *m);

// The image's own checksum. Returns it.
uint32_t edge_model_crc(const edge_model_t *m);

// The encoder block of an open image. Returns NULL if there is none.
const uint8_t *edge_model_encoder(const edge_model_t *m);

// The image's bytes at an offset that its check has proved. Returns NULL for offset 0.
static inline const uint8_t *edge_model_at(const edge_model_t *m, uint32_t offset) {
    return offset ? m->image + offset : NULL;
}

/// Memory (docs/image.md section 5) ///

// The areas of an arena, in order. The tile lies over the first two.
enum { EDGE_MEMBRANES, EDGE_LAST_SPIKES, EDGE_COUNTS, EDGE_SPIKES, EDGE_CURRENT, EDGE_LEARNING };

// A walk over the layers, first layer first. Zero it but for the model and where the areas start.
typedef struct edge_walk {
    const edge_model_t *model;
    uint32_t next;  // layer
    uint32_t membranes, last, spikes, current, learning, weights;
} edge_walk_t;

// Reads the next layer and seats it.
//
// Returns whether there is one; else y stays as it is.
bool edge_walk_next(edge_walk_t *walk, edge_layer_t *y);

// What learning keeps once a net, at the start of EDGE_LEARNING: offsets from there.
typedef struct edge_learning {
    uint32_t cursors[2];  // uint32[T] each, where a capacity is stated
    uint32_t errors;      // int16[m4] or int16[T][m4]: the readout's
    uint32_t inputs;      // the input history
    uint32_t layers;      // of the first layer's areas
    uint32_t sums;        // int32[fan_in][min(tile_width, m4)] of a convolution being learned
} edge_learning_t;

#define EDGE_TOO_MUCH (UINT32_MAX - 7)  // bytes that no image may state

// Bytes of everything, at most EDGE_TOO_MUCH.
typedef struct edge_plan {
    uint32_t infer, learn, weights;
    uint32_t areas[6];  // where each area starts in `mode`
    uint32_t tile_width;
    edge_learning_t kept;
} edge_plan_t;

// Plans a model of which image, window, classes, layers, inputs, input_kind and lowest are set. Without learning
// (EDGE_NO_LEARN) that has no part in it.
//
// Returns the plan.
edge_plan_t edge_plan(const edge_model_t *m, edge_mode_t mode);

// Bytes of one neuron's spike history.
static inline uint32_t edge_history_bytes(const edge_model_t *m) { return ((uint32_t)m->window + 7) / 8; }

#endif
