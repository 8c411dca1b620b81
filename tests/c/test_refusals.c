// Wrong use of the C API is named and changes nothing: missing pointers, memory too small, calls at the wrong time.
// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "edge/kept.h"
#include "edge/stream.h"
#include "small_image.h"

enum { STEPS = 3, CHANNELS = 2, WINDOW = STEPS * CHANNELS, RING = 4 };

static uint64_t image[STREAM_IMAGE / 8], weights[8], arena[128], memory[64];
static edge_model_t model;
static edge_net_t net;
static edge_stream_t stream;

static void start(edge_mode_t mode) {
    stream_image((uint8_t *)image);
    CHECK(edge_model_open(&model, image, STREAM_IMAGE) == 0);
    CHECK(edge_net_init(&net, &model, mode == EDGE_LEARN ? weights : NULL, arena, sizeof arena, mode) == 0);
    CHECK(edge_stream_init(&stream, &net, memory, sizeof memory, RING) == 0);
    CHECK(edge_stream_window_size(&model) == WINDOW);
}

// Samples until a window is complete.
static void complete_window(int16_t value) {
    const int16_t sample[CHANNELS] = {value, (int16_t)-value};
    int done;
    do CHECK(edge_stream_push(&stream, sample) == 0);
    while ((done = edge_stream_poll(&stream)) == 0);
    CHECK(done == 1);
}

static void test_streams(void) {
    uint8_t rows[WINDOW];
    start(EDGE_LEARN);
    edge_stream_t s;
    CHECK(edge_stream_init(NULL, &net, memory, sizeof memory, RING) == EDGE_ERR_ARGUMENT);
    CHECK(edge_stream_init(&s, NULL, memory, sizeof memory, RING) == EDGE_ERR_ARGUMENT);
    CHECK(edge_stream_init(&s, &net, NULL, sizeof memory, RING) == EDGE_ERR_ARGUMENT);
    CHECK(edge_stream_init(&s, &net, (uint8_t *)memory + 1, sizeof memory - 1, RING) == EDGE_ERR_ALIGN);
    CHECK(edge_stream_init(&s, &net, memory, sizeof memory, 3) == EDGE_ERR_ARGUMENT);
    CHECK(edge_stream_init(&s, &net, memory, edge_stream_size(&model, RING) - 1, RING) == EDGE_ERR_MEMORY);
    CHECK(edge_stream_keep(&stream, rows, sizeof rows) == EDGE_ERR_WINDOW);
    complete_window(3000);
    CHECK(edge_stream_keep(&stream, NULL, sizeof rows) == EDGE_ERR_ARGUMENT);
    CHECK(edge_stream_keep(&stream, rows, sizeof rows - 1) == EDGE_ERR_MEMORY);
    CHECK(edge_stream_replay(&stream, NULL, sizeof rows) == EDGE_ERR_ARGUMENT);
    CHECK(edge_stream_replay(&stream, rows, sizeof rows - 1) == EDGE_ERR_MEMORY);
    CHECK(edge_stream_keep(&stream, rows, sizeof rows) == 0);
    CHECK(edge_net_learn_begin(&net, 1) == 0);
    CHECK(edge_stream_poll(&stream) == EDGE_ERR_BUSY);
    CHECK(edge_stream_replay(&stream, rows, sizeof rows) == EDGE_ERR_BUSY);

    // Without an encoder there is no stream.
    uint64_t plain[70], small_weights[64], small_arena[256];
    edge_model_t other;
    edge_net_t learner;
    CHECK(edge_model_open(&other, plain, small_image((uint8_t *)plain)) == 0);
    CHECK(edge_net_init(&learner, &other, small_weights, small_arena, sizeof small_arena, EDGE_LEARN) == 0);
    CHECK(edge_stream_init(&s, &learner, memory, sizeof memory, RING) == EDGE_ERR_ENCODER);
}

static void test_fits(void) {
    uint8_t rows[2 * WINDOW] = {0};
    static const uint8_t labels[2] = {0, 1}, wrong[2] = {0, 2};
    edge_fit_t f;
    start(EDGE_LEARN);
    CHECK(edge_fit_begin(NULL, &stream, rows, labels, 2, 1) == EDGE_ERR_ARGUMENT);
    CHECK(edge_fit_begin(&f, NULL, rows, labels, 2, 1) == EDGE_ERR_ARGUMENT);
    CHECK(edge_fit_begin(&f, &stream, NULL, labels, 2, 1) == EDGE_ERR_ARGUMENT);
    CHECK(edge_fit_begin(&f, &stream, rows, NULL, 2, 1) == EDGE_ERR_ARGUMENT);
    CHECK(edge_fit_begin(&f, &stream, rows, labels, 0, 1) == EDGE_ERR_ARGUMENT);
    CHECK(edge_fit_begin(&f, &stream, rows, labels, 2, 0) == EDGE_ERR_ARGUMENT);
    CHECK(edge_fit_begin(&f, &stream, rows, labels, 2, 256) == EDGE_ERR_ARGUMENT);
    CHECK(edge_fit_begin(&f, &stream, rows, wrong, 2, 1) == EDGE_ERR_LABEL);
    CHECK(edge_fit_begin(&f, &stream, rows, labels, 2, 1) == 0);
    // The net is taken for learning meanwhile: the fit says so, and goes on afterwards.
    complete_window(3000);
    CHECK(edge_net_learn_begin(&net, 1) == 0);
    CHECK(edge_fit_run(&f) == EDGE_ERR_BUSY);
    CHECK(edge_net_learn_run(&net, UINT32_MAX) == 0);
    int more;
    while ((more = edge_fit_run(&f)) == 1) continue;
    CHECK(more == 0);
}

