// Every kernel set of this machine gives the bits of portable C, at the extremes too.
#include <stdbool.h>
#include <string.h>

#include "../../runtime_c/src/kernels/spikes.h"

// Ends the test. Boards have their own (targets/common/kernels.c), and call test_kernels.
void failed(const char *condition, int line, int number) __attribute__((noreturn));
bool test_kernels(void);

#define CHECK(condition)                                        \
    do {                                                        \
        if (!(condition)) failed(#condition, __LINE__, number); \
    } while (0)

enum { LINES = 100, OUTPUTS = 200, WINDOW = 100, CASES = 3000 };

static uint32_t state = 1;

static uint32_t random_below(uint32_t n) {
    state = state * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)state * n) >> 32);
}

static void random_bytes(uint8_t *p, size_t size, uint32_t style) {
    for (size_t i = 0; i < size; i++)
        p[i] = (uint8_t)(style == 0 ? 0x80 : style == 1 ? 0x7F : random_below(256));
}

static void compare_add_rows(const edge_kernels_t *a, const edge_kernels_t *b, int number) {
    static uint8_t w[LINES * OUTPUTS];
    int32_t ours[OUTPUTS], theirs[OUTPUTS];
    uint16_t list[EDGE_ROWS];
    const uint32_t m4 = 4 * (1 + random_below(OUTPUTS / 4)),
                   n = number % 3 ? random_below(EDGE_ROWS + 1) : EDGE_ROWS, leak = random_below(2);
    random_bytes(w, sizeof w, random_below(4));
    for (uint32_t k = 0; k < n; k++) list[k] = (uint16_t)random_below(LINES);
    for (uint32_t i = 0; i < m4; i++) ours[i] = theirs[i] = (int32_t)random_below(1u << 30) - (1 << 29);
    a->add_rows(ours, w, m4, list, n, leak);
    b->add_rows(theirs, w, m4, list, n, leak);
    CHECK(memcmp(ours, theirs, 4 * m4) == 0);
}

static void compare_fire(const edge_kernels_t *a, const edge_kernels_t *b, int number) {
    static int32_t theta0s[OUTPUTS], alphas[OUTPUTS], u[OUTPUTS];
    static uint16_t last[OUTPUTS];
    const uint32_t t = 1 + random_below(1024), n = 1 + random_below(32),
                   first = 32 * random_below(OUTPUTS / 32);
    const int32_t alpha = (int32_t)random_below(number % 2 ? 1000000 : 1000);
    const int32_t theta0 = (int32_t)random_below((uint32_t)(INT32_MAX - 255 - alpha * 1025));
    for (uint32_t i = 0; i < OUTPUTS; i++) {
        theta0s[i] = random_below(8) ? (int32_t)random_below((uint32_t)theta0 + 1) : 0;
        alphas[i] = (int32_t)random_below((uint32_t)alpha + 1);
        last[i] = (uint16_t)random_below(t);
    }
    edge_threshold_t th = {NULL, NULL, theta0, alpha, number % 4 < 2};
    if (random_below(2)) {
        th.theta0s = (const uint8_t *)theta0s;
        th.alphas = (const uint8_t *)alphas;
    }
    for (uint32_t i = 0; i < OUTPUTS; i++)  // around the threshold, where it matters
        u[i] = edge_ceiling(edge_theta(&th, i, t - last[i])) + (int32_t)random_below(3) - 1;
    CHECK(a->fire(u, last, &th, t, first, n) == b->fire(u, last, &th, t, first, n));
}

// The tile as the kernels want it.
static edge_moves_t update(const edge_kernels_t *k, uint8_t *w, uint32_t m4, edge_tile_t tile, uint32_t from,
                           uint32_t to) {
    static uint32_t lanes[WINDOW * EDGE_MAX_TILE / 2];
    const uint32_t words = (tile.flat ? 1 : WINDOW) * tile.words;
    for (uint32_t i = 0; i < words && k->lanes; i++) lanes[i] = tile.eps[i] + ((tile.eps[i] & 0x8000) << 1);
    if (k->lanes) tile.eps = lanes;
    return k->update(w, m4, &tile, from, to);
}

