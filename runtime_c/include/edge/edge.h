// The pyedge runtime: integer spiking networks that run and learn on a microcontroller.
// SPDX-License-Identifier: Apache-2.0
//
// Arithmetic: docs/arithmetic.md. Image: docs/image.md. Raw samples, encoders and alignment: edge/stream.h.
// The caller owns every byte: images, arenas and weights outlive the structs that point to them. No call
// allocates, blocks or keeps global state; any two nets can run side by side. Calls on the same net are one
// at a time, and none from an interrupt while another is under way (edge_stream_push is the exception).
//
// A program that infers: edge_model_open, edge_net_init, then a window after the other: edge_net_begin,
// edge_net_step edge_model_window times, edge_net_predict. One that learns, after predict:
// edge_net_learn_begin with the label, then edge_net_learn_run until it returns 0. Over a restart:
// edge_net_save, edge_net_load. With raw samples edge/stream.h takes the place of begin and step.
// examples/link_runtime.c is such a program.
//
// Errors are negative, and each call's comment names those it returns: edge/error.h. Pointers that a call
// takes are not NULL unless it says so.
#ifndef EDGE_H
#define EDGE_H

#include <stddef.h>
#include <stdint.h>

#include "edge/error.h"

#ifdef __cplusplus
extern "C" {
#endif

// What a build may leave out, each by one definition when the library is compiled (docs/porting.md has the
// bytes):
//
// EDGE_NO_CONV   convolutions, pools, adds: images with them are refused, EDGE_ERR_VERSION.
// EDGE_NO_LEARN  learning: every image runs as one that learns nothing, and EDGE_LEARN is refused,
//                EDGE_ERR_MODE. What only learning reads of an image is not checked.
// EDGE_NO_STATS  statistics: edge_net_count answers EDGE_ERR_ARGUMENT.
// EDGE_PORTABLE  kernels written for the core: portable C does their work. EDGE_LINK_SMALL: see edge/link.h.
// EDGE_SMALL     all that is there for speed: plain loops give the same bits. Compile with -Os.

/// Version ///

#define EDGE_VERSION 0x00000100  // 0.1.0: major << 16 | minor << 8 | patch
#define EDGE_IMAGE_VERSION 2     // newest image format that this runtime opens
#define EDGE_MAX_LAYERS 64

// The version this library was built as.
//
// Returns EDGE_VERSION.
uint32_t edge_version(void);

/// Model: an image, opened ///

typedef enum { EDGE_INPUT_SPIKES = 1, EDGE_INPUT_FRAMES = 2, EDGE_INPUT_STATIC = 3 } edge_input_t;
typedef enum { EDGE_INFER = 0, EDGE_LEARN = 1 } edge_mode_t;

// A checked image; edge_model_open fills it. Contents may change between versions: use the calls below.
typedef struct edge_model {
    const uint8_t *image;
    size_t size;
    uint32_t inputs;
    uint16_t window;
    uint16_t classes;
    uint8_t layers;
    uint8_t input_kind;
    uint8_t lowest;                  // the lowest layer that learns, or `layers`
    uint8_t tile_width;              // outputs that learn together
    uint8_t row_size;                // bytes of a layer's row in the table
    uint8_t roles[EDGE_MAX_LAYERS];  // of each layer, a bit each (model.h)
} edge_model_t;

// Opens an image in place.
//
// image is 8-byte aligned, size bytes, and stays unchanged while the model is in use. Everything
// docs/image.md section 4 names is checked first: after success no input can make the runtime leave its
// memory.
// Returns 0, EDGE_ERR_ARGUMENT, EDGE_ERR_ALIGN, EDGE_ERR_TRUNCATED, EDGE_ERR_MAGIC, EDGE_ERR_VERSION,
// EDGE_ERR_CRC, EDGE_ERR_FORMAT or EDGE_ERR_BOUND; on an error the model is all zero.
int edge_model_open(edge_model_t *m, const void *image, size_t size);

// Steps in a window. Returns 1 .. 1024.
uint32_t edge_model_window(const edge_model_t *m);

// Classes of a fresh net. Returns 2 .. 256.
uint32_t edge_model_classes(const edge_model_t *m);

// Rows of the readout that are no class yet: edge_net_add_class makes them one. Returns 0 .. 254.
uint32_t edge_model_spare(const edge_model_t *m);

// Inputs of the first layer. Returns 1 .. 2^20.
uint32_t edge_model_inputs(const edge_model_t *m);

// How inputs are given to edge_net_step. Returns an edge_input_t.
edge_input_t edge_model_input_kind(const edge_model_t *m);

// Layers. Returns 1 .. EDGE_MAX_LAYERS.
uint32_t edge_model_layers(const edge_model_t *m);

// The name of a class, UTF-8. Returns a zero-ended string inside the image, or "" where the image has no
// names or the class is out of range.
const char *edge_model_class_name(const edge_model_t *m, uint32_t class_index);

// Bytes of scratch that a net needs (docs/image.md section 5).
//
// Returns a multiple of 8; 0 in EDGE_LEARN for an image that learns nothing.
size_t edge_model_arena_size(const edge_model_t *m, edge_mode_t mode);

// Bytes of weights and carry that learning changes and the caller keeps. Returns a multiple of 8; 0 for an
// image that learns nothing.
size_t edge_model_weights_size(const edge_model_t *m);

/// Net: a model at work ///

struct edge_stats;

typedef struct edge_net {
    // Private to the runtime; fixed size, no allocation. Do not rely on the contents.
    edge_model_t model;
    uint8_t *weights;  // learned weights, or NULL: those of the image
    uint8_t *arena;
    struct edge_stats *stats;  // one a layer, or NULL
    uint32_t areas[6];         // where the kinds of memory start in the arena
    uint32_t kept[6];          // where what learning keeps once a net starts in its area
    uint32_t update;
    uint32_t base;        // first output of the tile that is being learned
    uint32_t position;    // of a convolution, and
    uint32_t at;          // output or row to go on with
    uint32_t bounds[16];  // a byte for each output of the tile, of its errors
    uint16_t step;
    uint16_t largest;  // magnitude of an error in the tile
    uint16_t active;   // classes
    uint8_t mode;
    uint8_t rate_decay;
    uint8_t over;    // the window is used up: the next step starts another
    uint8_t full;    // a layer fired more than its spike capacity
    uint8_t stage;   // of learning; 0: not learning
    uint8_t layer;   // that is being learned
    uint8_t summed;  // a convolution's sums are not all 0
} edge_net_t;

// Prepares a net and, in EDGE_LEARN, copies the image's weights into RAM. The model is copied too.
//
// weights: edge_model_weights_size bytes, 8-byte aligned; NULL in EDGE_INFER, where weights are read from the
// image. To run a learned net without learning, use EDGE_LEARN and never call learn_begin, or pass the
// learned weights in EDGE_INFER: non-NULL weights are then used as they are. arena: size >=
// edge_model_arena_size(m, mode), 8-byte aligned.
// Returns 0, EDGE_ERR_ARGUMENT, EDGE_ERR_ALIGN, EDGE_ERR_MEMORY, or EDGE_ERR_MODE for EDGE_LEARN with an
// image that learns nothing; on an error the net is unusable.
int edge_net_init(edge_net_t *n, const edge_model_t *m, void *weights, void *arena, size_t size,
                  edge_mode_t mode);

// Starts a window: every membrane 0, as if every neuron had just fired.
//
// Returns 0 or EDGE_ERR_BUSY.
int edge_net_begin(edge_net_t *n);

// One time step.
//
// input: spikes: bit j % 8 of byte j / 8 is input j, ceil(inputs / 8) bytes, further bits ignored;
// frames: int8[inputs]; static: int8[inputs] at the window's first step, ignored (may be NULL) afterwards. No
// alignment. A step after a complete window starts the next, as edge_net_begin would.
// Returns 0, EDGE_ERR_ARGUMENT or EDGE_ERR_BUSY.
int edge_net_step(edge_net_t *n, const void *input);

// Steps taken in the current window; 0 again when it has been learned. Returns 0 .. edge_model_window.
uint32_t edge_net_steps(const edge_net_t *n);

// The class of the window so far.
//
// confidence, if not NULL, receives the probability of that class, 0 .. 32768 (Q15).
// Returns a class index, EDGE_ERR_WINDOW before the first step, or EDGE_ERR_BUSY.
int edge_net_predict(const edge_net_t *n, int32_t *confidence);

// The scores of the window so far: sums of a linear readout or spike counts, |score| < 2^30.
//
// scores: int32[edge_net_classes]. Returns 0, EDGE_ERR_ARGUMENT, EDGE_ERR_WINDOW before the first step, or
// EDGE_ERR_BUSY.
int edge_net_scores(const edge_net_t *n, int32_t *scores);

// Log likelihood of a class for the window so far, unit 1/64 bit, <= 0 and at least -65535
// (docs/arithmetic.md 2.6).
//
// label: a class index in [0, edge_net_classes). likelihood: receives it.
// Returns 0, EDGE_ERR_ARGUMENT, EDGE_ERR_LABEL, EDGE_ERR_WINDOW or EDGE_ERR_BUSY.
int edge_net_likelihood(const edge_net_t *n, int32_t label, int32_t *likelihood);

/// Learning ///

// Starts learning from the window just seen.
//
// One MPD-ED update (docs/arithmetic.md section 3) of every layer that the image marks as learning. The
// window must be complete. Nothing is learned yet: edge_net_learn_run does the work in bounded slices.
// The errors of the scores are computed here, about edge_model_window times classes units of work.
// label is a class index in [0, edge_net_classes).
// Returns 0, EDGE_ERR_LABEL, EDGE_ERR_WINDOW, EDGE_ERR_MODE, EDGE_ERR_BUSY or EDGE_ERR_CAPACITY; on an error
// no weight has changed.
int edge_net_learn_begin(edge_net_t *n, int32_t label);

// Does part of the update.
//
// budget bounds the synapses visited in this call, about one unit each; at least one row of a tile is done,
// so every budget ends and gives the same bits. Until it is finished, every other call that needs the window
// or the weights answers EDGE_ERR_BUSY; then the window is used up, and predict and scores answer
// EDGE_ERR_WINDOW until the next step.
// Returns 1 (call again), 0 (the update is complete and counted), or EDGE_ERR_ARGUMENT without a learn_begin.
int edge_net_learn_run(edge_net_t *n, uint32_t budget);

// Halves the learning rate `decay` times from now on. decay is 0 .. 15.
//
// Returns 0, EDGE_ERR_ARGUMENT or EDGE_ERR_BUSY.
int edge_net_rate_decay(edge_net_t *n, uint32_t decay);

// Updates completed, modulo 2^32. Returns the number.
uint32_t edge_net_updates(const edge_net_t *n);

/// Classes: the image's, and those added since ///

// Classes of the net. Returns 2 .. 256.
uint32_t edge_net_classes(const edge_net_t *n);

// Makes the next spare row of the readout a class, which labels may name from now on. It is part of the
// saved state, and only loading another takes it back. The window under way is dropped.
//
// Returns the index of the new class, EDGE_ERR_SPARE, EDGE_ERR_MODE or EDGE_ERR_BUSY.
int edge_net_add_class(edge_net_t *n);

/// State: what learning changed, as bytes that survive ///

// Bytes of a saved state: header, weights and carry in canonical order, CRC-32 (docs/image.md section 6).
// Returns a multiple of 8.
size_t edge_net_state_size(const edge_net_t *n);

// Writes the state. Same state, same bytes, on every machine.
//
// state: size bytes, at least edge_net_state_size, of any alignment.
// Returns the bytes written, EDGE_ERR_MEMORY, EDGE_ERR_MODE or EDGE_ERR_BUSY.
int edge_net_save(const edge_net_t *n, void *state, size_t size);

// Reads a state that edge_net_save wrote for the same image. Learning then goes on exactly as if it had never
// stopped. The window under way is dropped: the next step starts another.
//
// Returns 0, EDGE_ERR_STATE, EDGE_ERR_MODE or EDGE_ERR_BUSY; on an error the net is unchanged.
int edge_net_load(edge_net_t *n, const void *state, size_t size);

/// Statistics ///

// Exact counts, modulo 2^32.
typedef struct edge_stats {
    uint32_t spikes_in;     // input spikes (frames: values that are not zero; static: those, once a window)
    uint32_t spikes_out;    // output spikes
    uint32_t forward_sops;  // weights added by inference: spikes_in times fan_out
    uint32_t error_sops;    // weights read to bring errors down into the layer
    uint32_t update_sops;   // eps values added into weight sums
    uint32_t moved;         // weights (with carry: weights or their carry) that changed
} edge_stats_t;

// Counts into the caller's memory from now on, starting at zero; NULL stops counting, as after edge_net_init.
//
// counts: edge_model_layers entries that outlive the net.
// Returns 0, or EDGE_ERR_ARGUMENT in a runtime built with EDGE_NO_STATS unless counts is NULL.
int edge_net_count(edge_net_t *n, edge_stats_t *counts);

// Counts of one layer, 0 .. edge_model_layers - 1, into stats. Returns 0, or EDGE_ERR_ARGUMENT if the layer
// is out of range or nothing is counted.
int edge_net_stats(const edge_net_t *n, uint32_t layer, edge_stats_t *stats);

// Sets all counts to zero. Returns nothing.
void edge_net_stats_clear(edge_net_t *n);

#ifdef __cplusplus
}
#endif
#endif