static void test_kept_windows(void) {
    uint8_t kept_memory[4 * WINDOW];
    edge_kept_t k;
    edge_practice_t p;
    start(EDGE_LEARN);
    edge_kept_init(&k, kept_memory, WINDOW - 1, WINDOW, 10);
    CHECK(k.capacity == 0);
    complete_window(3000);
    CHECK(edge_kept_remember(&k, &stream, 1) == EDGE_ERR_ROOM);
    edge_kept_init(&k, kept_memory, sizeof kept_memory, WINDOW, 10);
    CHECK(k.capacity == 2);
    CHECK(edge_kept_undo(&k) == EDGE_ERR_EMPTY);
    CHECK(edge_practice_begin(&p, &k, &stream, 1, 0, 0) == EDGE_ERR_WINDOW);
    CHECK(edge_kept_add(&k, &stream, 2) == EDGE_ERR_LABEL);
    CHECK(edge_kept_add(&k, &stream, 0) == 0 && edge_kept_add(&k, &stream, 1) == 0);
    CHECK(edge_kept_add(&k, &stream, 1) == EDGE_ERR_ROOM);
    CHECK(edge_kept_remember(&k, &stream, 2) == EDGE_ERR_LABEL);
    edge_stream_reset(&stream);
    CHECK(edge_kept_remember(&k, &stream, 1) == EDGE_ERR_WINDOW);
    CHECK(k.count == 2 && k.labels[0] == 0 && k.labels[1] == 1);
    CHECK(edge_practice_begin(&p, &k, &stream, 0, 0, 0) == EDGE_ERR_ARGUMENT);
    CHECK(edge_practice_begin(&p, &k, &stream, 256, 0, 0) == EDGE_ERR_ARGUMENT);
    CHECK(edge_practice_begin(&p, &k, &stream, 1, 17, 0) == EDGE_ERR_ARGUMENT);
    CHECK(edge_practice_begin(&p, &k, &stream, 1, 0, 16) == EDGE_ERR_ARGUMENT);
    CHECK(edge_kept_judge(&k, &stream, 0) >= 0);
    CHECK(edge_net_learn_begin(&net, 1) == 0);
    CHECK(edge_kept_judge(&k, &stream, 0) == EDGE_ERR_BUSY);
    start(EDGE_INFER);
    CHECK(edge_practice_begin(&p, &k, &stream, 1, 0, 0) == EDGE_ERR_MODE);
}

static void test_nets(void) {
    uint64_t state[16];
    int32_t likelihood;
    start(EDGE_LEARN);
    complete_window(100);
    CHECK(edge_net_likelihood(&net, -1, &likelihood) == EDGE_ERR_LABEL);
    CHECK(edge_net_likelihood(&net, 2, &likelihood) == EDGE_ERR_LABEL);
    CHECK(edge_net_likelihood(&net, 0, NULL) == EDGE_ERR_ARGUMENT);
    const int size = edge_net_save(&net, state, sizeof state);
    CHECK(size > 0);
    CHECK(edge_net_save(&net, NULL, sizeof state) == EDGE_ERR_MEMORY);
    CHECK(edge_net_save(&net, state, (size_t)size - 1) == EDGE_ERR_MEMORY);
    CHECK(edge_net_load(&net, NULL, (size_t)size) == EDGE_ERR_STATE);
    CHECK(edge_net_load(&net, state, (size_t)size - 1) == EDGE_ERR_STATE);
    CHECK(edge_net_add_class(&net) == EDGE_ERR_SPARE);
    CHECK(edge_net_learn_begin(&net, 0) == 0);
    CHECK(edge_net_add_class(&net) == EDGE_ERR_BUSY);
    CHECK(edge_net_rate_decay(&net, 1) == EDGE_ERR_BUSY);
    CHECK(edge_net_save(&net, state, sizeof state) == EDGE_ERR_BUSY);
    CHECK(edge_net_load(&net, state, sizeof state) == EDGE_ERR_BUSY);
    start(EDGE_INFER);
    CHECK(edge_net_add_class(&net) == EDGE_ERR_MODE);
}

int main(void) {
    test_streams();
    test_fits();
    test_kept_windows();
    test_nets();
    return 0;
}
