// Kept windows: what the wearer labelled, in the bytes that are left; practised, judged by, and taken back.
// SPDX-License-Identifier: Apache-2.0
//
// A kept window is its label and its rows before alignment (edge_stream_window_size bytes). The caller owns
// the memory. Nothing here blocks for longer than one window takes, but for the bytes that a removed window
// moves.
#ifndef EDGE_KEPT_H
#define EDGE_KEPT_H

#include "edge/edge.h"
#include "edge/stream.h"

#ifdef __cplusplus
extern "C" {
#endif

#define EDGE_KEPT_MOST 65535  // windows

/// Memory ///

typedef struct edge_kept {
    uint8_t *labels;       // oldest window first
    uint8_t *rows;         // window_size bytes each; one more than the capacity, for undo
    uint32_t window_size;  // bytes of a window without its label
    uint32_t capacity;     // windows
    uint32_t count;
    uint32_t fresh;  // the newest so many have not been practised
    // Private: what edge_kept_undo takes back.
    uint32_t gone_at, fresh_before;
    uint8_t gone_label, added, replaced;
} edge_kept_t;

// Prepares an empty memory.
//
// memory: size bytes of any alignment. window_size: edge_stream_window_size; a window takes one byte more,
// and one window's room is kept for undo: k->capacity says how many fit. 0: the image has no encoder, and
// nothing can be kept. most: windows that there may be, at most EDGE_KEPT_MOST.
// Returns nothing.
void edge_kept_init(edge_kept_t *k, void *memory, size_t size, size_t window_size, uint32_t most);

// Forgets all windows. Returns nothing.
void edge_kept_clear(edge_kept_t *k);

/// Keeping ///

// Keeps the window that edge_stream_poll just completed as the newest.
//
// label: a class. Returns 0, EDGE_ERR_LABEL, EDGE_ERR_WINDOW, or EDGE_ERR_ROOM: there is no room for another.
int edge_kept_add(edge_kept_t *k, const edge_stream_t *s, uint32_t label);

// The same, and where there is no room the oldest window of the class that has most (of several such, the
// label's own, else the lowest) goes.
//
// Returns 0, EDGE_ERR_LABEL, EDGE_ERR_WINDOW, or EDGE_ERR_ROOM: there is no room for any.
int edge_kept_remember(edge_kept_t *k, const edge_stream_t *s, uint32_t label);

// Takes the last keeping back, once: its window goes, and one that had made room is where it was.
//
// Returns 0 or EDGE_ERR_EMPTY: nothing to take back.
int edge_kept_undo(edge_kept_t *k);

// Runs a kept window through the stream's net.
//
// Returns 1: the net sees its label, 0: another class, or what edge_stream_replay returns.
int edge_kept_judge(const edge_kept_t *k, edge_stream_t *s, uint32_t window);

/// Practice: several passes over new and old windows ///

typedef struct edge_practice {
    // Private; fixed size.
    edge_kept_t *kept;
    edge_stream_t *stream;
    uint32_t at, start, stride, count;
    uint8_t passes, pass, share, halvings, decay;
    uint8_t old_next;
} edge_practice_t;

// Starts learning the fresh windows (all, where none is fresh) in `passes` passes, 1 .. 255 (docs/link.md
// section 6 has the order).
//
// share: old windows learned for each fresh one, in sixteenths, 0 .. 16, drawn at random. halvings: of the
// learning rate, 0 .. 15, spread over the passes.
// Returns 0, EDGE_ERR_ARGUMENT, EDGE_ERR_WINDOW (nothing is kept), EDGE_ERR_MODE or EDGE_ERR_BUSY.
int edge_practice_begin(edge_practice_t *p, edge_kept_t *k, edge_stream_t *s, uint32_t passes, uint32_t share,
                        uint32_t halvings);

// Does part of it, as edge_net_learn_run. A window with more spikes than learning can hold, or of a class
// that is gone, is passed over.
//
// At the end no window is fresh and the rate is what it was.
// Returns 1 (call again), 0 (done), or an error.
int edge_practice_run(edge_practice_t *p, uint32_t budget);

#ifdef __cplusplus
}
#endif
#endif
