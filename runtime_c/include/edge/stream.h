// Raw samples in, windows out: encoders, overlapping live windows, and the alignment to the wearer.
// SPDX-License-Identifier: Apache-2.0
//
// Arithmetic: docs/arithmetic.md section 4. One producer (an interrupt) may call edge_stream_push while one
// consumer calls the rest. That needs 16-bit loads and stores that are whole, and a producer and consumer on
// the same core (or memory ordered between them).
#ifndef EDGE_STREAM_H
#define EDGE_STREAM_H

#include "edge/edge.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Alignment: where the electrodes sit today ///

#define EDGE_MAX_CHANNELS 64

typedef struct edge_alignment {
    int8_t rotation;                 // quarter electrodes
    int8_t gain[EDGE_MAX_CHANNELS];  // of each channel, 1/32 octave
} edge_alignment_t;

/// Stream ///

// How the image encodes (docs/image.md section 3), with sizes worked out. Private to the runtime.
typedef struct edge_encoder {
    const uint8_t *gains;    // initial gains, or NULL
    const uint8_t *profile;  // mean levels, classes x channels, or NULL
    uint16_t hop, stride;
    int16_t centre[2];
    uint16_t row_size;    // int8 values of a step, before alignment
    uint16_t input_size;  // bytes of a step for edge_net_step
    uint8_t kind, channels, window, shift, mode;
    uint8_t levels, level_width, threshold, span, penalty, gain_limit;
    int8_t level_low, rotation;
} edge_encoder_t;

typedef struct edge_stream {
    // Private to the runtime; fixed size, no allocation. Do not rely on the contents.
    edge_net_t *net;
    edge_encoder_t encoder;
    edge_alignment_t alignment;
    volatile int16_t *ring;  // samples x channels
    uint16_t mask;           // samples - 1
    volatile uint16_t head;  // samples pushed, modulo 2^16: only the producer writes it
    volatile uint16_t tail;  // samples taken: only the consumer writes it
    volatile uint32_t lost;  // only the producer writes it
    int16_t *previous;       // last sample
    uint32_t *sums;          // of the last hops: hops x (|x|, |x - previous|) x channels
    int8_t *rows;            // the last T steps, a circle
    int8_t *references;      // of send on delta, within a window
    uint8_t *input;          // one coded step
    uint32_t row;            // where the next step goes, 0 .. T - 1
    uint32_t due;            // steps until the next window is complete
    uint16_t in_hop;         // samples of the current hop
    uint8_t hops;            // hops in the sums, up to K
    uint8_t slot;            // of the current hop's sums
    uint8_t started;         // a sample was seen
    uint8_t complete;        // rows hold the window that was run last
} edge_stream_t;

// Bytes a stream needs for a ring of `samples` raw samples (all channels each) and the rows of one window.
//
// samples is a power of two, 2 .. 32768. A ring that holds the samples of one whole update never loses one.
// Returns a multiple of 8, or 0 if the image has no encoder or samples is out of range.
size_t edge_stream_size(const edge_model_t *m, uint32_t samples);

// Prepares a stream over a net, with the alignment of the image.
//
// memory: edge_stream_size bytes, 8-byte aligned.
// Returns 0, EDGE_ERR_ARGUMENT, EDGE_ERR_ALIGN, EDGE_ERR_MEMORY or EDGE_ERR_ENCODER.
int edge_stream_init(edge_stream_t *s, edge_net_t *n, void *memory, size_t size, uint32_t samples);

// Channels of a sample: those of the image's encoder. Firmware that takes images over the link compares them
// with its sensor's before it pushes. Returns 1 .. EDGE_MAX_CHANNELS.
uint32_t edge_stream_channels(const edge_stream_t *s);

// Puts one raw sample into the ring. Safe from an interrupt.
//
// sample: int16[edge_stream_channels], in the units and at the rate of the recordings that the image was
// trained on.
// Returns 0, or EDGE_ERR_OVERRUN if the ring was full: the sample is lost and counted.
int edge_stream_push(edge_stream_t *s, const int16_t *sample);

