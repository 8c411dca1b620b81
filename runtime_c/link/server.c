// The board's end of the link: checks a request, carries it out once, remembers the response (docs/link.md).
// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "bytes.h"
#include "crc32.h"
#include "frame.h"
#include "net.h"

enum {
    IDLE = 1,
    LEARNING = 2,
    FITTING = 3,
    LOADING = 4,
    TRYING = 5
};  // as in the response to STATUS; 0: no model

enum { STATE_HEADER = 24, ALIGNMENT = 65, BANK_ALIGNMENT = 72 };

// Newest version of the protocol that this build speaks.
#ifdef EDGE_LINK_SMALL
#define SPOKEN 1
#else
#define SPOKEN EDGE_LINK_PROTOCOL
#endif

#define NOT_COMMITTED UINT32_MAX
#define UNKNOWN_WEAR UINT32_MAX

enum { WHAT_STATE = 1, WHAT_ALIGNMENT = 2 };

enum { RESET_STREAM = 1, RESET_KEPT = 2, RESET_STATISTICS = 4, RESET_LEARNING = 8 };

enum { PUSH_WINDOW = 1, PUSH_WAITING = 2 };

enum { CONFIRMED = 1, REVERTED = 2 };  // verdicts of TRY

enum { UNDONE_LEARNING = 1, UNDONE_WINDOW = 2 };

// A request's payload and the response's, while a command is carried out.
typedef struct edge_call {
    const uint8_t *in;
    uint32_t n;
    uint8_t *out;
    uint32_t out_n;
    uint32_t room;
} edge_call_t;

static void put16(edge_call_t *c, uint32_t v) {
    edge_store16(c->out + c->out_n, (uint16_t)v);
    c->out_n += 2;
}

static void put32(edge_call_t *c, uint32_t v) {
    edge_store32(c->out + c->out_n, v);
    c->out_n += 4;
}

static uint32_t smaller(uint32_t a, uint32_t b) { return a < b ? a : b; }

/// Model and memory ///

// Goes on in slices from a start (1: there is more; 0, or an error: it is over).
static EDGE_ALONE void begin_activity(edge_link_t *l, uint8_t activity, int start) {
    l->practising = 0;
    l->activity = start == 1 ? activity : IDLE;
    l->result = (int8_t)(start == 1 ? 0 : start);
    l->stepping = 0;
}

static void close_model(edge_link_t *l) {
    l->has_model = l->has_stream = l->has_commit = l->has_undo = l->verdict = 0;
    begin_activity(l, IDLE, 0);
    l->windows = 0;
    edge_kept_init(&l->kept, NULL, 0, 0, 0);
}

// Weights, rate, counts and alignment of the image.
static int start_net(edge_link_t *l) {
    uint8_t *weights = l->state_size ? l->state + STATE_HEADER : NULL;
    const int error = edge_net_init(&l->net, &l->model, weights, l->arena, l->arena_size,
                                    l->state_size ? EDGE_LEARN : EDGE_INFER);
    if (error) return error;
    (void)edge_net_count(&l->net, l->counts);
    if (l->has_stream) edge_stream_align(&l->stream, NULL);
    l->stepping = l->has_undo = 0;
    return 0;
}

static edge_bank_facts_t bank_facts(const edge_link_t *l) {
    edge_bank_facts_t facts = {0, 0, 0, 0, 0};
    if (l->config.bank) l->config.bank->facts(l->config.bank->context, &l->net, &facts);
    return facts;
}

// Sizes of a model's work memory.
typedef struct edge_needs {
    size_t state, arena, ring, counts, bank, undo, window, total;
} edge_needs_t;

static edge_needs_t plan(const edge_link_t *l, uint32_t ring) {
    edge_needs_t needs;
    const edge_model_t *m = &l->model;
    const size_t weights = edge_model_weights_size(m);
    needs.state = weights ? weights + STATE_HEADER : 0;
    needs.arena = edge_model_arena_size(m, weights ? EDGE_LEARN : EDGE_INFER);
    needs.ring = edge_stream_size(m, ring);
    needs.counts = edge_model_layers(m) * sizeof(edge_stats_t);
    needs.total = needs.state + needs.arena + needs.ring + needs.counts;
    needs.window = edge_stream_window_size(m);
    needs.bank = l->config.bank ? 0 : needs.state + (needs.window ? BANK_ALIGNMENT : 0);
    if (needs.total + needs.bank > l->config.work_size) needs.bank = 0;
    // Undo takes no more than a half of what windows could be kept in.
    needs.undo = needs.state;
    if (needs.total + needs.bank + 2 * needs.undo > l->config.work_size) needs.undo = 0;
    return needs;
}

