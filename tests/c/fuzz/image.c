// Any bytes as a model image: a named error, or a model that runs and learns inside its memory whatever its inputs.
// SPDX-License-Identifier: Apache-2.0
//
// An input of the fuzzer is an image file. The mutator heals what a random change breaks (sizes, the chain of layers, the memory plan, padding, the
// checksum), so that most of what it makes is accepted.
#include "edge/stream.h"
#include "fuzz.h"
// The loader's own checks heal images, so it is compiled in here in place of the library's.
#include "../../../runtime_c/src/model.c"

enum { HEADER = 128, MOST_WORK = 1 << 21, MOST_MEMORY = 1 << 22 };

enum { OPENED, HEAVY, INFERRED, LEARNED, STREAMED, MOVED, GRAPHS, CLASSES };

tally_t tallies[TALLIES] = {
    [OPENED] = {"images opened", 0},       [HEAVY] = {"too heavy to run whole", 0},
    [INFERRED] = {"images inferred", 0},   [LEARNED] = {"images learned", 0},
    [STREAMED] = {"images streamed", 0},   [MOVED] = {"images whose weights moved", 0},
    [GRAPHS] = {"images of version 2", 0}, [CLASSES] = {"classes added", 0},
};

/// Running an accepted image ///

// Weights that one step may add.
static uint64_t step_work(const edge_model_t *m) {
    uint64_t work = 0;
    for (uint32_t l = 0; l < m->layers; l++) {
        const edge_layer_t y = edge_model_layer(m, l);
        const edge_map_t in = edge_model_input_map(m, &y);
        work += (uint64_t)y.positions * ((uint64_t)y.fan_in * y.m4 + y.m4) + edge_map_size(&in);
    }
    return work;
}

// A step's input: silence, everything, sparse or anything.
static void fill_input(uint8_t *input, uint32_t size, uint32_t *random) {
    static const uint8_t extremes[4] = {0x00, 0xFF, 0x80, 0x7F};
    const uint32_t how = draw(random, 8);
    for (uint32_t j = 0; j < size; j++) {
        if (how < 4)
            input[j] = extremes[how];
        else if (how < 6)
            input[j] = (uint8_t)(next_random(random) >> 24);
        else
            input[j] = draw(random, 10) ? 0 : (uint8_t)(1u << draw(random, 8));
    }
}

static void check_answers(const edge_net_t *net) {
    const uint32_t classes = edge_net_classes(net);
    int32_t confidence = -1, *scores = (int32_t *)(void *)block(4 * (size_t)classes);
    const int label = edge_net_predict(net, &confidence);
    CHECK(label >= 0 && label < (int)classes && confidence >= 0 && confidence <= 32768);
    CHECK(edge_net_scores(net, scores) == 0);
    for (uint32_t i = 0; i < classes; i++) {
        int32_t likelihood = 1;
        CHECK(scores[i] > -(1 << 30) && scores[i] < 1 << 30 && scores[i] <= scores[label]);
        CHECK(edge_net_likelihood(net, (int32_t)i, &likelihood) == 0 && likelihood <= 0 &&
              likelihood >= -65535);
    }
    free(scores);
}

// What was learned comes back, and nothing else does.
static void check_state(edge_net_t *net) {
    const size_t size = edge_net_state_size(net);
    uint8_t *state = block(size), *again = block(size);
    CHECK(edge_net_save(net, state, size) == (int)size);
    CHECK(edge_net_load(net, state, size) == 0);
    CHECK(edge_net_save(net, again, size) == (int)size && memcmp(state, again, size) == 0);
    state[size - 1] ^= 1;
    CHECK(edge_net_load(net, state, size) == EDGE_ERR_STATE);
    free(again);
    free(state);
}

static void learn(edge_net_t *net, uint32_t label, uint32_t *random) {
    const int begun = edge_net_learn_begin(net, (int32_t)label);
    CHECK(begun == 0 || begun == EDGE_ERR_CAPACITY);
    if (begun) return;
    const uint32_t budget = 1u << draw(random, 14);
    while (edge_net_learn_run(net, budget)) {}
    tallies[LEARNED].count++;
}

