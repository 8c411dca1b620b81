// Times learning from one sample after another on the host: bench_online IMAGE WINDOWS LABELS COUNT PASSES.
// SPDX-License-Identifier: Apache-2.0
//
// Prints one line: of each pass over the COUNT windows the median nanoseconds a sample, but of the last what it counts: spikes
// of the hidden layer, weights that moved. Every pass starts from the image's weights, outside the measured time.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "edge/edge.h"

static void *load(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END)) {
        perror(path);
        exit(1);
    }
    *size = (size_t)ftell(file);
    rewind(file);
    void *bytes = aligned_alloc(64, (*size + 127) / 64 * 64);
    if (!bytes || fread(bytes, 1, *size, file) != *size) {
        perror(path);
        exit(1);
    }
    fclose(file);
    return bytes;
}

// Processor time: a busy computer does not stretch it.
static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

static int smaller(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int check(int result) {
    if (result < 0) {
        fprintf(stderr, "%s\n", edge_error_text(result));
        exit(1);
    }
    return result;
}

int main(int argc, char **argv) {
    if (argc != 6) {
        fprintf(stderr, "bench_online IMAGE WINDOWS LABELS COUNT PASSES\n");
        return 2;
    }
    size_t size, bytes, labels_size;
    const void *image = load(argv[1], &size);
    const uint8_t *windows = load(argv[2], &bytes);
    const uint8_t *labels = load(argv[3], &labels_size);
    size_t count = (size_t)atoi(argv[4]);
    int passes = atoi(argv[5]);

    edge_model_t model;
    edge_net_t net;
    edge_stats_t stats[EDGE_MAX_LAYERS];
    check(edge_model_open(&model, image, size));
    size_t arena_size = edge_model_arena_size(&model, EDGE_LEARN), steps = edge_model_window(&model);
    size_t step = (edge_model_inputs(&model) + 7) / 8;
    void *arena = aligned_alloc(64, (arena_size + 127) / 64 * 64);
    void *weights = aligned_alloc(64, (edge_model_weights_size(&model) + 127) / 64 * 64);
    double *times = calloc(count + 1, sizeof *times);
    if (!arena || !weights || !times || bytes != count * steps * step || labels_size != count) {
        fprintf(stderr, "the windows do not fit the image\n");
        return 1;
    }
    for (int pass = 0; pass < passes; pass++) {
        check(edge_net_init(&net, &model, weights, arena, arena_size, EDGE_LEARN));
        if (pass == passes - 1) check(edge_net_count(&net, stats));
        for (size_t n = 0; n < count; n++) {
            double start = now();
            for (size_t t = 0; t < steps; t++) check(edge_net_step(&net, windows + (n * steps + t) * step));
            check(edge_net_learn_begin(&net, labels[n]));
            while (check(edge_net_learn_run(&net, UINT32_MAX))) {}
            times[n] = now() - start;
        }
        qsort(times, count, sizeof *times, smaller);
        if (pass < passes - 1) printf("%.1f ", times[count / 2]);
    }
    uint32_t moved = 0;
    for (uint32_t l = 0; l < edge_model_layers(&model); l++) moved += stats[l].moved;
    printf("%u %u\n", (unsigned)stats[0].spikes_out, (unsigned)moved);
    return 0;
}