// Opens the image of the transfer. needs: filled if the image is valid.
static int open_model(edge_link_t *l, uint32_t ring, edge_needs_t *needs) {
    close_model(l);
    int error = edge_model_open(&l->model, l->image_at, l->image_length);
    if (error) return error;
    *needs = plan(l, ring);
    if (needs->window && needs->ring == 0) return EDGE_ERR_ARGUMENT;
    if (needs->total > l->config.work_size) return EDGE_ERR_MEMORY;

    uint8_t *at = l->config.work;
    l->state_size = (uint32_t)needs->state;
    l->arena_size = (uint32_t)needs->arena;
    l->state = at;
    l->arena = at += needs->state;
    uint8_t *ring_at = at += needs->arena;
    l->counts = (edge_stats_t *)(void *)(at += needs->ring);
    at += needs->counts;
    l->bank = needs->bank ? at : NULL;
    at += needs->bank;
    l->undo = needs->undo ? at : NULL;
    at += needs->undo;

    error = start_net(l);
    if (!error && needs->window) {
        error = edge_stream_init(&l->stream, &l->net, ring_at, needs->ring, ring);
        l->has_stream = !error;
    }
    if (error) return error;
    l->has_model = 1;
    // All that is kept is committed with the rest; where the bank has no room for a single window, none is.
    const edge_bank_facts_t facts = bank_facts(l);
    const uint32_t fit = needs->window ? facts.room / (uint32_t)(needs->window + 1) : 0;
    const uint32_t most = fit && fit < EDGE_KEPT_MOST ? fit : EDGE_KEPT_MOST;
    l->bank_keeps = fit != 0;
    l->has_commit = facts.sequence != 0;
    l->committed = facts.updates;
    edge_kept_init(&l->kept, at, (size_t)(l->config.work + l->config.work_size - at), needs->window, most);
    return 0;
}

// The last commit (trial 0) or what is on trial, from the bank that the firmware gave; else the weights and alignment of the image.
static int load_bank(edge_link_t *l, edge_kept_t *kept, int trial) {
    edge_alignment_t alignment;
    const edge_bank_port_t *bank = l->config.bank;
    const int error = bank->load(bank->context, &l->net, &alignment, kept, trial);
    if (error == EDGE_LINK_ERR_BANK) return start_net(l);
    if (!error && l->has_stream) edge_stream_align(&l->stream, &alignment);
    l->stepping = l->has_undo = 0;
    return error;
}

int edge_link_open(edge_link_t *l, const void *image, size_t size) {
    edge_needs_t needs;
    l->image_at = image;
    l->image_length = l->image_have = (uint32_t)size;
    l->image_crc = edge_crc32(0, image, size);
    const int error = open_model(l, l->config.ring, &needs);
    if (error)
        l->image_length = l->image_have = 0;
    else if (l->has_commit)
        l->result = (int8_t)load_bank(l, &l->kept, 0);
    return error;
}

/// Commands: each checks all of its request before it changes anything, but for what check_shape has checked ///

static int need_model(const edge_link_t *l) {
    if (!l->has_model) return EDGE_LINK_ERR_NO_MODEL;
    if (l->activity == LOADING) return EDGE_LINK_ERR_LOADING;
    return l->activity == IDLE ? 0 : EDGE_ERR_BUSY;
}

static int need_stream(const edge_link_t *l) {
    const int error = need_model(l);
    if (error) return error;
    return l->has_stream ? 0 : EDGE_ERR_ENCODER;
}

static int hello(edge_link_t *l, edge_call_t *c) {
    const edge_link_guard_t *guard = l->config.guard;
    c->out[0] = c->in[0];
    c->out[1] = (uint8_t)(l->has_model | (l->has_model && l->state_size) << 1 | l->has_stream << 2 |
                          (guard != NULL) << 3);
    c->out_n = 2;
    put16(c, c->room);
    put32(c, edge_version());
    put32(c, EDGE_IMAGE_VERSION);
    put32(c, (uint32_t)l->config.image_size);
    put32(c, (uint32_t)l->config.work_size);
    put32(c, l->has_model ? l->image_length : 0);
    put32(c, l->has_model ? l->image_crc : 0);
    put32(c, l->has_model ? 0 : l->image_have);
    put32(c, l->has_model ? edge_net_updates(&l->net) : 0);
    put16(c, l->has_stream ? l->stream.encoder.channels : 0);
    put16(c, 0);
    l->turns = 0;
    if (guard) {
        guard->challenge(guard->context, l->challenge);
        memcpy(c->out + c->out_n, l->challenge, EDGE_LINK_TAG);
        c->out_n += EDGE_LINK_TAG;
    }
    const char *name = l->config.board;
    while (*name && c->out_n < EDGE_LINK_MIN_PAYLOAD) c->out[c->out_n++] = (uint8_t)*name++;
    return 0;
}

static int status(const edge_link_t *l, edge_call_t *c) {
    c->out[0] = l->has_model ? l->activity : 0;
    c->out[1] = (uint8_t)l->result;
    c->out[2] = l->has_model ? l->net.rate_decay : 0;
    c->out[3] =
        l->has_model && l->activity == IDLE && edge_net_steps(&l->net) == edge_model_window(&l->model);
    c->out_n = 4;
    put32(c, l->has_model ? edge_net_updates(&l->net) : 0);
    put32(c, l->has_stream ? edge_stream_lost(&l->stream) : 0);
    put32(c, l->windows);
    put32(c, l->has_commit ? l->committed : NOT_COMMITTED);
    put32(c, edge_link_dropped(l));
    put16(c, l->kept.count);
    put16(c, l->kept.capacity);
    return 0;
}

static int reset(edge_link_t *l, const edge_call_t *c) {
    const uint32_t what = c->in[0];
    if (what > 15) return EDGE_ERR_ARGUMENT;
    if (what & RESET_LEARNING) (void)start_net(l);
    if (what & RESET_STREAM && l->has_stream) edge_stream_reset(&l->stream);
    if (what & RESET_KEPT) edge_kept_clear(&l->kept);
    if (what & RESET_STATISTICS) edge_net_stats_clear(&l->net);
    return 0;
}