// Encodes what is in the ring and, when a window is due, runs it through the net.
//
// Windows of T steps (edge_model_window), a new one every `stride` steps (of the image), each from its own
// start. The first is due after T steps. After 1, the net holds a complete window: edge_net_predict and
// edge_net_learn_begin apply to it. While the net learns, samples wait in the ring.
// Returns 1 (a window is complete), 0 (not yet), or EDGE_ERR_BUSY (the net is learning; nothing was
// consumed).
int edge_stream_poll(edge_stream_t *s);

// Forgets samples, rows and encoder state, as for a new recording; keeps the alignment.
//
// Returns nothing.
void edge_stream_reset(edge_stream_t *s);

// Samples in the ring. Returns 0 .. the ring's size.
uint32_t edge_stream_waiting(const edge_stream_t *s);

// Samples that the ring still takes. Returns 0 .. the ring's size.
uint32_t edge_stream_room(const edge_stream_t *s);

// Samples lost since edge_stream_init, modulo 2^32. Returns the number.
uint32_t edge_stream_lost(const edge_stream_t *s);

/// Kept windows ///

// Bytes of a kept window: its T steps of rows, before alignment. Returns the size, or 0 if the image has no
// encoder.
size_t edge_stream_window_size(const edge_model_t *m);

// Copies the rows of the window that edge_stream_poll just completed.
//
// rows: edge_stream_window_size bytes. Returns 0, EDGE_ERR_WINDOW or EDGE_ERR_MEMORY.
int edge_stream_keep(const edge_stream_t *s, void *rows, size_t size);

// Runs a kept window through the net with the stream's alignment; predict and learn then apply to it.
//
// Returns 0, EDGE_ERR_ARGUMENT, EDGE_ERR_BUSY or EDGE_ERR_MEMORY.
int edge_stream_replay(edge_stream_t *s, const void *rows, size_t size);

/// Fitting the alignment: forward passes only (docs/arithmetic.md 4.5) ///

typedef struct edge_fit {
    // Private to the runtime; fixed size, no allocation. Do not rely on the contents.
    edge_stream_t *stream;
    const uint8_t *rows;
    const uint8_t *labels;
    uint32_t windows;
    uint32_t window;     // the next one of this candidate
    uint16_t candidate;  // 0 .. 2 span: rotations; then measuring levels; then the gains
    uint8_t repetitions;
    uint8_t phase;
    int8_t rotation;  // best so far
    int32_t best;     // its score
    int32_t score;    // of the candidate so far
    edge_alignment_t tried;
    int32_t delta[EDGE_MAX_CHANNELS];  // profile minus level, summed over windows
} edge_fit_t;

// Starts a fit from `windows` kept windows, end to end in rows, with their labels.
//
// repetitions: labelled repetitions of each class, 1 .. 255. windows: 1 .. 65535. rows and labels stay
// unchanged until the fit is done. Labels are classes in [0, edge_net_classes); those that were added have no
// profile, so their windows count for the rotation and in the judging of the gains, not in their making.
// Returns 0, EDGE_ERR_ARGUMENT or EDGE_ERR_LABEL.
int edge_fit_begin(edge_fit_t *f, edge_stream_t *s, const void *rows, const uint8_t *labels, uint32_t windows,
                   uint32_t repetitions);

// Runs one window with one candidate. When done, the stream has the fitted alignment; until then it keeps the
// old one.
//
// Returns 1 (call again), 0 (done) or EDGE_ERR_BUSY.
int edge_fit_run(edge_fit_t *f);

// The alignment in use. Returns a pointer valid as long as the stream.
const edge_alignment_t *edge_stream_alignment(const edge_stream_t *s);

// Sets the alignment, as after a restart; NULL: the image's own. It applies from the next window on.
//
// Returns nothing.
void edge_stream_align(edge_stream_t *s, const edge_alignment_t *alignment);

#ifdef __cplusplus
}
#endif
#endif