static void run_windows(const edge_model_t *m, edge_mode_t mode, uint32_t *random) {
    const size_t arena_size = edge_model_arena_size(m, mode), weights_size = edge_model_weights_size(m);
    const uint32_t inputs = edge_model_inputs(m);
    const uint32_t size = edge_model_input_kind(m) == EDGE_INPUT_SPIKES ? (inputs + 7) / 8 : inputs;
    uint64_t affordable = MOST_WORK / step_work(m) + 1;
    const bool whole = affordable >= 3 * (uint64_t)edge_model_window(m);
    const uint32_t windows = whole ? 3 : 1;
    uint8_t *arena = block(arena_size), *input = block(size);
    uint8_t *weights = mode == EDGE_LEARN ? block(weights_size) : NULL;
    edge_stats_t *stats = (edge_stats_t *)(void *)block(edge_model_layers(m) * sizeof *stats);
    edge_net_t net;
    CHECK(edge_net_init(&net, m, weights, arena, arena_size, mode) == 0);
    CHECK(edge_net_count(&net, stats) == 0);
    for (uint32_t window = 0; window < windows; window++) {
        for (uint32_t t = 0; t < edge_model_window(m) && affordable; t++, affordable--) {
            fill_input(input, size, random);
            CHECK(edge_net_step(&net, input) == 0);
        }
        check_answers(&net);
        if (whole && mode == EDGE_LEARN) learn(&net, draw(random, edge_net_classes(&net)), random);
        if (draw(random, 4) == 0 && edge_net_add_class(&net) >= 0) tallies[CLASSES].count++;
    }
    uint32_t moved = 0;
    for (uint32_t l = 0; l < edge_model_layers(m); l++) moved += stats[l].moved;
    tallies[INFERRED].count += mode == EDGE_INFER;
    tallies[HEAVY].count += !whole && mode == EDGE_INFER;
    tallies[MOVED].count += moved > 0;
    if (mode == EDGE_LEARN) check_state(&net);
    free(stats);
    free(weights);
    free(input);
    free(arena);
}

static void run_stream(const edge_model_t *m, uint32_t *random) {
    enum { RING = 16 };
    const size_t size = edge_stream_size(m, RING), kept = edge_stream_window_size(m);
    if (size == 0 || size > MOST_MEMORY || step_work(m) * edge_model_window(m) > MOST_WORK / 4) return;
    const size_t arena_size = edge_model_arena_size(m, EDGE_INFER);
    uint8_t *arena = block(arena_size), *memory = block(size), *rows = block(kept);
    edge_net_t net;
    edge_stream_t stream;
    edge_fit_t fit;
    edge_alignment_t alignment;
    int16_t sample[EDGE_MAX_CHANNELS];
    CHECK(edge_net_init(&net, m, NULL, arena, arena_size, EDGE_INFER) == 0);
    CHECK(edge_stream_init(&stream, &net, memory, size, RING) == 0);
    const uint8_t how = (uint8_t)draw(random, 3);
    bool complete = false;
    for (uint32_t n = 0; n < 2000 && !complete; n++) {
        for (uint32_t c = 0; c < EDGE_MAX_CHANNELS; c++)
            sample[c] = (int16_t)(how == 0   ? (draw(random, 2) ? INT16_MIN : INT16_MAX)
                                  : how == 1 ? (int32_t)draw(random, 200) - 100
                                             : (int32_t)draw(random, 65536) - 32768);
        (void)edge_stream_push(&stream, sample);
        if (draw(random, 4) == 0) complete = edge_stream_poll(&stream) == 1;
    }
    if (complete) {
        CHECK(edge_stream_keep(&stream, rows, kept) == 0);
        for (uint32_t k = 0; k < sizeof alignment; k++)
            ((uint8_t *)&alignment)[k] = (uint8_t)(next_random(random) >> 24);
        edge_stream_align(&stream, &alignment);
        CHECK(edge_stream_replay(&stream, rows, kept) == 0);
        check_answers(&net);
        const uint8_t label = (uint8_t)draw(random, edge_model_classes(m));
        CHECK(edge_fit_begin(&fit, &stream, rows, &label, 1, 1) == 0);
        for (uint32_t k = 0; k < 200 && edge_fit_run(&fit) == 1; k++) {}
        tallies[STREAMED].count++;
    }
    free(rows);
    free(memory);
    free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    edge_model_t model;
    uint8_t *image = block(size);
    memcpy(image, data, size);
    const int error = edge_model_open(&model, image, size);
    CHECK(error <= 0 && (error == 0 || edge_error_name(error)[0]));
    if (error == 0) {
        tallies[OPENED].count++;
        tallies[GRAPHS].count += model.row_size > LAYER_SIZE;
        uint32_t random = crc32_of(image, size);
        for (uint32_t c = 0; c <= edge_model_classes(&model); c++)
            CHECK(strlen(edge_model_class_name(&model, c)) < size);
        const bool small = edge_model_arena_size(&model, EDGE_INFER) <= MOST_MEMORY;
        if (small) run_windows(&model, EDGE_INFER, &random);
        if (edge_model_weights_size(&model) && edge_model_weights_size(&model) <= MOST_MEMORY &&
            edge_model_arena_size(&model, EDGE_LEARN) <= MOST_MEMORY)
            run_windows(&model, EDGE_LEARN, &random);
        if (small) run_stream(&model, &random);
    }
    free(image);
    return 0;
}