static int image_begin(edge_link_t *l, edge_call_t *c) {
    const uint32_t length = edge_load32(c->in), crc = edge_load32(c->in + 4);
    if (length == 0 || length > l->config.image_size) return EDGE_LINK_ERR_SIZE;
    if (length != l->image_length || crc != l->image_crc) {
        close_model(l);
        l->image_at = l->config.image;
        l->image_length = length;
        l->image_crc = crc;
        l->image_have = 0;
    }
    put32(c, l->image_have);
    return 0;
}

// Programs n bytes of an image behind those there are; each sector is erased when its first byte comes.
static int program_image(edge_link_t *l, const uint8_t *bytes, uint32_t n) {
    const edge_flash_t *f = l->config.image_flash;
    for (uint32_t at = l->image_have, end = at + n; at < end;) {
        const uint32_t inside = at % f->sector_size, left = f->sector_size - inside;
        const uint32_t part = end - at < left ? end - at : left;
        if (inside == 0 && f->erase(f->context, at)) return EDGE_ERR_FLASH;
        if (f->program(f->context, at, bytes, part)) return EDGE_ERR_FLASH;
        at += part;
        bytes += part;
    }
    return f->sync && f->sync(f->context) ? EDGE_ERR_FLASH : 0;
}

// Of a chunk for flash, whole units are taken; the answer tells the host where to go on.
static int image_chunk(edge_link_t *l, edge_call_t *c) {
    const edge_flash_t *f = l->config.image_flash;
    const uint32_t left = l->image_length - l->image_have;
    uint32_t n = c->n - 4;
    int status = edge_load32(c->in) == l->image_have && n <= left ? 0 : EDGE_LINK_ERR_OFFSET;
    if (f && n < left) n -= n % f->unit;
    if (status == 0 && f) status = program_image(l, c->in + 4, n);
    if (status == 0 && !f) memcpy(l->config.image + l->image_have, c->in + 4, n);
    if (status == 0) l->image_have += n;
    if (status == EDGE_ERR_FLASH) l->image_length = l->image_have = 0;
    put32(c, l->image_have);
    return status;
}

static int image_end(edge_link_t *l, edge_call_t *c) {
    if (l->image_length == 0 || l->image_have < l->image_length) return EDGE_LINK_ERR_INCOMPLETE;
    if (edge_crc32(0, l->image_at, l->image_length) != l->image_crc) {
        close_model(l);
        l->image_length = l->image_have = 0;
        return EDGE_LINK_ERR_DAMAGED;
    }
    edge_needs_t needs = {0};
    const uint32_t ring = edge_load16(c->in);
    const int error = open_model(l, ring ? ring : l->config.ring, &needs);
    if (error && error != EDGE_ERR_MEMORY) return error;
    put32(c, (uint32_t)l->config.work_size);
    put32(c, (uint32_t)needs.total);
    put32(c, (uint32_t)needs.state);
    put32(c, (uint32_t)needs.arena);
    put32(c, (uint32_t)needs.ring);
    put32(c, (uint32_t)needs.counts);
    put32(c, (uint32_t)needs.bank);
    put32(c, (uint32_t)needs.window);
    put32(c, l->kept.capacity);
    return error;
}

// Writes class, one more byte and confidence of the window so far.
static void put_prediction(const edge_link_t *l, edge_call_t *c, uint8_t more) {
    int32_t confidence = 0;
    const int predicted = edge_net_predict(&l->net, &confidence);
    c->out[c->out_n++] = (uint8_t)(predicted < 0 ? 0 : predicted);
    c->out[c->out_n++] = more;
    put16(c, (uint32_t)confidence);
}

static int infer(edge_link_t *l, edge_call_t *c) {
    int error = 0;
    const edge_input_t kind = edge_model_input_kind(&l->model);
    const uint32_t inputs = edge_model_inputs(&l->model), steps = edge_load16(c->in + 2), begin = c->in[0];
    const uint32_t size = kind == EDGE_INPUT_SPIKES ? (inputs + 7) / 8 : inputs;
    const uint32_t given = kind == EDGE_INPUT_STATIC ? begin : steps;
    if (begin > 1) return EDGE_ERR_ARGUMENT;
    if (!begin && !l->stepping) return EDGE_ERR_WINDOW;
    if (steps == 0 || steps > edge_model_window(&l->model) - (begin ? 0 : edge_net_steps(&l->net)))
        return EDGE_ERR_ARGUMENT;
    if (c->n != 4 + given * size) return EDGE_LINK_ERR_LENGTH;

    if (begin) error = edge_net_begin(&l->net);
    const uint8_t *input = c->in + 4;
    for (uint32_t t = 0; t < steps && !error; t++) {
        error = edge_net_step(&l->net, input);
        if (kind != EDGE_INPUT_STATIC) input += size;
    }
    l->stepping = 1;
    put16(c, edge_net_steps(&l->net));
    put_prediction(l, c, 0);
    return error;
}

