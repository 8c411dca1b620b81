// Kept windows: balanced by class, practised in passes, each keeping taken back once (docs/link.md section 6).
// SPDX-License-Identifier: Apache-2.0
#include "edge/kept.h"

#include <string.h>

#include "kernels/kernels.h"
#include "model.h"

/// Memory ///

void edge_kept_init(edge_kept_t *k, void *memory, size_t size, size_t window_size, uint32_t most) {
    memset(k, 0, sizeof *k);
    if (!window_size || size < window_size) return;
    const size_t fit = (size - window_size) / (window_size + 1);
    k->capacity = fit < most ? (uint32_t)fit : most;
    k->window_size = (uint32_t)window_size;
    k->labels = (uint8_t *)memory;
    k->rows = k->labels + k->capacity;
}

void edge_kept_clear(edge_kept_t *k) { k->count = k->fresh = k->added = 0; }

static uint8_t *rows_of(const edge_kept_t *k, uint32_t window) {
    return k->rows + (size_t)window * k->window_size;
}

// Moves the windows from `from` on by one place, to `to`, which is from + 1 or from - 1.
static void move(edge_kept_t *k, uint32_t to, uint32_t from) {
    const size_t windows = k->count - from;
    memmove(k->labels + to, k->labels + from, windows);
    memmove(rows_of(k, to), rows_of(k, from), windows * k->window_size);
}

/// Keeping ///

int edge_kept_add(edge_kept_t *k, const edge_stream_t *s, uint32_t label) {
    if (label >= edge_net_classes(s->net)) return EDGE_ERR_LABEL;
    if (k->count == k->capacity) return EDGE_ERR_ROOM;
    const int error = edge_stream_keep(s, rows_of(k, k->count), k->window_size);
    if (error) return error;
    k->labels[k->count++] = (uint8_t)label;
    k->fresh_before = k->fresh++;
    k->added = 1;
    k->replaced = 0;
    return 0;
}

// The class that has most windows once one more of `label` is there, among those that have any now.
static uint32_t fullest_class(const edge_kept_t *k, uint32_t label) {
    uint32_t most = 0, fullest = label;
    for (uint32_t c = 0; c < 256; c++) {
        uint32_t n = 0;
        for (uint32_t i = 0; i < k->count; i++) n += k->labels[i] == c;
        if (!n) continue;
        if (c == label) n++;
        if (n > most || (n == most && c == label)) {
            most = n;
            fullest = c;
        }
    }
    return fullest;
}

int edge_kept_remember(edge_kept_t *k, const edge_stream_t *s, uint32_t label) {
    if (k->count < k->capacity) return edge_kept_add(k, s, label);
    if (label >= edge_net_classes(s->net)) return EDGE_ERR_LABEL;
    if (!k->capacity) return EDGE_ERR_ROOM;
    if (!s->complete) return EDGE_ERR_WINDOW;
    const uint32_t goes = fullest_class(k, label), fresh = k->fresh;
    uint32_t at = 0;
    while (k->labels[at] != goes) at++;
    const uint8_t gone_label = k->labels[at];
    memcpy(rows_of(k, k->capacity), rows_of(k, at), k->window_size);
    if (at >= k->count - k->fresh) k->fresh--;
    move(k, at, at + 1);
    k->count--;
    (void)edge_kept_add(k, s, label);
    k->fresh_before = fresh;
    k->gone_at = at;
    k->gone_label = gone_label;
    k->replaced = 1;
    return 0;
}

int edge_kept_undo(edge_kept_t *k) {
    if (!k->added) return EDGE_ERR_EMPTY;
    k->added = 0;
    k->count--;
    // What was practised since stays practised.
    if (k->fresh) k->fresh = k->fresh_before;
    if (!k->replaced) return 0;
    move(k, k->gone_at + 1, k->gone_at);
    k->labels[k->gone_at] = k->gone_label;
    memcpy(rows_of(k, k->gone_at), rows_of(k, k->capacity), k->window_size);
    k->count++;
    return 0;
}

static int replay(const edge_kept_t *k, edge_stream_t *s, uint32_t window) {
    return edge_stream_replay(s, rows_of(k, window), k->window_size);
}

int edge_kept_judge(const edge_kept_t *k, edge_stream_t *s, uint32_t window) {
    const int error = replay(k, s, window);
    return error ? error : edge_net_predict(s->net, NULL) == k->labels[window];
}

/// Practice ///

// A number that follows from the image and the updates made, so that what is resumed draws the same.
static uint32_t draw(const edge_practice_t *p, uint32_t salt) {
    const edge_net_t *n = p->stream->net;
    return edge_hash(edge_model_objective(&n->model).seed ^ edge_hash(edge_net_updates(n) + salt));
}

static uint32_t common_divisor(uint32_t a, uint32_t b) {
    while (b) {
        const uint32_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static int begin_pass(edge_practice_t *p) {
    const uint32_t r = draw(p, 1);
    p->at = 0;
    p->start = r % p->count;
    p->stride = 1 + (r >> 16) % p->count;
    while (common_divisor(p->stride, p->count) != 1) p->stride++;
    const uint32_t decay = p->decay + (uint32_t)p->halvings * p->pass / p->passes;
    return edge_net_rate_decay(p->stream->net, decay < 15 ? decay : 15);
}

// Starts the next window. Returns 1, or 0 at the end.
static int next_window(edge_practice_t *p) {
    const edge_kept_t *k = p->kept;
    for (;;) {
        const uint32_t old = k->count - p->count;
        uint32_t window;
        if (p->old_next) {
            p->old_next = 0;
            const uint32_t r = draw(p, 2);
            if (!old || (r & 15) >= p->share) continue;
            window = (r >> 4) % old;
        } else {
            if (p->at == p->count) {
                if (++p->pass == p->passes) return 0;
                (void)begin_pass(p);
            }
            window = old + (p->start + p->at++ * p->stride) % p->count;
            p->old_next = 1;
        }
        int error = replay(k, p->stream, window);
        if (!error) error = edge_net_learn_begin(p->stream->net, k->labels[window]);
        // A window of a class that a rollback took away cannot be learned either.
        if (error != EDGE_ERR_CAPACITY && error != EDGE_ERR_LABEL) return error ? error : 1;
    }
}

int edge_practice_begin(edge_practice_t *p, edge_kept_t *k, edge_stream_t *s, uint32_t passes, uint32_t share,
                        uint32_t halvings) {
    if (passes < 1 || passes > 255 || share > 16 || halvings > 15) return EDGE_ERR_ARGUMENT;
    if (!k->count) return EDGE_ERR_WINDOW;
    if (s->net->mode != EDGE_LEARN) return EDGE_ERR_MODE;
    p->kept = k;
    p->stream = s;
    p->count = k->fresh ? k->fresh : k->count;
    p->passes = (uint8_t)passes;
    p->pass = 0;
    p->share = (uint8_t)share;
    p->halvings = (uint8_t)halvings;
    p->decay = s->net->rate_decay;
    p->old_next = 0;
    return begin_pass(p);
}

int edge_practice_run(edge_practice_t *p, uint32_t budget) {
    edge_net_t *n = p->stream->net;
    if (n->stage && edge_net_learn_run(n, budget)) return 1;
    const int more = next_window(p);
    if (more == 1) return 1;
    p->kept->fresh = 0;
    (void)edge_net_rate_decay(n, p->decay);
    return more;
}
