// Raw samples to rows to network inputs: the stages of docs/arithmetic.md section 4.
// SPDX-License-Identifier: Apache-2.0
#ifndef EDGE_ENCODE_H
#define EDGE_ENCODE_H

#include "edge/stream.h"

enum {
    ENCODE_DIFFERENCE = 1,
    ENCODE_DELTA = 2,
    ENCODE_LOG_FRAMES = 3,
    ENCODE_LOG_SPIKES = 4,
    ENCODE_DIRECT = 5
};

// Whether rows are logarithms. Returns 1 or 0.
int edge_encoder_is_log(const edge_encoder_t *e);

// Reads the encoder block of an opened image. Returns 0 or EDGE_ERR_ENCODER.
int edge_encoder_read(edge_encoder_t *e, const edge_model_t *m);

// Bytes of the measuring state: previous sample and sums of hops. Returns a multiple of 8.
size_t edge_encoder_state_size(const edge_encoder_t *e);

// Forgets what was measured.
void edge_measure_begin(edge_stream_t *s);

// Takes one raw sample. row: where the step's row is being written, encoder.row_size values.
//
// Returns 1 when the row is complete, else 0.
int edge_measure(edge_stream_t *s, const volatile int16_t *sample, int8_t *row);

// One block of C values, rotated and with gains. aligned: int8[C].
void edge_align(const edge_encoder_t *e, const edge_alignment_t *a, const int8_t *block, int8_t *aligned);

// One step's row as the network's input, in s->input. first: the window's first step.
void edge_code(edge_stream_t *s, const edge_alignment_t *a, const int8_t *row, int first);

// Runs T rows, a circle of T steps that starts at step `start`, through the net. Returns 0 or EDGE_ERR_BUSY.
int edge_stream_window(edge_stream_t *s, const edge_alignment_t *a, const int8_t *rows, uint32_t start);

#endif