static int push(edge_link_t *l, edge_call_t *c) {
    int16_t sample[EDGE_MAX_CHANNELS];
    const int error = need_stream(l);
    if (error && error != EDGE_ERR_BUSY) return error;
    if (!l->has_stream) return EDGE_ERR_ENCODER;
    edge_stream_t *s = &l->stream;
    const uint32_t channels = s->encoder.channels;
    if (c->n % (2 * channels)) return EDGE_LINK_ERR_LENGTH;

    const uint8_t *at = c->in, *end = c->in + c->n;
    int window = error ? 0 : edge_stream_poll(s);
    while (window != 1 && at < end && edge_stream_room(s) > 0) {
        for (uint32_t i = 0; i < channels; i++) sample[i] = edge_signed16(edge_load16(at + 2 * i));
        at += 2 * channels;
        (void)edge_stream_push(s, sample);
        if (!error) window = edge_stream_poll(s);
    }
    put16(c, (uint32_t)(at - c->in) / (2 * channels));
    put16(c, (window == 1 ? PUSH_WINDOW : 0) | (edge_stream_waiting(s) ? PUSH_WAITING : 0));
    if (window == 1) {
        l->windows++;
        l->stepping = 0;
        put_prediction(l, c, 0);
    } else {
        put32(c, 0);
    }
    put32(c, edge_stream_lost(s));
    return 0;
}

static int keep(edge_link_t *l, edge_call_t *c, int make_room) {
    if (!l->has_model) return EDGE_LINK_ERR_NO_MODEL;
    if (!l->has_stream) return EDGE_ERR_ENCODER;
    if (l->activity == TRYING || l->practising || (make_room && l->activity != IDLE)) return EDGE_ERR_BUSY;
#ifndef EDGE_LINK_SMALL
    const int error = make_room ? edge_kept_remember(&l->kept, &l->stream, c->in[0])
                                : edge_kept_add(&l->kept, &l->stream, c->in[0]);
#else
    const int error = edge_kept_add(&l->kept, &l->stream, c->in[0]);
#endif
    if (error) return error == EDGE_ERR_ROOM ? (int)EDGE_LINK_ERR_FULL : error;
    l->has_undo = 0;
    put16(c, l->kept.count);
    if (make_room) put16(c, l->kept.fresh);
    return 0;
}

static int replay(edge_link_t *l, edge_call_t *c) {
    const uint32_t window = edge_load16(c->in);
    if (window >= l->kept.count) return EDGE_ERR_ARGUMENT;
    const int error = edge_kept_judge(&l->kept, &l->stream, window);
    if (error < 0) return error;
    l->stepping = 0;
    put_prediction(l, c, l->kept.labels[window]);
    return 0;
}

// What UNDO goes back to, before a label is learned; the net is idle.
static void remember_state(edge_link_t *l) {
#ifndef EDGE_LINK_SMALL
    l->has_undo = l->undo != NULL && edge_net_save(&l->net, l->undo, l->state_size) > 0;
    l->fresh_before = l->kept.fresh;
#else
    (void)l;
#endif
}

static int learn(edge_link_t *l, edge_call_t *c) {
    // A label that cannot be learned leaves what UNDO goes back to.
    const int undo = c->in[0] < edge_net_classes(&l->net) && !l->net.full &&
                     edge_net_steps(&l->net) == edge_model_window(&l->model);
    if (undo) remember_state(l);
    const int error = edge_net_learn_begin(&l->net, c->in[0]);
    if (error) return error;
    l->lesson_at = l->lesson_length = 0;
    begin_activity(l, LEARNING, 1);
    put32(c, edge_net_updates(&l->net));
    return 0;
}

// Runs the lesson's next window and starts learning it. Returns 1 while there is more, 0 at its end, or the error.
static int next_of_lesson(edge_link_t *l) {
    if (l->lesson_at == l->lesson_length) return 0;
    const uint32_t window = l->lesson[l->lesson_at++];
    int error = edge_kept_judge(&l->kept, &l->stream, window);
    if (error >= 0) error = edge_net_learn_begin(&l->net, l->kept.labels[window]);
    return error ? error : 1;
}

static int rehearse(edge_link_t *l, edge_call_t *c) {
    const uint32_t windows = c->n / 2;
    if (l->state_size == 0) return EDGE_ERR_MODE;
    if (c->n % 2 || windows > EDGE_LINK_LESSON) return EDGE_LINK_ERR_LENGTH;
    for (uint32_t i = 0; i < windows; i++)
        if (edge_load16(c->in + 2 * i) >= l->kept.count) return EDGE_ERR_ARGUMENT;
    for (uint32_t i = 0; i < windows; i++) l->lesson[i] = edge_load16(c->in + 2 * i);
    put32(c, edge_net_updates(&l->net));
    remember_state(l);
    l->lesson_length = (uint16_t)windows;
    l->lesson_at = 0;
    begin_activity(l, LEARNING, next_of_lesson(l));
    return 0;
}

#ifndef EDGE_LINK_SMALL
static int practise(edge_link_t *l, edge_call_t *c) {
    const int error = edge_practice_begin(&l->practice, &l->kept, &l->stream, c->in[0], c->in[1], c->in[2]);
    if (error) return error;
    remember_state(l);
    begin_activity(l, LEARNING, 1);
    l->practising = 1;
    put32(c, edge_net_updates(&l->net));
    return 0;
}

