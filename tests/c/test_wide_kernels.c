// The kernels that only wide machines have, against docs/arithmetic.md, one spike after another.
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../runtime_c/src/kernels/kernels.h"

#define CHECK(condition)                                                                      \
    do {                                                                                      \
        if (!(condition)) {                                                                   \
            fprintf(stderr, "%s:%d: %s (case %d)\n", __FILE__, __LINE__, #condition, number); \
            exit(1);                                                                          \
        }                                                                                     \
    } while (0)

enum { WINDOW = 64, CASES = 3000 };

static uint32_t state = 1;

static uint32_t random_below(uint32_t n) {
    state = state * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)state * n) >> 32);
}

static void random_bytes(uint8_t *p, size_t size, uint32_t style) {
    for (size_t i = 0; i < size; i++)
        p[i] = (uint8_t)(style == 0 ? 0x80 : style == 1 ? 0x7F : random_below(256));
}

static int32_t sat(int64_t x, int32_t bound) { return x > bound ? bound : x < -bound ? -bound : (int32_t)x; }

static int64_t rounded(int64_t x, int32_t n) {  // n below 0: times 2^-n
    const int64_t half = n > 0 ? (int64_t)1 << (n - 1) : 0, magnitude = x < 0 ? -x : x;
    const int64_t r = n >= 0 ? (magnitude + half) >> n : magnitude << -n;
    return x < 0 ? -r : r;
}

// Errors as docs/arithmetic.md 3.2 to 3.5 says them, one spike after another.
static void spell_errors(const edge_errors_t *e, const uint8_t *history, const uint8_t *open,
                         const uint8_t *gates, uint32_t i, int32_t *column) {
    int64_t inter = 0;
    for (uint32_t c = 0; c < e->m4; c++) inter += (int8_t)e->weights[i * e->m4 + c] * e->scores[c];
    const int32_t d = sat(rounded(inter, (int32_t)e->down_shift), 32767);
    uint32_t steps[WINDOW], n = 0, later = 0;
    for (uint32_t t = 1; t <= e->window; t++)
        if (history[i * e->history_bytes + (t - 1) / 8] >> (t - 1) % 8 & 1) steps[n++] = t;
    memset(column, 0, 4 * e->window);
    for (int32_t error = 0; n; n--) {
        const uint32_t t = steps[n - 1], before = n > 1 ? steps[n - 2] : 0, back = later ? later - t - 1 : 0;
        const int64_t eps = !later || back > 7 ? 0 : error / (1 << back);
        const int64_t theta = edge_theta(e->threshold, i, t - before);
        const int32_t ds =
            later ? sat(d - rounded(theta * eps * e->reset_mult, (int32_t)e->reset_shift), 32767) : d;
        const int32_t gate = gates[(t - 1) * EDGE_MAX_TILE + i];
        const int32_t shut = open[i * e->history_bytes + (t - 1) / 8] >> (t - 1) % 8 & 1 ? ds : 0;
        error = sat(e->cursor ? rounded((int64_t)ds * (gate + gate / 128), 8) : shut, e->error_limit);
        const int32_t unit = sat(rounded(error, e->rate), e->update_limit);
        for (uint32_t k = 0; k < 8 && t - k > before; k++) column[t - k - 1] = unit / (1 << k);
        later = t;
    }
}

static void compare_errors(const edge_kernels_t *k, int number) {
    enum { NEURONS = EDGE_MAX_TILE };
    static uint8_t history[NEURONS * 8], open[NEURONS * 8], weights[NEURONS * 16], gates[64 * EDGE_MAX_TILE];
    static uint8_t packed[64 * NEURONS + 16];
    static int16_t scores[16], eps[64 * NEURONS];
    static int32_t theta0s[NEURONS], alphas[NEURONS];
    const uint32_t n = k->together * (1 + random_below(NEURONS / k->together)), window = 8 + random_below(57);
    const uint32_t bytes = (window + 7) / 8, rate = random_below(number % 4 ? 30 : 101);
    const int32_t alpha = (int32_t)random_below(1u << random_below(22));
    const int32_t theta0 =
        (int32_t)random_below((uint32_t)(INT32_MAX - 255 - alpha * 65) >> random_below(20));
    for (uint32_t i = 0; i < NEURONS; i++) {
        theta0s[i] = (int32_t)random_below((uint32_t)theta0 + 1);
        alphas[i] = (int32_t)random_below((uint32_t)alpha + 1);
    }
    edge_threshold_t th = {NULL, NULL, theta0, alpha, 0};
    if (random_below(2)) {
        th.theta0s = (const uint8_t *)theta0s;
        th.alphas = (const uint8_t *)alphas;
    }
    memset(history, 0, sizeof history);
    random_bytes(open, sizeof open, 2);
    random_bytes(weights, sizeof weights, random_below(4));
    random_bytes(gates, sizeof gates, 2);
    uint32_t cursor[64], count = 0;
    for (uint32_t t = 0; t < window; t++) {
        cursor[t] = count;
        for (uint32_t i = 0; i < n; i++) {
            if (random_below(100) >= rate) continue;
            history[i * bytes + t / 8] |= (uint8_t)(1u << t % 8);
            packed[count++] = gates[t * EDGE_MAX_TILE + i];
        }
    }
    for (uint32_t c = 0; c < 16; c++) scores[c] = (int16_t)((int32_t)random_below(65535) - 32767);
    const bool linear = random_below(2);
    const edge_errors_t e = {.history = history,
                             .gates = linear ? packed : open,
                             .cursor = linear ? cursor : NULL,
                             .threshold = &th,
                             .weights = weights,
                             .scores = scores,
                             .m4 = 4 * (1 + random_below(4)),
                             .down_shift = random_below(number % 2 ? 10 : 32),
                             .history_bytes = bytes,
                             .window = window,
                             .reset_mult = random_below(65536),
                             .reset_shift = random_below(number % 3 ? 63 : 30),
                             .error_limit = 1 + (int32_t)random_below(32767),
                             .update_limit = 32767 / (int32_t)window,
                             .rate = (int32_t)random_below(number % 2 ? 8 : 47) - (number % 2 ? 0 : 15),
                             .stride = NEURONS};
    uint32_t largest[NEURONS];
    const uint64_t spiking = k->errors(&e, 0, n, eps, largest);
    for (uint32_t i = 0; i < n; i++) {
        int32_t column[WINDOW], most = 0;
        uint8_t any = 0;
        spell_errors(&e, history, open, gates, i, column);
        const uint32_t place = i / 4 * 4 + 2 * (i % 2) + i / 2 % 2;
        for (uint32_t t = 0; t < window; t++) {
            CHECK(eps[t * NEURONS + place] == column[t]);
            if (abs(column[t]) > most) most = abs(column[t]);
        }
        for (uint32_t b = 0; b < bytes; b++) any |= history[i * bytes + b];
        CHECK((int32_t)largest[i] == most);
        CHECK((spiking >> i & 1) == (any != 0));
    }
}

