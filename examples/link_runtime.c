// The whole runtime in one program: an image in flash, samples from a sensor, predictions, and learning from a label.
// SPDX-License-Identifier: Apache-2.0
//
// On a board `sample` is the sensor's interrupt and `label` a button; here they are made up, so that the program can be
// run anywhere. model.h is written by `pyedge quantize RUN --c-array model.h`.
#include <stdio.h>
#include <stdlib.h>

#include "edge/edge.h"
#include "edge/stream.h"
#include "model.h"

enum { SAMPLES = 1000, RING = 256, ARENA = 65536, WEIGHTS = 65536, STREAM = 16384, SLICE = 500 };

// The caller owns every byte. A board states exactly what `pyedge describe` prints.
static uint64_t arena[ARENA / 8], weights[WEIGHTS / 8], stream_memory[STREAM / 8];  // 8-byte aligned

static void must(int result, const char *what) {
    if (result < 0) {
        fprintf(stderr, "%s: %s\n", what, edge_error_text(result));
        exit(1);
    }
}

// A made-up electrode: noise whose strength depends on the channel and changes every second.
static int16_t electrode(uint32_t *seed, uint32_t n, uint32_t channel) {
    *seed = *seed * 1664525u + 1013904223u;
    const int32_t strength = 4 + 12 * (int32_t)((channel + n / 200) % 8);
    return (int16_t)((int32_t)(*seed >> 16 & 0xFF) * strength / 128 - strength);
}

int main(void) {
    edge_model_t model;
    edge_net_t net;
    edge_stream_t stream;
    must(edge_model_open(&model, model_image, MODEL_IMAGE_SIZE), "image");
    if (edge_model_weights_size(&model) > sizeof weights ||
        edge_stream_size(&model, RING) > sizeof stream_memory) {
        fprintf(stderr, "the model needs more memory than this program has\n");
        return 1;
    }
    must(edge_net_init(&net, &model, weights, arena, sizeof arena, EDGE_LEARN), "net");
    must(edge_stream_init(&stream, &net, stream_memory, sizeof stream_memory, RING), "stream");

    uint32_t seed = 1;
    for (uint32_t n = 0; n < SAMPLES; n++) {
        int16_t sample[EDGE_MAX_CHANNELS] = {0};
        for (uint32_t c = 0; c < 8; c++) sample[c] = electrode(&seed, n, c);
        must(edge_stream_push(&stream, sample), "push");  // safe from an interrupt

        const int ready = edge_stream_poll(&stream);
        must(ready, "poll");
        if (!ready) continue;

        int32_t confidence;
        const int gesture = edge_net_predict(&net, &confidence);
        must(gesture, "predict");
        printf("sample %u: %d %s, %d of 32768\n", (unsigned)n, gesture,
               edge_model_class_name(&model, (uint32_t)gesture), (int)confidence);

        // In the first second the wearer says what it is: learn, in slices that leave time for samples.
        if (n < 200) {
            const int begun = edge_net_learn_begin(&net, 1);
            if (begun == EDGE_ERR_CAPACITY) continue;  // too many spikes to learn from; the next may do
            must(begun, "learn");
            while (edge_net_learn_run(&net, SLICE) > 0) {}
        }
    }
    printf("%u updates, %u samples lost\n", (unsigned)edge_net_updates(&net),
           (unsigned)edge_stream_lost(&stream));
    return 0;
}