static int undo(edge_link_t *l, edge_call_t *c) {
    int error;
    const uint8_t what = l->has_undo ? UNDONE_LEARNING : UNDONE_WINDOW;
    if (l->has_undo) {
        const uint32_t decay = l->net.rate_decay;
        error = edge_net_load(&l->net, l->undo, l->state_size);
        (void)edge_net_rate_decay(&l->net, decay);
        // Fewer may be kept by now.
        l->kept.fresh = smaller(l->fresh_before, l->kept.count);
        l->has_undo = l->stepping = 0;
    } else {
        error = edge_kept_undo(&l->kept);
    }
    if (error) return error;
    put16(c, what);
    put16(c, l->kept.count);
    put32(c, edge_net_updates(&l->net));
    return 0;
}

static int add_class(edge_link_t *l, edge_call_t *c) {
    const int added = edge_net_add_class(&l->net);
    if (added < 0) return added;
    l->stepping = l->has_undo = 0;
    put16(c, (uint32_t)added);
    put16(c, edge_model_classes(&l->model) + edge_model_spare(&l->model) - edge_net_classes(&l->net));
    return 0;
}
#endif

static int fit(edge_link_t *l, edge_call_t *c) {
    if (l->kept.count == 0) return EDGE_ERR_WINDOW;
    const int error =
        edge_fit_begin(&l->fit, &l->stream, l->kept.rows, l->kept.labels, l->kept.count, c->in[0]);
    if (error) return error;
    begin_activity(l, FITTING, 1);
    put16(c, l->kept.count);
    return 0;
}

static int rate(edge_link_t *l, const edge_call_t *c) { return edge_net_rate_decay(&l->net, c->in[0]); }

static int scores(const edge_link_t *l, edge_call_t *c) {
    const uint32_t first = edge_load16(c->in);
    const uint32_t classes = edge_net_classes(&l->net);
    if (first >= classes) return EDGE_ERR_ARGUMENT;
    if (edge_net_steps(&l->net) == 0) return EDGE_ERR_WINDOW;
    const int32_t *score = edge_net_score_area(&l->net);
    put16(c, classes);
    for (uint32_t i = first; i < classes && c->out_n + 4 <= c->room; i++) put32(c, (uint32_t)score[i]);
    return 0;
}

static int write_bank(edge_link_t *l) {
    const edge_bank_port_t *bank = l->config.bank;
    return bank->write(bank->context, &l->net, l->has_stream ? edge_stream_alignment(&l->stream) : NULL,
                       l->bank_keeps ? &l->kept : NULL);
}

static int confirm_bank(edge_link_t *l) {
    const int error = l->config.bank->confirm(l->config.bank->context);
    if (error) return error;
    l->has_commit = 1;
    l->committed = edge_net_updates(&l->net);
    return 0;
}

static int commit(edge_link_t *l, edge_call_t *c) {
    int error;
    if (l->config.bank) {
        error = write_bank(l);
        if (!error) error = confirm_bank(l);
        if (error) return error;
    } else {
        if (!l->bank) return EDGE_LINK_ERR_BANK;
        if (l->has_stream) memcpy(l->bank + l->state_size, edge_stream_alignment(&l->stream), ALIGNMENT);
        if (l->state_size) (void)edge_net_save(&l->net, l->bank, l->state_size);
        l->has_commit = 1;
        l->committed = edge_net_updates(&l->net);
    }
    put32(c, l->committed);
    return 0;
}

static int restore(edge_link_t *l) {
    edge_alignment_t alignment;
    int error = 0;
    if (l->config.bank) {
        error = load_bank(l, NULL, 0);
    } else if (l->has_commit) {
        if (l->state_size) error = edge_net_load(&l->net, l->bank, l->state_size);
        if (l->has_stream) {
            memcpy(&alignment, l->bank + l->state_size, ALIGNMENT);
            edge_stream_align(&l->stream, &alignment);
        }
    } else {
        error = start_net(l);
    }
    if (!error) l->activity = IDLE;
    l->stepping = l->has_undo = 0;
    return error;
}

#ifndef EDGE_LINK_SMALL
// Trial, then verdict: kept windows are judged with what was learned, and with the last commit (or the image).
static int try_out(edge_link_t *l, edge_call_t *c) {
    if (!l->config.bank) return EDGE_LINK_ERR_BANK;
    if (!l->kept.count) return EDGE_ERR_WINDOW;
    const int error = write_bank(l);
    if (error) return error;
    put32(c, edge_net_updates(&l->net));
    l->right[0] = l->right[1] = l->judged = l->verdict = 0;
    l->of = (uint16_t)l->kept.count;
    l->trying = 0;
    begin_activity(l, TRYING, 1);
    return 0;
}

static int try_run(edge_link_t *l) {
    const int right = edge_kept_judge(&l->kept, &l->stream, l->judged);
    if (right < 0) return right;
    l->right[l->trying] = (uint16_t)(l->right[l->trying] + right);
    if (++l->judged < l->of) return 1;
    l->judged = 0;
    if (l->trying == 0) {
        l->trying = 1;
        const int error = load_bank(l, NULL, 0);
        return error ? error : 1;
    }
    if (l->right[0] < l->right[1]) {
        l->verdict = REVERTED;
        return 0;
    }
    int error = load_bank(l, NULL, 1);
    if (!error) error = confirm_bank(l);
    if (!error) l->verdict = CONFIRMED;
    return error;
}