/// Mutation ///

static uint32_t get(const uint8_t *p, int bytes) {
    uint32_t v = 0;
    for (int k = 0; k < bytes; k++) v |= (uint32_t)p[k] << 8 * k;
    return v;
}

static uint32_t row_size(const uint8_t *image) {
    return LAYER_SIZE + (get(image + 4, 2) > 1 ? GRAPH_SIZE : 0u);
}

static uint8_t *table_row(uint8_t *image, size_t size, uint32_t l) {
    const uint64_t at = (uint64_t)get(image + 40, 4) + (uint64_t)row_size(image) * l;
    return at >= HEADER && at % 8 == 0 && at + row_size(image) <= size ? image + at : NULL;
}

// A number that a field is likely to be wrong with.
static uint32_t telling(uint32_t *random) {
    static const uint32_t numbers[] = {
        0,    1,    2,    3,     4,     7,          8,          15,         16,         31,
        32,   62,   63,   64,    127,   128,        255,        256,        257,        512,
        1023, 1024, 1025, 65535, 65536, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x3FFFFFFF, 0x40000000};
    const uint32_t v = numbers[draw(random, sizeof numbers / sizeof *numbers)];
    return draw(random, 4) ? v : v + draw(random, 16) - 8;
}

// Changes a field of the header, a layer or the encoder: a little, or to a telling number.
static void change_field(uint8_t *image, size_t size, uint32_t *random) {
    uint8_t *at = image;
    uint32_t length = HEADER;
    const uint32_t where = draw(random, 4), encoder = get(image + 44, 4);
    if (where >= 2 && image[18]) {
        uint8_t *row = table_row(image, size, draw(random, image[18]));
        if (row) at = row, length = row_size(image);
    } else if (where == 1 && encoder && encoder + (size_t)48 <= size) {
        at = image + encoder;
        length = 48;
    }
    const int bytes = 1 << draw(random, 3);
    const uint32_t field = draw(random, length) & ~(uint32_t)(bytes - 1), was = get(at + field, bytes);
    const uint32_t how = draw(random, 8);
    put(at + field,
        how < 5   ? was + draw(random, 9) - 4
        : how < 7 ? telling(random)
                  : next_random(random),
        bytes);
}

// Changes what a layer of any shape may have otherwise: who learns, surrogates, shifts, thresholds, the pools' kinds.
static void change_layer(uint8_t *image, size_t size, uint32_t *random) {
    static const uint8_t fields[] = {1,  3,  4,  5,  6,  7,  8,  10, 11, 12, 16,
                                     17, 44, 45, 48, 52, 79, 83, 84, 86, 88, 89};
    uint8_t *row = image[18] ? table_row(image, size, draw(random, image[18])) : NULL;
    for (uint32_t n = row ? 1 + draw(random, 3) : 0; n; n--) {
        const uint8_t field = fields[draw(random, sizeof fields)];
        if (field >= row_size(image)) continue;
        row[field] = (uint8_t)(field < 5         ? draw(random, 4)
                               : draw(random, 2) ? draw(random, 256)
                                                 : row[field] + draw(random, 9) - 4);
    }
}

// Changes bytes behind the header: tensors for the most part.
static void change_tensors(uint8_t *image, size_t size, uint32_t *random) {
    for (uint32_t n = size > HEADER ? 1 + draw(random, 16) : 0; n; n--)
        image[HEADER + draw(random, (uint32_t)size - HEADER)] = (uint8_t)(next_random(random) >> 24);
}

// Cuts weights to their range and zeroes what pads a row.
static void heal_weights(uint8_t *image, size_t size, const uint8_t *row) {
    const uint64_t at = get(row + 28, 4), fan_in = get(row + 20, 4), fan_out = get(row + 24, 4);
    const uint64_t m4 = (fan_out + 3) & ~(uint64_t)3, width = row[2] == 10 ? 2 : 1;
    const uint64_t end = at + fan_in * m4 * width, table = get(image + 40, 4);
    if (fan_in > 65535 || fan_out > 65535 || end > size || at < HEADER) return;
    if (at < table + row_size(image) * (uint64_t)image[18] && end > table) return;
    for (uint64_t k = 0; k < fan_in * m4; k++) {
        uint8_t *w = image + at + k * width;
        if (k % m4 >= fan_out) memset(w, 0, width);
        if (width == 2) put(w, (get(w, 2) & 1023u) - ((get(w, 2) & 512u) << 1), 2);
    }
}