static void compare_update(const edge_kernels_t *a, const edge_kernels_t *b, int number) {
    static uint8_t ours[LINES * OUTPUTS], theirs[LINES * OUTPUTS], history[LINES * (WINDOW + 7) / 8];
    static uint32_t eps[WINDOW * EDGE_MAX_TILE / 2];
    uint32_t keys[EDGE_MAX_TILE / 4] = {0};
    const uint32_t tw = 4u << random_below(5), outputs = 1 + random_below(tw), groups = (outputs + 3) / 4;
    const uint32_t window = 1 + random_below(WINDOW), bytes = (window + 7) / 8;
    const uint32_t m4 = 4 * (groups + random_below(4)), rate = random_below(101);
    const bool flat = random_below(4) == 0;
    const int32_t limit = 32767 / (int32_t)window >> random_below(8);
    const uint32_t from = random_below(LINES), to = from + random_below(LINES - from + 1);
    random_bytes(ours, sizeof ours, random_below(4));
    memcpy(theirs, ours, sizeof ours);
    memset(history, 0, sizeof history);
    for (uint32_t j = 0; j < LINES; j++)
        for (uint32_t t = 0; t < window; t++)
            if (random_below(100) < rate) history[j * bytes + t / 8] |= (uint8_t)(1u << t % 8);
    for (uint32_t k = 0; k < (flat ? 1 : window) * tw / 2; k++) {
        const bool there = k % (tw / 2) < 2 * groups;
        const int32_t low = number % 2 ? limit : (int32_t)random_below(2u * (uint32_t)limit + 1) - limit;
        const int32_t high = number % 5 ? -limit : (int32_t)random_below(2u * (uint32_t)limit + 1) - limit;
        eps[k] = there ? (uint32_t)low + ((uint32_t)high << 16) : 0;
    }
    uint32_t bound_words[EDGE_MAX_TILE / 4] = {0};
    uint8_t *bounds = (uint8_t *)bound_words;
    for (uint32_t k = 0; k < (flat ? 1 : window) * tw / 2; k++) {
        const uint32_t word = k % (tw / 2), first = word / 2 * 4 + word % 2;
        const int32_t low = (int16_t)eps[k], high = (int16_t)((eps[k] - (uint32_t)low) >> 16);
        const uint32_t low_bound = (uint32_t)((low < 0 ? -low : low) + 31) / 32,
                       high_bound = (uint32_t)((high < 0 ? -high : high) + 31) / 32;
        if (low_bound > bounds[first]) bounds[first] = (uint8_t)(low_bound < 255 ? low_bound : 255);
        if (high_bound > bounds[first + 2])
            bounds[first + 2] = (uint8_t)(high_bound < 255 ? high_bound : 255);
    }
    for (uint32_t g = 0; g < groups; g++) keys[g] = random_below(0xFFFFFFFF) | 1;
    const edge_tile_t tile = {eps,  flat,  groups, tw / 2, history, bytes, random_below(0xFFFFFFFF),
                              keys, bounds};
    const edge_moves_t x = update(a, ours, m4, tile, from, to), y = update(b, theirs, m4, tile, from, to);
    CHECK(x.moved == y.moved && x.spikes == y.spikes);
    CHECK(memcmp(ours, theirs, sizeof ours) == 0);
}

enum { STEPS = 64, CLASSES = 12, NEURONS = 64 };