static int bank(const edge_link_t *l, edge_call_t *c) {
    if (!l->has_model) return EDGE_LINK_ERR_NO_MODEL;
    const edge_bank_facts_t facts = bank_facts(l);
    put16(c, (uint32_t)((l->config.bank != NULL) | l->verdict << 8));
    put16(c, l->right[0]);
    put16(c, l->right[1]);
    put16(c, l->of);
    put32(c, facts.sequence);
    put32(c, facts.room);
    put32(c, facts.sectors);
    put32(c, facts.sector_size);
    return 0;
}

static int wear(const edge_link_t *l, edge_call_t *c) {
    const edge_bank_port_t *port = l->config.bank;
    if (!l->has_model) return EDGE_LINK_ERR_NO_MODEL;
    if (!port) return EDGE_LINK_ERR_BANK;
    const uint32_t sectors = bank_facts(l).sectors;
    put16(c, sectors);
    for (uint32_t k = edge_load16(c->in); k < sectors && c->out_n + 4 <= c->room; k++) {
        uint32_t erases;
        put32(c, port->wear(port->context, k, &erases) ? UNKNOWN_WEAR : erases);
    }
    return 0;
}
#endif

static int rollback(edge_link_t *l, edge_call_t *c) {
    int error = need_model(l);
    if (error == EDGE_LINK_ERR_LOADING) error = 0;
    if (!error) error = restore(l);
    if (error) return error;
    put32(c, edge_net_updates(&l->net));
    return 0;
}

static int read(edge_link_t *l, edge_call_t *c) {
    const uint32_t offset = edge_load32(c->in + 4);
    const uint8_t *from;
    uint32_t size;
    int error;
    if (c->in[0] == WHAT_STATE) {
        if (l->state_size == 0) return EDGE_ERR_MODE;
        // The weights already stand where the state wants them: only its header is written.
        error = offset == 0 ? edge_net_save(&l->net, l->state, l->state_size) : 0;
        if (error < 0) return error;
        from = l->state;
        size = l->state_size;
    } else if (c->in[0] == WHAT_ALIGNMENT) {
        if (!l->has_stream) return EDGE_ERR_ENCODER;
        from = (const uint8_t *)edge_stream_alignment(&l->stream);
        size = ALIGNMENT;
    } else {
        return EDGE_ERR_ARGUMENT;
    }
    if (offset > size) return EDGE_LINK_ERR_OFFSET;
    const uint32_t n = smaller(smaller(edge_load16(c->in + 2), size - offset), c->room - 4);
    put32(c, size);
    memcpy(c->out + 4, from + offset, n);
    c->out_n += n;
    return 0;
}

static int write_alignment(edge_link_t *l, edge_call_t *c, uint32_t offset, uint32_t n) {
    edge_alignment_t alignment;
    const int error = need_stream(l);
    if (error) return error;
    if (offset || n != ALIGNMENT) return EDGE_LINK_ERR_LENGTH;
    memcpy(&alignment, c->in + 8, ALIGNMENT);
    edge_stream_align(&l->stream, &alignment);
    put32(c, ALIGNMENT);
    return 0;
}

static int write_state(edge_link_t *l, edge_call_t *c, uint32_t offset, uint32_t n) {
    int error = need_model(l);
    if (error && error != EDGE_LINK_ERR_LOADING) return error;
    if (l->state_size == 0) return EDGE_ERR_MODE;
    const uint32_t have = l->activity == LOADING ? l->state_have : 0;
    if ((offset && offset != have) || n > l->state_size - offset) {
        put32(c, have);
        return EDGE_LINK_ERR_OFFSET;
    }
    memcpy(l->state + offset, c->in + 8, n);
    l->state_have = offset + n;
    l->activity = LOADING;
    l->stepping = l->has_undo = 0;
    put32(c, l->state_have);
    if (l->state_have < l->state_size) return 0;
    error = edge_net_load(&l->net, l->state, l->state_size);
    if (error) (void)restore(l);
    l->activity = IDLE;
    return error;
}

static int write(edge_link_t *l, edge_call_t *c) {
    const uint32_t offset = edge_load32(c->in + 4), n = c->n - 8;
    if (c->in[0] == WHAT_ALIGNMENT) return write_alignment(l, c, offset, n);
    return c->in[0] == WHAT_STATE ? write_state(l, c, offset, n) : EDGE_ERR_ARGUMENT;
}

static int statistics(const edge_link_t *l, edge_call_t *c) {
    edge_stats_t s;
    if (!l->has_model) return EDGE_LINK_ERR_NO_MODEL;
    const int error = edge_net_stats(&l->net, c->in[0], &s);
    if (error) return error;
    put32(c, s.spikes_in);
    put32(c, s.spikes_out);
    put32(c, s.forward_sops);
    put32(c, s.error_sops);
    put32(c, s.update_sops);
    put32(c, s.moved);
    return 0;
}

// Payload bytes of each command, and what it wants.
enum { OPEN = 1, MODEL = 2, STREAM = 4 };  // that many bytes or more; an idle model; one with an encoder

typedef struct edge_shape {
    uint8_t command, size, wants;
} edge_shape_t;

