// The store on simulated flash: power cut at every operation, twice, torn in every way; worn, failing and random flash.
//
// Usage: test_store [full]. A case is one history with its cuts; what it must leave is known from a model of the store: the old state or the new,
// whole, with its sequence.
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edge/store.h"
#include "small_image.h"

static char replay[200];  // what the case under way is

#define CHECK(condition)                                                                \
    do {                                                                                \
        if (!(condition)) {                                                             \
            fprintf(stderr, "%s:%d: %s\n%s\n", __FILE__, __LINE__, #condition, replay); \
            exit(1);                                                                    \
        }                                                                               \
    } while (0)

#include "flash_sim.h"

enum { LARGEST_BUFFER = 512 };

typedef struct {
    uint32_t sectors, sector_size, unit, buffer;
} geometry_t;

static void flash_of(flash_t *f, const geometry_t *g, uint32_t seed) {
    flash_new(f, g->sectors, g->sector_size, g->unit, seed);
}

// small_image with an encoder in front of its 16 spikes: differences of 8 channels.
static size_t encoded_image(uint8_t *to) {
    const size_t block = small_image(to), size = block + 48;
    uint8_t *encoder = to + block;
    memset(encoder, 0, 48);
    encoder[0] = 1;
    encoder[1] = 8;
    put(encoder + 2, 1, 2);
    encoder[4] = 1;
    encoder[10] = 3;
    put(encoder + 16, 200, 2);
    put(encoder + 18, 1, 2);
    put(to + 8, (uint32_t)size, 4);
    put(to + 44, (uint32_t)block, 4);
    seal(to, size);
    return size;
}

/// A board: a net, a store, and what the store must hold ///

static uint8_t *image;
static size_t image_size;
static bool with_windows;

enum { WINDOW = 160, MOST_WINDOWS = 9, KEPT = (MOST_WINDOWS + 1) * (WINDOW + 1) };

typedef struct {
    edge_model_t model;
    edge_net_t net;
    edge_store_t store;
    edge_kept_t kept;
    uint8_t *weights, *arena, *windows;
    uint8_t *buffer;
    uint32_t buffer_size;
} board_t;

static edge_kept_t *kept_of(board_t *b) { return with_windows ? &b->kept : NULL; }

// As many windows as fit half of the flash, or fewer.
static void keep_windows(board_t *b, uint32_t k) {
    const uint32_t room = edge_store_room(&b->store, &b->net) / (WINDOW + 1);
    uint32_t random = k;
    b->kept.count = k * 5 % (1 + (room < MOST_WINDOWS ? room : MOST_WINDOWS));
    for (uint32_t i = 0; i < b->kept.count; i++) b->kept.labels[i] = (uint8_t)((k + i) % 5);
    for (uint32_t i = 0; i < b->kept.count * WINDOW; i++)
        b->kept.rows[i] = (uint8_t)(next_random(&random) >> 24);
}

// State number k of the net: weights, update number, rate decay, alignment and kept windows follow from it.
static void become(board_t *b, uint32_t k, edge_alignment_t *alignment) {
    if (with_windows) keep_windows(b, k);
    uint32_t random = k * 2654435761u + 1;
    memcpy(b->weights, image + 272, edge_model_weights_size(&b->model));
    for (int w = 0; w < 16 * 12; w++) b->weights[w] = (uint8_t)(next_random(&random) >> 24);
    b->net.update = 1000 + k;
    b->net.rate_decay = (uint8_t)(k % 16);
    for (int c = 0; c < EDGE_MAX_CHANNELS; c++)
        alignment->gain[c] = (int8_t)((int)((k * 7 + (uint32_t)c) % 256) - 128);
    alignment->rotation = (int8_t)((int)(k % 256) - 128);
}

static bool is_state(board_t *b, uint32_t k, const edge_alignment_t *found) {
    static uint8_t weights[1 << 12], windows[KEPT];
    edge_alignment_t wanted;
    const size_t size = edge_model_weights_size(&b->model);
    const uint32_t update = b->net.update, decay = b->net.rate_decay, count = b->kept.count;
    memcpy(weights, b->weights, size);
    memcpy(windows, b->windows, KEPT);
    become(b, k, &wanted);
    const bool same = memcmp(weights, b->weights, size) == 0 && update == b->net.update &&
                      decay == b->net.rate_decay && memcmp(&wanted, found, sizeof wanted) == 0 &&
                      count == b->kept.count && memcmp(windows, b->kept.labels, count) == 0 &&
                      memcmp(windows + b->kept.capacity, b->kept.rows, count * WINDOW) == 0;
    memcpy(b->windows, windows, KEPT);
    b->kept.count = count;
    memcpy(b->weights, weights, size);
    b->net.update = update;
    b->net.rate_decay = (uint8_t)decay;
    return same;
}

static void board_start(board_t *b, uint32_t buffer_size) {
    CHECK(edge_model_open(&b->model, image, image_size) == 0);
    b->weights = malloc(edge_model_weights_size(&b->model));
    b->arena = malloc(edge_model_arena_size(&b->model, EDGE_LEARN));
    b->windows = calloc(1, KEPT);
    edge_kept_init(&b->kept, b->windows, KEPT, WINDOW, EDGE_KEPT_MOST);
    b->buffer = malloc(buffer_size);
    b->buffer_size = buffer_size;
    CHECK(edge_net_init(&b->net, &b->model, b->weights, b->arena,
                        edge_model_arena_size(&b->model, EDGE_LEARN), EDGE_LEARN) == 0);
}

static void board_stop(board_t *b) {
    free(b->weights);
    free(b->arena);
    free(b->windows);
    free(b->buffer);
}

static int restart(board_t *b, const edge_flash_t *port) {
    memset(b->buffer, 0xA5, b->buffer_size);
    CHECK(edge_store_init(&b->store, port, b->buffer, b->buffer_size) == 0);
    return edge_store_open(&b->store, &b->net);
}

// What a store holds: number of the confirmed state, 0 for none, and its sequence.
typedef struct {
    uint32_t state, sequence;
} held_t;

// The store, opened anew, holds `held`.
static void check_holds(board_t *b, const flash_t *f, const held_t *held) {
    edge_alignment_t alignment;
    const int opened = restart(b, &f->port);
    const uint32_t sequence = edge_store_sequence(&b->store);
    CHECK(sequence == held->sequence && edge_store_trial(&b->store) == 0);
    CHECK(opened == (held->state ? 0 : EDGE_ERR_EMPTY));
    become(b, 9999, &alignment);
    CHECK(edge_store_load(&b->store, &b->net, &alignment, kept_of(b)) == opened);
    CHECK(is_state(b, held->state ? held->state : 9999, &alignment));
}

/// Histories ///

// W writes a new state on trial, C confirms it, L loads, R restarts. Runs until power fails. Returns the number of operations, or NEVER if power failed.
static int run(board_t *b, flash_t *f, const char *history, uint32_t *state, held_t *held) {
    edge_alignment_t alignment;
    held_t trial = {0, 0};
    for (const char *h = history; *h; h++) {
        int result = 0;
        if (*h == 'W') {
            become(b, ++*state, &alignment);
            result = edge_store_write(&b->store, &b->net, &alignment, kept_of(b));
            trial.state = result ? 0 : *state;
            trial.sequence = edge_store_trial(&b->store);
            if (!result) CHECK(trial.sequence > held->sequence);
        } else if (*h == 'C') {
            const int units = (8 + (int)f->port.unit - 1) / (int)f->port.unit, from = f->operations;
            result = edge_store_confirm(&b->store);
            if (!trial.state) CHECK(result == EDGE_ERR_TRIAL);
            // Confirmed is what has the last unit of its mark, to the last bit.
            if (!result || (f->off && f->operations == from + units && f->torn_whole)) *held = trial;
            trial.state = 0;
            if (result == EDGE_ERR_TRIAL) result = 0;
        } else if (*h == 'L') {
            result = edge_store_load(&b->store, &b->net, &alignment, kept_of(b));
            CHECK(result == (held->state ? 0 : EDGE_ERR_EMPTY));
            if (!result) CHECK(is_state(b, held->state, &alignment));
            trial.state = result = 0;
        } else {
            check_holds(b, f, held);
            trial.state = 0;
        }
        if (f->off) return NEVER;
        CHECK(result == 0);
        CHECK(edge_store_sequence(&b->store) == held->sequence);
    }
    return f->operations;
}

static unsigned long cases, cuts;

// Every cut of a history, and every cut (or one of `stride`) of what is done afterwards.
static void cut_everywhere(const geometry_t *g, const char *history, const char *after, int first_stride,
                           int second_stride) {
    static flash_t f, half, start;
    board_t b;
    uint32_t state;
    held_t held;
    board_start(&b, g->buffer);
    flash_of(&start, g, 1);
    for (int first = 0;; first += first_stride) {
        bool over = false;
        for (int torn = 0; torn < TORN && !over; torn++) {
            snprintf(replay, sizeof replay, "geometry %u x %u unit %u, history %s, cut %d torn %d",
                     g->sectors, g->sector_size, g->unit, history, first, torn);
            f = start;
            f.port.context = &f;
            f.random = (uint32_t)(first * TORN + torn + 1);
            f.cut_at = first;
            f.torn = (enum torn)torn;
            state = 0;
            held = (held_t){0, 0};
            (void)restart(&b, &f.port);
            over = run(&b, &f, history, &state, &held) != NEVER;
            if (over) break;
            power_on(&f);
            check_holds(&b, &f, &held);
            cases++;
            cuts++;
            // Opening twice finds the same.
            check_holds(&b, &f, &held);
            half = f;
            const uint32_t state_then = state;
            const held_t held_then = held;
            for (int second = second_stride ? (first + torn) % second_stride : NEVER;;
                 second += second_stride) {
                f = half;
                f.port.context = &f;
                f.cut_at = second;
                f.torn = (enum torn)((second + first) % TORN);
                state = state_then;
                held = held_then;
                snprintf(replay + strlen(replay) % 120, 60, " then %s cut %d", after, second);
                (void)restart(&b, &f.port);
                const bool done = run(&b, &f, after, &state, &held) != NEVER;
                if (!done) {
                    power_on(&f);
                    check_holds(&b, &f, &held);
                    cases++;
                    cuts += 2;
                }
                // Whatever happened, the store goes on.
                f.cut_at = NEVER;
                CHECK(run(&b, &f, "WCLR", &state, &held) != NEVER && held.state == state);
                uint32_t erases;
                CHECK(edge_store_wear(&b.store, b.store.live / b.store.slots * b.store.bank_sectors,
                                      &erases) == 0);
                if (done) break;
            }
        }
        if (over) break;
    }
    board_stop(&b);
}

/// Wear, failing flash, random flash ///

// Records larger than a bank take turns at the ends of the region.
static void long_records_wear_alike(const geometry_t *g) {
    static flash_t f;
    board_t b;
    uint32_t state = 0, low, high;
    held_t held = {0, 0};
    snprintf(replay, sizeof replay, "long records, %u x %u unit %u", g->sectors, g->sector_size, g->unit);
    board_start(&b, g->buffer);
    flash_of(&f, g, 7);
    (void)restart(&b, &f.port);
    CHECK(edge_store_room(&b.store, &b.net) >= MOST_WINDOWS * (WINDOW + 1));
    for (int k = 0; k < 100; k++) {
        do state++;
        while (state * 5 % (1 + MOST_WINDOWS) != 5);
        state--;
        CHECK(run(&b, &f, "WC", &state, &held) != NEVER);
        check_holds(&b, &f, &held);
    }
    CHECK(edge_store_wear(&b.store, 0, &low) == 0);
    CHECK(edge_store_wear(&b.store, b.store.banks * b.store.bank_sectors - 1, &high) == 0);
    // A first count starts from the highest of all: up to one more for each sector of an end.
    CHECK(low >= 50 && high >= 50 && low + high <= 106);
    board_stop(&b);
}

static void wear_is_spread(const geometry_t *g) {
    static flash_t f;
    board_t b;
    uint32_t state = 0, least = UINT32_MAX, most = 0, counted;
    held_t held = {0, 0};
    snprintf(replay, sizeof replay, "wear, %u x %u unit %u", g->sectors, g->sector_size, g->unit);
    board_start(&b, g->buffer);
    flash_of(&f, g, 7);
    (void)restart(&b, &f.port);
    for (int k = 0; k < 400; k++) CHECK(run(&b, &f, k % 5 ? "WC" : "WRWC", &state, &held) != NEVER);
    const uint32_t used = b.store.banks * b.store.bank_sectors;
    for (uint32_t sector = 0; sector < used; sector++) {
        CHECK(edge_store_wear(&b.store, sector, &counted) == 0);
        // A sector's first count starts from the highest of all.
        CHECK(counted >= f.erases[sector] && counted <= f.erases[sector] + used);
        if (counted < least) least = counted;
        if (counted > most) most = counted;
    }
    CHECK(most - least <= 2);
    CHECK(edge_store_wear(&b.store, g->sectors, &counted) == EDGE_ERR_ARGUMENT);
    board_stop(&b);
}

static void survives_bad_sectors(const geometry_t *g) {
    static flash_t f;
    board_t b;
    for (int kind = 0; kind < 3; kind++) {
        for (uint32_t bad = 0; bad < g->sectors; bad++) {
            uint32_t state = 0;
            held_t held = {0, 0};
            snprintf(replay, sizeof replay, "bad sector %u of %u x %u, kind %d", bad, g->sectors,
                     g->sector_size, kind);
            board_start(&b, g->buffer);
            flash_of(&f, g, 7);
            (void)restart(&b, &f.port);
            CHECK(run(&b, &f, "WCWC", &state, &held) != NEVER);
            f.program_fails = kind == 0;
            f.program_lies = kind == 1;
            f.erase_fails = kind == 2;
            f.bad = bad;
            edge_alignment_t alignment;
            for (int k = 0; k < 40; k++) {
                become(&b, ++state, &alignment);
                const int result = edge_store_write(&b.store, &b.net, &alignment, kept_of(&b));
                CHECK(result == 0 || result == EDGE_ERR_FLASH);
                if (b.store.banks > 2 && !with_windows) CHECK(result == 0);
                const uint32_t sequence = edge_store_trial(&b.store);
                if (result == 0 && k % 2 && edge_store_confirm(&b.store) == 0)
                    held = (held_t){state, sequence};
                check_holds(&b, &f, &held);
            }
            board_stop(&b);
        }
    }
}

// Any bytes: open, load and write answer, inside the region (flash_read and flash_program check it) and inside their memory (sanitizers do).
static void survives_random_flash(const geometry_t *g, uint32_t rounds) {
    static flash_t f;
    board_t b;
    edge_alignment_t alignment;
    board_start(&b, g->buffer);
    for (uint32_t k = 0; k < rounds; k++) {
        uint32_t state = 0;
        held_t held = {0, 0};
        flash_of(&f, g, k + 1);
        snprintf(replay, sizeof replay, "random flash %u of %u x %u", k, g->sectors, g->sector_size);
        const uint32_t size = g->sectors * g->sector_size;
        if (k % 4 == 0) {
            for (uint32_t at = 0; at < size; at++) f.bytes[at] = (uint8_t)draw(&f);
        } else {
            (void)restart(&b, &f.port);
            CHECK(run(&b, &f, "WCWCWCW", &state, &held) != NEVER);
            for (uint32_t n = 1 + draw(&f) % 20; n; n--)
                f.bytes[draw(&f) % (k % 4 == 1 ? 1024u % size + 64 : size)] ^= (uint8_t)(1u << draw(&f) % 8);
            if (k % 4 == 3) f.read_fails = 2 + (int)(draw(&f) % 100);
        }
        const int opened = restart(&b, &f.port);
        CHECK(opened == 0 || opened == EDGE_ERR_EMPTY);
        if (k % 4 == 2) f.read_lies = 2 + (int)(draw(&f) % 30);
        const int loaded = edge_store_load(&b.store, &b.net, &alignment, kept_of(&b));
        f.read_lies = 0;
        if (k % 4 == 2) f.sync_fails = 1 + (int)(draw(&f) % 8);
        const bool fails = f.read_fails || f.sync_fails;
        CHECK(loaded == 0 || loaded == EDGE_ERR_EMPTY || loaded == EDGE_ERR_FLASH);
        if (loaded == 0) {
            bool known = false;
            for (uint32_t n = 1; n <= state; n++) known = known || is_state(&b, n, &alignment);
            CHECK(known);
        }
        for (int n = 0; n < 6; n++) {
            become(&b, ++state, &alignment);
            const int written = edge_store_write(&b.store, &b.net, &alignment, kept_of(&b));
            CHECK(written == 0 || (written == EDGE_ERR_FLASH && fails));
            if (written) continue;
            const int confirmed = edge_store_confirm(&b.store);
            CHECK(confirmed == 0 || (confirmed == EDGE_ERR_FLASH && fails));
            if (fails) continue;
            held = (held_t){state, edge_store_sequence(&b.store)};
            check_holds(&b, &f, &held);
        }
    }
    board_stop(&b);
}

// One bit of the newest state, anywhere in it: the one before counts.
static void falls_back(const geometry_t *g) {
    static flash_t f;
    board_t b;
    board_start(&b, g->buffer);
    for (uint32_t k = 0; k < 60; k++) {
        uint32_t state = 0;
        held_t held = {0, 0}, before;
        snprintf(replay, sizeof replay, "bit %u of the newest state, %u x %u", k, g->sectors, g->sector_size);
        flash_of(&f, g, k + 1);
        (void)restart(&b, &f.port);
        CHECK(run(&b, &f, "WCWC", &state, &held) != NEVER);
        before = held;
        CHECK(run(&b, &f, "WC", &state, &held) != NEVER && held.state == 3);
        const uint32_t data =
            b.store.live % b.store.slots * b.store.slot_size + (g->unit > 32 ? g->unit : 32) + draw(&f) % 300;
        const uint32_t header = g->sector_size - b.store.sector_data;
        const uint32_t sector =
            b.store.live / b.store.slots * b.store.bank_sectors + data / b.store.sector_data;
        f.bytes[sector * g->sector_size + header + data % b.store.sector_data] ^=
            (uint8_t)(1u << draw(&f) % 8);
        check_holds(&b, &f, &before);
    }
    board_stop(&b);
}

// A board on new flash that has learned.
static void start_learned(board_t *b, flash_t *f, const geometry_t *g, edge_alignment_t *alignment) {
    board_start(b, g->buffer);
    flash_of(f, g, 1);
    (void)restart(b, &f->port);
    become(b, 1, alignment);
}

// A state with weights that no net could have, and right checksums: the net gets its image's own weights.
static void refuses_forged_weights(void) {
    static const geometry_t g = {4, 2048, 8, 64};
    static flash_t f;
    board_t b;
    edge_alignment_t alignment;
    start_learned(&b, &f, &g, &alignment);
    b.weights[16 * 12 + 7] = 1;  // pads a row
    CHECK(edge_store_write(&b.store, &b.net, &alignment, kept_of(&b)) == 0 &&
          edge_store_confirm(&b.store) == 0);
    b.weights[16 * 12 + 7] = 0;
    CHECK(restart(&b, &f.port) == 0);
    CHECK(edge_store_load(&b.store, &b.net, &alignment, kept_of(&b)) == EDGE_ERR_FLASH);
    CHECK(memcmp(b.weights, image + 272, edge_model_weights_size(&b.model)) == 0 &&
          edge_net_updates(&b.net) == 0);
    board_stop(&b);
}

// Every call that cannot be carried out says why.
static void refuses_by_name(void) {
    static const geometry_t g = {4, 2048, 8, 64};
    static flash_t f;
    board_t b;
    uint32_t erases;
    snprintf(replay, sizeof replay, "wrong use");
    board_start(&b, g.buffer);
    flash_of(&f, &g, 1);
    const edge_flash_t good = f.port;
    edge_flash_t bad[12];
    for (int k = 0; k < 12; k++) bad[k] = good;
    bad[0].read = NULL;
    bad[1].program = NULL;
    bad[2].erase = NULL;
    bad[3].unit = 0;
    bad[4].unit = 3;
    bad[5].unit = 512;
    bad[6].sectors = 1;
    bad[7].sectors = 65536;
    bad[8].sector_size = 2044;
    bad[9].sector_size = 56;
    bad[10].unit = bad[10].sector_size = 128;
    bad[11].sector_size = 0x40000000;
    for (int k = 0; k < 12; k++) {
        CHECK(edge_store_init(&b.store, &bad[k], b.buffer, 64) == EDGE_ERR_ARGUMENT);
        CHECK(edge_store_sectors(&bad[k], &b.net) == 0);
    }
    CHECK(edge_store_sectors(NULL, &b.net) == 0 && edge_store_sectors(&good, NULL) == 0);
    CHECK(edge_store_init(NULL, &good, b.buffer, 64) == EDGE_ERR_ARGUMENT);
    CHECK(edge_store_init(&b.store, NULL, b.buffer, 64) == EDGE_ERR_ARGUMENT);
    CHECK(edge_store_init(&b.store, &good, NULL, 64) == EDGE_ERR_ARGUMENT);
    CHECK(edge_store_init(&b.store, &good, b.buffer, 31) == EDGE_ERR_ARGUMENT);
    bad[0] = good;
    bad[0].unit = 128;
    CHECK(edge_store_init(&b.store, &bad[0], b.buffer, 64) == EDGE_ERR_ARGUMENT);

    bad[0] = good;
    bad[0].sectors = 3;
    bad[0].sector_size = 256;
    CHECK(edge_store_sectors(&bad[0], &b.net) == 4);
    CHECK(edge_store_init(&b.store, &bad[0], b.buffer, 64) == 0);
    CHECK(edge_store_open(&b.store, &b.net) == EDGE_ERR_ROOM);
    CHECK(edge_store_write(&b.store, &b.net, NULL, NULL) == EDGE_ERR_ROOM);
    CHECK(edge_store_load(&b.store, &b.net, NULL, NULL) == EDGE_ERR_ROOM);
    CHECK(edge_store_confirm(&b.store) == EDGE_ERR_TRIAL);

    CHECK(restart(&b, &good) == EDGE_ERR_EMPTY);
    CHECK(edge_store_wear(&b.store, 0, &erases) == EDGE_ERR_EMPTY);
    CHECK(edge_store_wear(&b.store, 4, &erases) == EDGE_ERR_ARGUMENT);
    CHECK(edge_store_wear(&b.store, 0, NULL) == EDGE_ERR_ARGUMENT);
    CHECK(edge_store_wear(NULL, 0, &erases) == EDGE_ERR_ARGUMENT);
    CHECK(edge_store_load(&b.store, &b.net, NULL, NULL) == EDGE_ERR_EMPTY);
    CHECK(edge_store_confirm(&b.store) == EDGE_ERR_TRIAL && edge_store_confirm(NULL) == EDGE_ERR_TRIAL);
    CHECK(edge_store_sequence(NULL) == 0 && edge_store_trial(NULL) == 0);
    CHECK(edge_store_open(&b.store, NULL) == EDGE_ERR_ARGUMENT);
    CHECK(edge_store_open(NULL, &b.net) == EDGE_ERR_ARGUMENT);
    CHECK(edge_store_write(&b.store, NULL, NULL, NULL) == EDGE_ERR_ARGUMENT);
    CHECK(edge_store_load(NULL, &b.net, NULL, NULL) == EDGE_ERR_ARGUMENT);
    memset(&b.store, 0, sizeof b.store);
    CHECK(edge_store_open(&b.store, &b.net) == EDGE_ERR_ARGUMENT);
    CHECK(edge_store_write(&b.store, &b.net, NULL, NULL) == EDGE_ERR_ARGUMENT);

    // While a window is being learned.
    CHECK(restart(&b, &good) == EDGE_ERR_EMPTY);
    const uint8_t spikes[2] = {0xFF, 0xFF};
    for (int t = 0; t < 10; t++) CHECK(edge_net_step(&b.net, spikes) == 0);
    CHECK(edge_net_learn_begin(&b.net, 1) == 0);
    CHECK(edge_store_write(&b.store, &b.net, NULL, NULL) == EDGE_ERR_BUSY);
    CHECK(edge_store_load(&b.store, &b.net, NULL, NULL) == EDGE_ERR_BUSY);
    board_stop(&b);
}

// The header of the only record there is.
static uint8_t *only_header(flash_t *f) {
    uint8_t *found = NULL;
    for (uint32_t at = 0; at + 32 < f->port.sectors * f->port.sector_size; at += f->port.unit) {
        if (memcmp(f->bytes + at, "EDGR", 4) != 0) continue;
        CHECK(!found);
        found = f->bytes + at;
    }
    CHECK(found);
    return found;
}

// A header that its checksum fits is none where a field has no meaning; a window of a class that cannot be is none.
static void refuses_forged_records(void) {
    static const geometry_t g = {8, 1024, 8, 64};
    static const struct { uint8_t at, value; } forged[] = {{4, 0}, {4, 3}, {6, 3}, {7, 1}};
    static flash_t f;
    board_t b;
    edge_alignment_t alignment;
    start_learned(&b, &f, &g, &alignment);
    b.kept.count = 1;
    b.kept.labels[0] = 5;  // the image has five classes
    CHECK(edge_store_write(&b.store, &b.net, &alignment, &b.kept) == 0 && edge_store_confirm(&b.store) == 0);
    CHECK(restart(&b, &f.port) == 0);
    CHECK(edge_store_load(&b.store, &b.net, &alignment, &b.kept) == EDGE_ERR_FLASH && b.kept.count == 0);
    uint8_t *header = only_header(&f), before[32];
    memcpy(before, header, sizeof before);
    for (uint32_t k = 0; k < sizeof forged / sizeof *forged; k++) {
        memcpy(header, before, sizeof before);
        header[forged[k].at] = forged[k].value;
        put(header + 28, crc32_of(header, 28), 4);
        CHECK(restart(&b, &f.port) == EDGE_ERR_EMPTY);
    }
    board_stop(&b);
}

// Windows of another size, or more than half of the flash holds, are refused; a state on trial that is gone is named.
static void refuses_windows_and_trials(void) {
    static const geometry_t g = {8, 1024, 8, 64};
    static flash_t f;
    board_t b;
    edge_alignment_t alignment;
    start_learned(&b, &f, &g, &alignment);
    edge_kept_t other = b.kept;
    other.count = 1;
    other.window_size--;
    CHECK(edge_store_write(&b.store, &b.net, NULL, &other) == EDGE_ERR_ARGUMENT);
    other = b.kept;
    other.count = 1 + edge_store_room(&b.store, &b.net) / (WINDOW + 1);
    CHECK(edge_store_write(&b.store, &b.net, NULL, &other) == EDGE_ERR_ROOM);

    CHECK(edge_store_peek(NULL, EDGE_STORE_TRIAL, &b.net, NULL) == EDGE_ERR_ARGUMENT);
    CHECK(edge_store_peek(&b.store, EDGE_STORE_TRIAL, &b.net, NULL) == EDGE_ERR_TRIAL);
    CHECK(edge_store_peek(&b.store, EDGE_STORE_CONFIRMED, &b.net, NULL) == EDGE_ERR_EMPTY);
    for (int learns = 1; learns >= 0; learns--) {
        if (!learns)  // the same store, for a net that keeps an alignment alone
            CHECK(edge_net_init(&b.net, &b.model, NULL, b.arena, edge_model_arena_size(&b.model, EDGE_INFER),
                                EDGE_INFER) == 0);
        CHECK(edge_store_write(&b.store, &b.net, &alignment, NULL) == 0);
        CHECK(edge_store_peek(&b.store, EDGE_STORE_TRIAL, &b.net, NULL) == 0);
        f.off = true;
        CHECK(edge_store_peek(&b.store, EDGE_STORE_TRIAL, &b.net, &alignment) == EDGE_ERR_FLASH);
        CHECK(edge_net_updates(&b.net) == 0);
        f.off = false;
        CHECK(edge_store_confirm(&b.store) == 0);
        CHECK(edge_store_updates(&b.store) == (learns ? 1001u : 0u) && edge_store_updates(NULL) == 0);
        f.off = true;
        CHECK(edge_store_updates(&b.store) == 0);
        f.off = false;
    }
    board_stop(&b);
}

static int bank_commit(const edge_bank_port_t *bank, const edge_net_t *n, const edge_alignment_t *a) {
    const int error = bank->write(bank->context, n, a, NULL);
    return error ? error : bank->confirm(bank->context);
}

// A net that does not learn keeps its alignment; the link's port commits and rolls back; a port without sync will do.
static void keeps_an_alignment_alone(void) {
    static const geometry_t g = {3, 512, 4, 64};
    static flash_t f;
    board_t b;
    edge_alignment_t alignment = {-3, {1, 2}}, found;
    edge_bank_port_t bank;
    board_start(&b, g.buffer);
    flash_of(&f, &g, 1);
    f.port.sync = NULL;
    CHECK(edge_net_init(&b.net, &b.model, NULL, b.arena, edge_model_arena_size(&b.model, EDGE_INFER),
                        EDGE_INFER) == 0);
    CHECK(restart(&b, &f.port) == EDGE_ERR_EMPTY);
    edge_store_bank(&b.store, &bank);
    CHECK(bank.load(bank.context, &b.net, &found, NULL, 0) == EDGE_LINK_ERR_BANK);
    CHECK(bank_commit(&bank, &b.net, &alignment) == 0);
    CHECK(restart(&b, &f.port) == 0);
    CHECK(bank.load(bank.context, &b.net, &found, NULL, 0) == 0 &&
          memcmp(&found, &alignment, sizeof found) == 0);
    CHECK(bank_commit(&bank, &b.net, NULL) == 0);
    CHECK(bank.load(bank.context, &b.net, &found, NULL, 0) == 0 && found.rotation == 0 && found.gain[0] == 0);
    f.off = true;
    CHECK(bank_commit(&bank, &b.net, &alignment) == EDGE_ERR_FLASH);
    CHECK(bank.load(bank.context, &b.net, &found, NULL, 0) == EDGE_LINK_ERR_BANK);
    board_stop(&b);
}

// The last sequence there is counts, and nothing can be written after it.
static void ends_with_its_sequence(void) {
    static const geometry_t g = {3, 512, 4, 64};
    static flash_t f;
    board_t b;
    board_start(&b, g.buffer);
    flash_of(&f, &g, 1);
    (void)restart(&b, &f.port);
    b.store.newest = UINT32_MAX - 2;
    memcpy(f.bytes + g.sector_size, "EDGF\1\0\0\0\xFF\xFF\xFF\xFF\0\0\0\0",
           16);  // erased as often as it can count
    CHECK(edge_store_write(&b.store, &b.net, NULL, NULL) == 0 && edge_store_confirm(&b.store) == 0);
    CHECK(edge_store_sequence(&b.store) == UINT32_MAX - 1);
    CHECK(edge_store_write(&b.store, &b.net, NULL, NULL) == EDGE_ERR_FLASH);
    CHECK(restart(&b, &f.port) == 0 && edge_store_sequence(&b.store) == UINT32_MAX - 1);
    uint32_t erases;
    CHECK(edge_store_wear(&b.store, 2, &erases) == 0 && erases == UINT32_MAX);
    // One more, forged, is none.
    uint8_t *header = f.bytes + 2 * g.sector_size + 16;
    put(header + 8, UINT32_MAX, 4);
    put(header + 28, crc32_of(header, 28), 4);
    CHECK(restart(&b, &f.port) == EDGE_ERR_EMPTY);
    board_stop(&b);
}

int main(int argc, char **argv) {
    static const geometry_t geometries[] = {
        {3, 4096, 4, 256},    // sectors of 4 KB, words
        {5, 2048, 8, 64},     // double words
        {6, 1024, 2, 37},     // half words
        {4, 16384, 32, 64},   // flash words of 256 bits
        {6, 256, 1, 300},     // a state is larger than a sector
        {3, 4096, 256, 256},  // pages
    };
    static const geometry_t with_room[] = {
        {3, 4096, 4, 256},    // all windows in one bank
        {8, 1024, 8, 64},     // records of one bank and of two
        {16, 512, 4, 64},     // and of more: a slot a bank
        {17, 256, 1, 37},     // a slot lies in two sectors, a record in many
        {9, 1024, 32, 64},    // banks that are not even
        {4, 16384, 256, 256}  // pages
    };
    const int count = (int)(sizeof geometries / sizeof *geometries);
    const bool full = argc > 1 && strcmp(argv[1], "full") == 0;
    static uint8_t memory[1024] __attribute__((aligned(8)));
    image = memory;
    image_size = encoded_image(image);
    refuses_by_name();
    refuses_forged_records();
    refuses_windows_and_trials();
    keeps_an_alignment_alone();
    ends_with_its_sequence();
    refuses_forged_weights();
    for (int k = 0; k < count; k++) {
        const geometry_t *g = geometries + k;
        const int quick = g->unit >= 32 ? 1 : g->unit >= 8 ? 3 : 7;
        cut_everywhere(g, "WCWWCRWLCWC", "WC", full ? 1 : quick, full ? quick * 3 - 2 : quick * 11);
        cut_everywhere(g, "WCWCWCWCWCWCWCWCWCWC", "WRWC", full ? quick : quick * 7, full ? quick * 7 : 0);
        falls_back(g);
        wear_is_spread(g);
        survives_bad_sectors(g);
        survives_random_flash(g, full ? 2000 : 100);
    }
    with_windows = true;
    const int more = (int)(sizeof with_room / sizeof *with_room);
    for (int k = 0; k < more; k++) {
        const geometry_t *g = with_room + k;
        const int quick = g->unit >= 32 ? 1 : g->unit >= 8 ? 7 : 29;
        cut_everywhere(g, "WCWWCRWLCWC", "WC", full ? quick : quick * 3, full ? quick * 7 : quick * 31);
        cut_everywhere(g, "WCWCWCWCWCWC", "WRWC", full ? quick : quick * 7, full ? quick * 31 : 0);
        falls_back(g);
        survives_bad_sectors(g);
        survives_random_flash(g, full ? 1000 : 60);
    }
    long_records_wear_alike(with_room + 2);
    printf("%lu cases, %lu power cuts, 0 states lost\n", cases, cuts);
    return 0;
}