// Repairs what follows from the rest: most images are then accepted.
static void heal(uint8_t *image, size_t size) {
    edge_model_t m = {0};
    const bool chain = get(image + 4, 2) == 1;
    put(image + 8, (uint32_t)size, 4);
    m.image = image;
    m.size = size;
    m.window = (uint16_t)get(image + 16, 2);
    m.layers = image[18];
    m.input_kind = image[19];
    m.inputs = get(image + 20, 4);
    m.row_size = (uint8_t)row_size(image);
    m.lowest = m.layers;
    if (m.layers < 1 || m.layers > EDGE_MAX_LAYERS || m.window < 1 || m.window > 1024 || m.inputs > MAP_LIMIT)
        return;
    if (!table_row(image, size, m.layers - 1u)) return;
    uint32_t fan_in = m.inputs;
    for (uint32_t l = 0; l < m.layers; l++) {
        uint8_t *row = table_row(image, size, l);
        if (!row) return;  // tensors lay over the header
        if (chain) put(row + 20, fan_in, 4);
        fan_in = get(row + 24, 4);
        heal_weights(image, size, row);
        if (row[3] & 1 && m.lowest == m.layers) m.lowest = (uint8_t)l;
    }
    if (chain || get(image + 24, 2) > fan_in) put(image + 24, fan_in, 2);
    m.classes = (uint16_t)get(image + 24, 2);
    // Surrogates and capacities follow from who learns, which the loader finds out of a table that is sound.
    if (!table_row(image, size, m.layers - 1u) || m.row_size != row_size(image)) return;
    (void)check_table(&m, chain);
    for (uint32_t l = 0; l < m.layers; l++) {
        uint8_t *row = table_row(image, size, l);
        const edge_layer_t y = edge_model_layer(&m, l);
        if (edge_layer_spikes(&y) && y.passes && !y.surrogate) row[4] = 1;
        if (row[4] == 2 ? !get(row + 12, 2) : get(row + 12, 2) != 0) put(row + 12, row[4] == 2 ? 700 : 0, 2);
        if (row[4] == 1 ? get(row + 16, 4) - 1 >= 0x7FFFFFFF : get(row + 16, 4) != 0)
            put(row + 16, row[4] == 1 ? 700 : 0, 4);
        const bool needs = y.passes && edge_layer_spikes(&y) && (row[4] == 2 || y.sums);
        const uint64_t most = (uint64_t)edge_layer_neurons(&y) * m.window;
        if (!needs) put(row + 52, 0, 4);
        if (needs && (y.capacity < 1 || y.capacity > most))
            put(row + 52, most > 4096 ? 4096 : (uint32_t)most, 4);
    }
    memset(m.roles, 0, sizeof m.roles);
    if (check_table(&m, chain)) return;
    const edge_plan_t plan = edge_plan(&m, EDGE_LEARN);
    put(image + 64, (uint32_t)plan.infer, 4);
    put(image + 68, (uint32_t)plan.learn, 4);
    put(image + 72, (uint32_t)plan.weights, 4);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t largest, unsigned int seed) {
    uint32_t random = seed;
    if (largest < 1024) return LLVMFuzzerMutate(data, size, largest);
    if (size < HEADER || draw(&random, 50) == 0) size = small_image(data);
    const uint32_t how = draw(&random, 8);
    if (how == 0) {
        const size_t was = size;
        size = LLVMFuzzerMutate(data, size, largest & ~(size_t)7);
        while (size % 8) data[size++] = 0;
        if (size < HEADER) size = was;
    } else if (how < 3) {
        change_tensors(data, size, &random);
    } else if (how < 6) {
        change_layer(data, size, &random);
    } else {
        for (uint32_t n = 1 + draw(&random, 2); n; n--) change_field(data, size, &random);
    }
    if (draw(&random, 16) == 0 && size + 1024 <= largest) {  // room for tensors that grow
        memset(data + size, 0, 1024);
        size += 1024;
    }
    if (draw(&random, 8)) heal(data, size);
    if (draw(&random, 64)) seal(data, size);
    return size;
}