// Errors one neuron after another, as edge_word_errors makes them, against a kernel that makes several at once.
static void compare_errors(const edge_kernels_t *kernels, int number) {
    static uint8_t history[NEURONS * 8 + 32], gates[NEURONS * STEPS + 64], weights[NEURONS * CLASSES + 64];
    static int16_t scores[CLASSES + 32];
    static uint32_t ours[STEPS * EDGE_MAX_TILE / 2 + 32], theirs[STEPS * EDGE_MAX_TILE / 2 + 32];
    uint32_t our_cursor[STEPS + 32], their_cursor[STEPS + 32], our_largest[NEURONS], their_largest[NEURONS];
    const uint32_t window = 8 + random_below(STEPS - 7), bytes = (window + 7) / 8, rate = random_below(101);
    const bool linear = random_below(2), extreme = random_below(2);
    const int32_t alpha = (int32_t)random_below(extreme ? INT32_MAX / 2 / (STEPS + 1) : 2000);
    const int32_t theta0 = extreme ? INT32_MAX - 255 - alpha * (STEPS + 1) : (int32_t)random_below(300000);
    const edge_threshold_t th = {NULL, NULL, theta0, alpha, 0};
    uint32_t spikes[STEPS + 1] = {0};
    memset(history, 0, sizeof history);
    for (uint32_t i = 0; i < NEURONS; i++)
        for (uint32_t t = 0; t < window; t++)
            if (random_below(100) < rate) {
                history[i * bytes + t / 8] |= (uint8_t)(1u << t % 8);
                spikes[t + 1]++;
            }
    for (uint32_t t = 0; t < window; t++) {
        spikes[t + 1] += spikes[t];
        our_cursor[t] = their_cursor[t] = spikes[t];
    }
    random_bytes(gates, sizeof gates, random_below(4));
    random_bytes(weights, sizeof weights, random_below(4));
    for (uint32_t c = 0; c < CLASSES; c++)
        scores[c] = (int16_t)(number % 5 ? (int32_t)random_below(65535) - 32767 : 32767);
    edge_errors_t e = {history,
                       gates,
                       linear ? our_cursor : NULL,
                       &th,
                       weights,
                       scores,
                       CLASSES,
                       random_below(extreme ? 32 : 16),
                       bytes,
                       window,
                       random_below(3) ? 65535 - random_below(extreme ? 2 : 65535) : 0,
                       random_below(extreme ? 63 : 50),
                       0,
                       0,
                       0,
                       0};
    e.error_limit = extreme ? 32767 : 1 + (int32_t)random_below(32767);
    e.update_limit = 32767 / (int32_t)window;
    e.rate = extreme ? (int32_t)random_below(47) - 15 : (int32_t)random_below(20) - 5;
    e.stride = EDGE_MAX_TILE;
    memset(theirs, 0, sizeof theirs);
    const uint32_t n = kernels->together * (1 + random_below(NEURONS / kernels->together));
    const uint32_t first = random_below(NEURONS - n + 1);
    const uint64_t a = edge_word_errors(&e, first, n, (int16_t *)(void *)ours, our_largest);
    if (linear) e.cursor = their_cursor;
    const uint64_t b = kernels->errors(&e, first, n, (int16_t *)(void *)theirs, their_largest);
    CHECK(a == b);
    CHECK(memcmp(our_largest, their_largest, n * sizeof *our_largest) == 0);
    CHECK(!linear || memcmp(our_cursor, their_cursor, 4 * window) == 0);
    for (uint32_t k = 0; k < window * EDGE_MAX_TILE / 2; k++) {
#ifndef EDGE_LANES
        if (kernels->lanes) ours[k] += (ours[k] & 0x8000) << 1;
#endif
        CHECK(ours[k] == theirs[k]);
    }
}

