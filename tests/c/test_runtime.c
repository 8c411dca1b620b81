// The runtime on images it was not written with: a small one made here, and any given as files; whole and damaged.
//
// Built with sanitizers this shows that no image makes the runtime leave its memory. test_runtime.py gives it images of every
// kind; without arguments it makes do with its own.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "edge/edge.h"
#include "small_image.h"

// Runs and learns a few windows with whatever the image says. Returns the number of weights that moved.
static uint32_t use(const edge_model_t *model, uint32_t seed) {
    const edge_mode_t mode = edge_model_weights_size(model) ? EDGE_LEARN : EDGE_INFER;
    const size_t arena_size = edge_model_arena_size(model, mode),
                 weights_size = edge_model_weights_size(model);
    if (arena_size > 1u << 24 || weights_size > 1u << 24) return 0;
    uint8_t *arena = malloc(arena_size), *weights = weights_size ? malloc(weights_size) : NULL;
    uint8_t *input = malloc(edge_model_inputs(model));
    edge_stats_t *stats = malloc(edge_model_layers(model) * sizeof *stats);
    edge_net_t net;
    CHECK(arena && input && stats);
    memset(arena, 0xA5, arena_size);
    CHECK(edge_net_init(&net, model, weights, arena, arena_size, mode) == 0);
    CHECK(edge_net_count(&net, stats) == 0);
    for (uint32_t window = 0; window < 4; window++) {
        for (uint32_t t = 0; t < edge_model_window(model); t++) {
            for (uint32_t j = 0; j < edge_model_inputs(model); j++)
                input[j] = (uint8_t)(next_random(&seed) >> 24);
            CHECK(edge_net_step(&net, input) == 0);
        }
        int32_t confidence = -1, likelihood = 1;
        const int label = edge_net_predict(&net, &confidence);
        CHECK(label >= 0 && confidence >= 0 && confidence <= 32768);
        CHECK(edge_net_likelihood(&net, label, &likelihood) == 0 && likelihood <= 0);
        if (mode == EDGE_INFER) continue;
        const int begun = edge_net_learn_begin(&net, (int32_t)(window % edge_model_classes(model)));
        CHECK(begun == 0 || begun == EDGE_ERR_CAPACITY);
        while (begun == 0 && edge_net_learn_run(&net, window * 50)) {}
    }
    uint32_t moved = 0;
    for (uint32_t l = 0; l < edge_model_layers(model); l++) moved += stats[l].moved;
    if (mode == EDGE_LEARN) {
        uint8_t *state = malloc(edge_net_state_size(&net));
        CHECK(edge_net_save(&net, state, edge_net_state_size(&net)) == (int)edge_net_state_size(&net));
        CHECK(edge_net_load(&net, state, edge_net_state_size(&net)) == 0);
        state[edge_net_state_size(&net) - 1] ^= 1;
        CHECK(edge_net_load(&net, state, edge_net_state_size(&net)) == EDGE_ERR_STATE);
        free(state);
    }
    free(stats);
    free(input);
    free(weights);
    free(arena);
    return moved;
}

// Damaged copies: every one is refused by name or runs inside its memory.
static void damage(const uint8_t *image, size_t size, uint32_t seed, int copies) {
    uint8_t *copy = malloc(size);
    uint32_t opened = 0;
    for (int k = 0; k < copies; k++) {
        memcpy(copy, image, size);
        const uint32_t flips = 1 + (next_random(&seed) >> 24) % 3;
        for (uint32_t f = 0; f < flips; f++) {
            // Headers and tables are where the danger is.
            const uint32_t range =
                next_random(&seed) >> 31 ? (size < 352 ? (uint32_t)size : 352) : (uint32_t)size;
            copy[(next_random(&seed) >> 8) % range] = (uint8_t)(next_random(&seed) >> 24);
        }
        seal(copy, size);
        edge_model_t model;
        const int error = edge_model_open(&model, copy, size);
        CHECK(error == 0 || edge_error_name(error)[0]);
        if (error) continue;
        opened++;
        if (k % 8 == 0) use(&model, seed);
    }
    printf("%d damaged copies: %u usable, the others refused by name\n", copies, (unsigned)opened);
    free(copy);
}

static void cut_short(const uint8_t *image, size_t size) {
    for (size_t length = 0; length < size; length++) {
        uint8_t *copy = malloc(length ? length : 1);  // exactly sized: a sanitizer sees a byte too far
        memcpy(copy, image, length);
        edge_model_t model;
        CHECK(edge_model_open(&model, copy, length) < 0);
        free(copy);
    }
}

static uint8_t *read_file(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    CHECK(file);
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    uint8_t *bytes = malloc(*size);
    CHECK(bytes && fread(bytes, 1, *size, file) == *size);
    fclose(file);
    return bytes;
}

int main(int argc, char **argv) {
    edge_model_t model;
    uint8_t *own = malloc(1024);
    const size_t own_size = small_image(own);
    uint8_t *exact = malloc(own_size);
    memcpy(exact, own, own_size);
    const int opened = edge_model_open(&model, exact, own_size);
    if (opened) fprintf(stderr, "%s\n", edge_error_text(opened));
    CHECK(opened == 0);
    CHECK(use(&model, 1) > 0);
    damage(exact, own_size, 2, 20000);
    cut_short(exact, own_size);
    for (int k = 1; k < argc; k++) {
        size_t size;
        uint8_t *image = read_file(argv[k], &size);
        CHECK(edge_model_open(&model, image, size) == 0);
        use(&model, (uint32_t)k);
        damage(image, size, (uint32_t)k, 300);
        free(image);
    }
    free(exact);
    free(own);
    return 0;
}