static const edge_shape_t SHAPES[] = {
    {EDGE_LINK_HELLO, 2, 0},          {EDGE_LINK_STATUS, 0, 0},
    {EDGE_LINK_RESET, 1, MODEL},      {EDGE_LINK_IMAGE_BEGIN, 8, 0},
    {EDGE_LINK_IMAGE_CHUNK, 5, OPEN}, {EDGE_LINK_IMAGE_END, 2, 0},
    {EDGE_LINK_PUSH, 0, OPEN},        {EDGE_LINK_INFER, 4, OPEN | MODEL},
    {EDGE_LINK_KEEP, 1, 0},           {EDGE_LINK_REPLAY, 2, STREAM},
    {EDGE_LINK_LEARN, 1, MODEL},      {EDGE_LINK_FIT, 1, STREAM},
    {EDGE_LINK_RATE, 1, MODEL},       {EDGE_LINK_SCORES, 2, MODEL},
    {EDGE_LINK_COMMIT, 0, MODEL},     {EDGE_LINK_ROLLBACK, 0, 0},
    {EDGE_LINK_READ, 8, MODEL},       {EDGE_LINK_WRITE, 9, OPEN},
    {EDGE_LINK_STATISTICS, 1, 0},     {EDGE_LINK_REHEARSE, 2, OPEN | STREAM},
#ifndef EDGE_LINK_SMALL
    {EDGE_LINK_REMEMBER, 1, 0},       {EDGE_LINK_PRACTISE, 4, STREAM},
    {EDGE_LINK_UNDO, 0, MODEL},       {EDGE_LINK_ADD_CLASS, 0, MODEL},
    {EDGE_LINK_TRY, 0, MODEL},        {EDGE_LINK_BANK, 0, 0},
    {EDGE_LINK_WEAR, 2, 0},
#endif
};

static EDGE_ALONE int check_shape(const edge_link_t *l, uint8_t command, uint32_t n) {
    for (size_t i = 0; i < sizeof SHAPES / sizeof *SHAPES; i++) {
        const edge_shape_t *s = SHAPES + i;
        if (s->command != command) continue;
        if (n != s->size && !(s->wants & OPEN && n > s->size)) return EDGE_LINK_ERR_LENGTH;
        if (s->wants & STREAM) return need_stream(l);
        return s->wants & MODEL ? need_model(l) : 0;
    }
    return EDGE_LINK_ERR_COMMAND;
}

static int carry_out(edge_link_t *l, uint8_t command, edge_call_t *c) {
    const int error = check_shape(l, command, c->n);
    if (error) return error;
    switch (command) {
    case EDGE_LINK_HELLO: return hello(l, c);
    case EDGE_LINK_STATUS: return status(l, c);
    case EDGE_LINK_RESET: return reset(l, c);
    case EDGE_LINK_IMAGE_BEGIN: return image_begin(l, c);
    case EDGE_LINK_IMAGE_CHUNK: return image_chunk(l, c);
    case EDGE_LINK_IMAGE_END: return image_end(l, c);
    case EDGE_LINK_INFER: return infer(l, c);
    case EDGE_LINK_PUSH: return push(l, c);
    case EDGE_LINK_KEEP: return keep(l, c, 0);
    case EDGE_LINK_REPLAY: return replay(l, c);
    case EDGE_LINK_LEARN: return learn(l, c);
    case EDGE_LINK_FIT: return fit(l, c);
    case EDGE_LINK_RATE: return rate(l, c);
    case EDGE_LINK_SCORES: return scores(l, c);
    case EDGE_LINK_REHEARSE: return rehearse(l, c);
    case EDGE_LINK_COMMIT: return commit(l, c);
    case EDGE_LINK_ROLLBACK: return rollback(l, c);
    case EDGE_LINK_READ: return read(l, c);
    case EDGE_LINK_WRITE: return write(l, c);
#ifndef EDGE_LINK_SMALL
    case EDGE_LINK_REMEMBER: return keep(l, c, 1);
    case EDGE_LINK_PRACTISE: return practise(l, c);
    case EDGE_LINK_UNDO: return undo(l, c);
    case EDGE_LINK_ADD_CLASS: return add_class(l, c);
    case EDGE_LINK_TRY: return try_out(l, c);
    case EDGE_LINK_BANK: return bank(l, c);
    case EDGE_LINK_WEAR: return wear(l, c);
#endif
    default: return statistics(l, c);
    }
}

/// Sessions and sequence ///

// Completes a frame around `payload` bytes in it and sends it.
static void answer(edge_link_t *l, uint8_t *frame, uint32_t payload, int code) {
    memcpy(frame, l->request, FRAME_HEADER - 1);
    frame[6] |= EDGE_LINK_RESPONSE;
    frame[7] = (uint8_t)code;
    edge_store32(frame + FRAME_HEADER + payload, edge_crc32(0, frame, FRAME_HEADER + payload));
    edge_frame_send(l, frame, FRAME_HEADER + payload + FRAME_CHECKSUM);
}

#ifndef EDGE_LINK_SMALL
// Checks a request's tag, where the firmware asks for one, and takes it off the payload.
static int tag_is_right(const edge_link_t *l, edge_call_t *c, uint32_t turns) {
    const edge_link_guard_t *guard = l->config.guard;
    uint8_t head[EDGE_LINK_TAG + 4], tag[EDGE_LINK_TAG], differs = 0;
    if (!guard) return 1;
    if (c->n < EDGE_LINK_TAG) return 0;
    c->n -= EDGE_LINK_TAG;
    memcpy(head, l->challenge, EDGE_LINK_TAG);
    edge_store32(head + EDGE_LINK_TAG, turns);
    guard->tag(guard->context, tag, head, sizeof head, l->request, FRAME_HEADER + c->n);
    // As long for a nearly right tag as for any other.
    for (uint32_t k = 0; k < EDGE_LINK_TAG; k++) differs = (uint8_t)(differs | (tag[k] ^ c->in[c->n + k]));
    return differs == 0;
}
#endif