// Fires, keeps and restarts, as edge_restart_fired does.
static void compare_restart(const edge_kernels_t *kernels, int number) {
    static int32_t u[2][OUTPUTS], theta0s[OUTPUTS], alphas[OUTPUTS];
    static uint16_t last[2][OUTPUTS];
    static uint8_t history[2][OUTPUTS * 8], gates[2][OUTPUTS * 8], spikes[2][OUTPUTS / 8 + 4];
    const uint32_t n = number % 4 ? 1 + random_below(OUTPUTS) : 32 + random_below(2),
                   bytes = 1 + random_below(8);
    const uint32_t t = 1 + random_below(8 * bytes), kept = random_below(3), style = random_below(3);
    const int32_t alpha = (int32_t)random_below(number % 2 ? 40000 : 1000);
    const int32_t least = alpha * ((int32_t)t + 1);
    const int32_t theta0 = style == 0   ? (int32_t)random_below((uint32_t)least + 1)
                           : style == 1 ? least + (int32_t)random_below(1000000)
                                        : INT32_MAX - 255 - alpha * 65;
    for (uint32_t i = 0; i < OUTPUTS; i++) {
        theta0s[i] = (int32_t)random_below((uint32_t)theta0 + 1);
        alphas[i] = (int32_t)random_below((uint32_t)alpha + 1);
        last[0][i] = last[1][i] = (uint16_t)random_below(t);
    }
    edge_threshold_t th = {NULL, NULL, theta0, alpha, (int32_t)random_below(2)};
    if (random_below(8) == 0) {
        th.theta0s = (const uint8_t *)theta0s;
        th.alphas = (const uint8_t *)alphas;
    }
    const int32_t width = number % 5 ? 1 + (int32_t)random_below(4) : INT32_MAX;
    for (uint32_t i = 0; i < OUTPUTS; i++) {
        const int32_t above = random_below(4) ? -1 - (int32_t)random_below(1000) : (int32_t)random_below(5);
        u[0][i] = u[1][i] = edge_ceiling(edge_theta(&th, i, t - last[0][i])) + above;
    }
    for (uint32_t i = 0; i < sizeof history[0]; i++) {
        history[0][i] = history[1][i] = (uint8_t)random_below(256);
        gates[0][i] = gates[1][i] = (uint8_t)random_below(256);
    }
    for (uint32_t k = 0; k < 2; k++) {
        edge_firing_t f = {.u = u[k], .last = last[k], .threshold = &th, .t = t};
        if (kept) f.history = history[k] + (t - 1) / 8;
        if (kept > 1) f.gates = gates[k] + (t - 1) / 8;
        f.bytes = bytes;
        f.bit = (uint8_t)(1u << (t - 1) % 8);
        f.gate_width = width;
        memset(spikes[k], 0, sizeof spikes[k]);
        if (k) {
            kernels->restart(&f, n, spikes[k]);
            continue;
        }
        for (uint32_t i = 0; i < n; i += 32) {
            const uint32_t fired = edge_portable_fire(u[k], last[k], &th, t, i, n - i < 32 ? n - i : 32);
            edge_store32(spikes[k] + i / 8, fired);
            (void)edge_restart_fired(&f, i, fired);
        }
    }
    CHECK(memcmp(u[0], u[1], sizeof u[0]) == 0);
    CHECK(memcmp(last[0], last[1], sizeof last[0]) == 0);
    CHECK(memcmp(spikes[0], spikes[1], sizeof spikes[0]) == 0);
    CHECK(memcmp(history[0], history[1], sizeof history[0]) == 0);
    CHECK(memcmp(gates[0], gates[1], sizeof gates[0]) == 0);
}

// Sums that go through spikes.c on every machine, against plain loops.
static void check_sums(int number) {
    static uint8_t w[EDGE_MAX_TILE];
    int16_t eps[EDGE_MAX_TILE];
    int32_t sums[EDGE_MAX_TILE + 1], wanted[EDGE_MAX_TILE + 1], dot = 0;
    const uint32_t n = random_below(EDGE_MAX_TILE + 1);
    const int32_t x = number % 2 ? 1 : (int32_t)random_below(256) - 128;
    random_bytes(w, sizeof w, random_below(4));
    for (uint32_t i = 0; i <= EDGE_MAX_TILE; i++)
        sums[i] = wanted[i] = (int32_t)random_below(1u << 30) - (1 << 29);
    for (uint32_t i = 0; i < n; i++) {
        eps[i] = (int16_t)(number % 3 ? (int32_t)random_below(65535) - 32767 : number % 9 ? 32767 : -32767);
        wanted[i] += x * eps[i];
        dot += (int8_t)w[i] * eps[i];
    }
    edge_add_eps(sums, eps, x, n);
    CHECK(memcmp(sums, wanted, sizeof sums) == 0);
    CHECK(edge_dot(w, eps, n) == dot);
}

static void compare(const edge_kernels_t *kernels) {
    const edge_kernels_t *portable = edge_portable_kernels();
    for (int number = 0; number < CASES; number++) {
        compare_add_rows(kernels, portable, number);
        compare_fire(kernels, portable, number);
        compare_update(kernels, portable, number);
        if (kernels->restart) compare_restart(kernels, number);
        if (kernels->errors && kernels->errors != edge_word_errors) compare_errors(kernels, number);
    }
}

// Returns whether there are others than portable C.
bool test_kernels(void) {
    const edge_kernels_t *best = edge_kernels();
    for (int number = 0; number < CASES; number++) check_sums(number);
    compare(best);
#ifdef EDGE_AVX2
    if (best == edge_avx512_kernels()) compare(edge_avx2_kernels());
#endif
    return best != edge_portable_kernels();
}

#ifndef TEST_ON_BOARD
#include <stdio.h>
#include <stdlib.h>

void failed(const char *condition, int line, int number) {
    fprintf(stderr, "line %d: %s (case %d)\n", line, condition, number);
    exit(1);
}

int main(void) {
    const bool others = test_kernels();
    printf("%d cases a kernel%s\n", CASES, others ? "" : " (portable C only)");
    return 0;
}
#endif
