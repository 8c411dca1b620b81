// Learns one model from a stream whose classes drift for ever; prints a line of JSON for every stretch of windows.
// SPDX-License-Identifier: Apache-2.0
//
// Usage: soak IMAGE UPDATES STRETCH DRIFT. Spikes only. Every window is classified before it is learned; beside the net a copy that learned the first
// stretch and no more. The stream is integer arithmetic, the same as in tools/soak.py.
#include <stdio.h>
#include <stdlib.h>

#include "edge/edge.h"

#define CHECK(condition)                                                      \
    do {                                                                      \
        if (!(condition)) {                                                   \
            fprintf(stderr, "soak.c:%d: not so: %s\n", __LINE__, #condition); \
            exit(1);                                                          \
        }                                                                     \
    } while (0)

typedef struct {
    edge_net_t net;
    uint8_t *weights, *state;
    size_t weights_size, state_size;
} subject_t;

static uint32_t hash(uint32_t x) {
    x ^= x >> 16;
    x *= 0x7feb352du;
    x ^= x >> 15;
    x *= 0x846ca68bu;
    return x ^ x >> 16;
}

// Of 256 steps, those at which input j spikes for a class while the classes drift from one place to the next.
static uint32_t rate(uint32_t class_index, uint32_t j, uint32_t window, uint32_t drift) {
    const uint32_t place = hash(class_index * 65536 + j) + window / drift;
    const int64_t from = hash(place) >> 24, to = hash(place + 1) >> 24, at = window % drift;
    return (uint32_t)(from + (to - from) * at / drift) / 2;
}

static void subject_new(subject_t *s, const edge_model_t *model) {
    const size_t size = edge_model_arena_size(model, EDGE_LEARN);
    s->weights_size = edge_model_weights_size(model);
    s->weights = malloc(s->weights_size);
    CHECK(edge_net_init(&s->net, model, s->weights, malloc(size), size, EDGE_LEARN) == 0);
    s->state_size = edge_net_state_size(&s->net);
    s->state = malloc(s->state_size);
}

static uint32_t state_hash(subject_t *s) {
    CHECK(edge_net_save(&s->net, s->state, s->state_size) == (int)s->state_size);
    // Loading checks that every weight is in range and every padding byte zero.
    CHECK(edge_net_load(&s->net, s->state, s->state_size) == 0);
    return (uint32_t)(s->state[12] | s->state[13] << 8 | s->state[14] << 16) | (uint32_t)s->state[15] << 24;
}

static int classify(subject_t *s, const uint8_t *spikes, size_t bytes, uint32_t window) {
    for (uint32_t t = 0; t < window; t++) CHECK(edge_net_step(&s->net, spikes + t * bytes) == 0);
    return edge_net_predict(&s->net, NULL);
}

int main(int argc, char **argv) {
    static uint8_t image[1 << 20];
    CHECK(argc == 5);
    FILE *file = fopen(argv[1], "rb");
    CHECK(file);
    const size_t size = fread(image, 1, sizeof image, file);
    fclose(file);
    const uint32_t updates = (uint32_t)strtoul(argv[2], NULL, 10),
                   stretch = (uint32_t)strtoul(argv[3], NULL, 10);
    const uint32_t drift = (uint32_t)strtoul(argv[4], NULL, 10);

    edge_model_t model;
    subject_t learner, frozen;
    CHECK(edge_model_open(&model, image, size) == 0 && edge_model_input_kind(&model) == EDGE_INPUT_SPIKES);
    subject_new(&learner, &model);
    subject_new(&frozen, &model);
    const uint32_t window = edge_model_window(&model), inputs = edge_model_inputs(&model);
    const uint32_t classes = edge_model_classes(&model), layers = edge_model_layers(&model);
    const size_t bytes = (inputs + 7) / 8;
    uint8_t *spikes = malloc(window * bytes);
    uint32_t *rates = malloc(inputs * sizeof *rates);
    edge_stats_t *stats = malloc(layers * sizeof *stats);
    CHECK(edge_net_count(&learner.net, stats) == 0);

    uint32_t right = 0, frozen_right = 0;
    for (uint32_t n = 0; n < updates; n++) {
        const uint32_t label = hash(n ^ 0x55555555u) % classes, noise = hash(n);
        for (uint32_t j = 0; j < inputs; j++) rates[j] = rate(label, j, n, drift);
        for (uint32_t k = 0; k < window * bytes; k++) spikes[k] = 0;
        for (uint32_t t = 0; t < window; t++) {
            for (uint32_t j = 0; j < inputs; j++) {
                if (hash(noise + t * inputs + j) >> 24 < rates[j])
                    spikes[t * bytes + j / 8] |= (uint8_t)(1u << j % 8);
            }
        }
        right += classify(&learner, spikes, bytes, window) == (int)label;
        frozen_right += classify(&frozen, spikes, bytes, window) == (int)label;
        CHECK(edge_net_learn_begin(&learner.net, (int32_t)label) == 0);
        while (edge_net_learn_run(&learner.net, 1 << 20)) {}
        if ((n + 1) % stretch && n + 1 != updates) continue;

        const uint32_t windows = n % stretch + 1, crc = state_hash(&learner);
        uint32_t extreme = 0;
        for (size_t k = 0; k < learner.weights_size; k++)
            extreme += learner.weights[k] == 0x7F || learner.weights[k] == 0x80;
        printf("{\"updates\": %lu, \"accuracy\": %.4f, \"frozen\": %.4f, \"moved\": [", (unsigned long)n + 1,
               (double)right / windows, (double)frozen_right / windows);
        for (uint32_t l = 0; l < layers; l++) printf(l ? ", %lu" : "%lu", (unsigned long)stats[l].moved);
        printf("], \"extreme\": %.4f, \"state\": \"%08lx\"}\n",
               (double)extreme / (double)learner.weights_size, (unsigned long)crc);
        fflush(stdout);
        if (n < stretch) CHECK(edge_net_load(&frozen.net, learner.state, learner.state_size) == 0);
        edge_net_stats_clear(&learner.net);
        right = frozen_right = 0;
    }
    return 0;
}