#ifdef EDGE_LINK_SMALL
static int tag_is_right(const edge_link_t *l, const edge_call_t *c, uint32_t turns) {
    (void)l;
    (void)c;
    (void)turns;
    return 1;
}
#endif

static void handle(edge_link_t *l) {
    const uint8_t *r = l->request;
    const uint32_t end = l->request_length - FRAME_CHECKSUM, checksum = edge_load32(r + end);
    const uint32_t session = edge_load32(r);
    const uint16_t sequence = edge_load16(r + 4);
    const uint8_t command = r[6];
    if (edge_crc32(0, r, end) != checksum || session == 0 || command & EDGE_LINK_RESPONSE || r[7]) {
        l->dropped++;
        return;
    }
    edge_call_t c = {r + FRAME_HEADER, end - FRAME_HEADER, l->response + FRAME_HEADER, 0,
                     l->capacity - EDGE_LINK_OVERHEAD};
    const uint32_t turns = l->turns + (sequence < l->last_sequence);
    if (session != l->session) {
        if (command != EDGE_LINK_HELLO || c.n == 0) {
            answer(l, l->refusal, 0, EDGE_LINK_ERR_SESSION);
            return;
        }
    } else if (sequence == l->last_sequence) {
        if (checksum == l->last_checksum)
            edge_frame_send(l, l->response, l->response_length);
        else
            answer(l, l->refusal, 0, EDGE_LINK_ERR_SEQUENCE);
        return;
    } else if ((uint16_t)(sequence - l->last_sequence) > 32767) {
        l->dropped++;
        return;
    }
    if (command == EDGE_LINK_HELLO && c.n && (c.in[0] == 0 || c.in[0] > SPOKEN)) {
        l->refusal[FRAME_HEADER] = SPOKEN;
        answer(l, l->refusal, 1, EDGE_LINK_ERR_PROTOCOL);
        return;
    }
    if (command != EDGE_LINK_HELLO && !tag_is_right(l, &c, turns)) {
        answer(l, l->refusal, 0, EDGE_LINK_ERR_TAG);
        return;
    }
    l->session = session;
    l->turns = turns;
    l->last_sequence = sequence;
    l->last_checksum = checksum;
    const int code = carry_out(l, command, &c);
    l->response_length = EDGE_LINK_OVERHEAD + c.out_n;
    answer(l, l->response, c.out_n, code);
}

/// Server ///

int edge_link_init(edge_link_t *l, const edge_link_config_t *config) {
    if (!l || !config || !config->board || !config->frames || !config->image || !config->work)
        return EDGE_ERR_ARGUMENT;
    const size_t capacity = config->frames_size / 2;
    if (capacity < EDGE_LINK_MIN_PAYLOAD + EDGE_LINK_OVERHEAD || capacity > 65535 || config->budget == 0)
        return EDGE_ERR_ARGUMENT;
    if (config->ring < 2 || config->ring > 32768 || config->ring & (config->ring - 1))
        return EDGE_ERR_ARGUMENT;
#ifdef EDGE_LINK_SMALL
    // Never without the tags that the firmware asks for.
    if (config->guard) return EDGE_ERR_ARGUMENT;
#else
    if (config->guard && capacity < EDGE_LINK_MIN_PAYLOAD + EDGE_LINK_TAG + EDGE_LINK_OVERHEAD)
        return EDGE_ERR_ARGUMENT;
#endif
    if (config->image_size > INT32_MAX || config->work_size > INT32_MAX) return EDGE_ERR_ARGUMENT;
    if ((uintptr_t)config->image % 8 || (uintptr_t)config->work % 8) return EDGE_ERR_ALIGN;
    memset(l, 0, sizeof *l);
    l->config = *config;
    l->capacity = (uint32_t)capacity;
    l->request = config->frames;
    l->response = config->frames + capacity;
    l->activity = IDLE;
    return 0;
}

// A slice of what takes longer than a request. Returns 1 while there is more, 0 at its end, or an error.
static int go_on(edge_link_t *l) {
    if (l->activity == FITTING) return edge_fit_run(&l->fit);
#ifndef EDGE_LINK_SMALL
    if (l->activity == TRYING) return try_run(l);
    if (l->practising) return edge_practice_run(&l->practice, l->config.budget);
#endif
    return edge_net_learn_run(&l->net, l->config.budget) ? 1 : next_of_lesson(l);
}

int edge_link_run(edge_link_t *l) {
    if (l->request_ready && !l->sending) {
        handle(l);
        edge_frame_done(l);
    }
    if (l->activity == LEARNING || l->activity == FITTING || l->activity == TRYING) {
        const int more = go_on(l);
        if (more == 1) return 1;
        begin_activity(l, IDLE, more);
    }
    return l->request_ready && !l->sending;
}

uint32_t edge_link_dropped(const edge_link_t *l) { return l->dropped + l->torn; }

edge_net_t *edge_link_net(edge_link_t *l) { return l->has_model ? &l->net : NULL; }

edge_stream_t *edge_link_stream(edge_link_t *l) { return l->has_stream ? &l->stream : NULL; }