static void compare_record(const edge_kernels_t *k, int number) {
    enum { NEURONS = 1200 };
    static int32_t theta0s[NEURONS], alphas[NEURONS], u[NEURONS], u_after[NEURONS];
    static uint16_t last[NEURONS], last_after[NEURONS];
    static uint8_t history[8 * NEURONS], history_after[8 * NEURONS], spikes[NEURONS / 8 + 4],
        gates[NEURONS + 32];
    const uint32_t t = 1 + random_below(64), bytes = 8, n = 1 + random_below(NEURONS - 32);
    const uint32_t shift = random_below(25), mult = 1 + random_below(65535);
    const int32_t alpha = (int32_t)random_below(100000), theta0 = (int32_t)random_below(1u << 30);
    for (uint32_t i = 0; i < n; i++) {
        theta0s[i] = (int32_t)random_below((uint32_t)theta0 + 1);
        alphas[i] = (int32_t)random_below((uint32_t)alpha + 1);
    }
    edge_threshold_t th = {NULL, NULL, theta0, alpha, number % 4 < 2};
    if (random_below(2)) {
        th.theta0s = (const uint8_t *)theta0s;
        th.alphas = (const uint8_t *)alphas;
    }
    random_bytes(history, sizeof history, 2);
    memcpy(history_after, history, sizeof history);
    for (uint32_t i = 0; i < n; i++) {
        last[i] = (uint16_t)random_below(t);
        u[i] = edge_ceiling(edge_theta(&th, i, t - last[i])) + (int32_t)random_below(1u << random_below(30)) -
               100;
    }
    memcpy(u_after, u, sizeof u);
    memcpy(last_after, last, sizeof last);
    const edge_firing_t f = {.u = u_after,
                             .last = last_after,
                             .threshold = &th,
                             .t = t,
                             .history = history_after + 1,
                             .bytes = bytes,
                             .bit = 4,
                             .gate_mult = mult,
                             .gate_shift = shift,
                             .gate_most = ((255u << shift) + mult - 1) / mult};
    const uint32_t fired = k->record(&f, n, spikes, gates);
    uint32_t count = 0;
    for (uint32_t i = 0; i < n; i++) {
        const int32_t distance = u[i] - edge_ceiling(edge_theta(&th, i, t - last[i]));
        CHECK((spikes[i / 8] >> i % 8 & 1) == (distance >= 0));
        CHECK(u_after[i] == (distance >= 0 ? 0 : u[i]) && last_after[i] == (distance >= 0 ? t : last[i]));
        if (distance < 0) continue;
        const uint64_t lost = ((uint64_t)distance * mult) >> shift;
        CHECK(gates[count] == (lost < 255 ? 255 - lost : 0));
        history[i * bytes + 1] |= 4;
        count++;
    }
    CHECK(fired == count && memcmp(history, history_after, sizeof history) == 0);
}

static void compare(const edge_kernels_t *kernels) {
    for (int number = 0; number < CASES; number++) {
        if (kernels->errors) compare_errors(kernels, number);
        if (kernels->record) compare_record(kernels, number);
    }
}

int main(void) {
    const edge_kernels_t *best = edge_kernels();
    compare(best);
#ifdef EDGE_AVX2
    if (best == edge_avx512_kernels()) compare(edge_avx2_kernels());
#endif
    printf("%d cases a kernel%s\n", CASES, best->errors ? "" : " (none here)");
    return 0;
}
