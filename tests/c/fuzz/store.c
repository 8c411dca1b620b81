// The store over flash with any contents, and flash that fails: open, load, write, confirm.
// SPDX-License-Identifier: Apache-2.0
//
// An input of the fuzzer is four bytes (geometry, net and kept windows, which call fails, how often, seed) and then the flash; what is missing is erased. The mutator
// lets the store itself write, tears and changes that, and repairs checksums, marks and the counts of erases.
#include "edge/store.h"
#include "bytes.h"
#include "fuzz.h"
#include "model.h"
#include "state.h"

enum { FOUND, LOADED, WRITTEN, CONFIRMED, FAILED, FORGED };

tally_t tallies[TALLIES] = {
    [FOUND] = {"flashes with a state", 0},     [LOADED] = {"states loaded", 0},
    [WRITTEN] = {"states written", 0},         [CONFIRMED] = {"states confirmed and found again", 0},
    [FAILED] = {"calls that flash failed", 0}, [FORGED] = {"forged states refused", 0},
};

enum { LARGEST = 8192, INFORMATION = 4, LARGEST_BUFFER = 256, KEPT = 6 };

typedef struct {
    uint32_t sectors, sector_size, unit;
} geometry_t;

// One sector a bank, several, several slots; every kind of unit.
static const geometry_t geometries[8] = {{4, 512, 8},   {2, 1024, 1}, {8, 256, 4},    {4, 2048, 16},
                                         {3, 1024, 32}, {12, 128, 2}, {3, 1024, 256}, {16, 64, 8}};

typedef struct {
    uint8_t bytes[LARGEST];
    uint32_t size, sector_size, unit;
    uint32_t calls;
    uint8_t failing;  // bit 0: reads, 1: programs, 2: erases, 3: syncs; 4: reads lie, 5: programs tear
    uint8_t period;   // one call of so many fails; 0: none
    uint32_t random;
    int off;  // after a torn program
} chip_t;

typedef struct {
    edge_model_t model;
    edge_net_t net;
    edge_store_t store;
    uint8_t *image, *weights, *arena, *buffer;
    uint32_t buffer_size;
    edge_kept_t kept;
    uint8_t *windows;  // NULL: the net has no encoder
} board_t;

static bool fails(chip_t *f, uint8_t what) {
    if (f->off) return true;
    const bool now = f->period && f->failing & what && ++f->calls % f->period == 0;
    tallies[FAILED].count += now;
    return now;
}

static int chip_read(void *context, uint32_t address, void *bytes, uint32_t size) {
    chip_t *f = context;
    CHECK(size && address <= f->size && size <= f->size - address);
    if (fails(f, 1)) return -1;
    memcpy(bytes, f->bytes + address, size);
    if (f->failing & 16 && draw(&f->random, 8) == 0) *(uint8_t *)bytes ^= 1;
    return 0;
}

static int chip_program(void *context, uint32_t address, const void *bytes, uint32_t size) {
    chip_t *f = context;
    CHECK(size && address % f->unit == 0 && size % f->unit == 0 && address <= f->size &&
          size <= f->size - address);
    CHECK(address / f->sector_size == (address + size - 1) / f->sector_size);
    for (uint32_t k = 0; k < size; k++) CHECK(f->failing & 16 || f->bytes[address + k] == 0xFF);
    if (fails(f, 2)) return -1;
    memcpy(f->bytes + address, bytes, size);
    if (f->period && f->failing & 32 && draw(&f->random, f->period) == 0) {
        f->bytes[address + draw(&f->random, size)] |= (uint8_t)(next_random(&f->random) >> 24);
        f->off = 1;
        return -1;
    }
    return 0;
}

static int chip_erase(void *context, uint32_t address) {
    chip_t *f = context;
    CHECK(address % f->sector_size == 0 && address < f->size);
    if (fails(f, 4)) return -1;
    memset(f->bytes + address, 0xFF, f->sector_size);
    return 0;
}

static int chip_sync(void *context) { return fails(context, 8) ? -1 : 0; }

static edge_flash_t chip_new(chip_t *f, uint8_t which) {
    const geometry_t *g = &geometries[which & 7];
    memset(f, 0, sizeof *f);
    memset(f->bytes, 0xFF, sizeof f->bytes);
    f->size = g->sectors * g->sector_size;
    f->sector_size = g->sector_size;
    f->unit = g->unit;
    return (edge_flash_t){f,         chip_read,  chip_program,   chip_erase,
                          chip_sync, g->sectors, g->sector_size, g->unit};
}

// The small network that learns, or (bit 3) the same without learning: its states are alignments alone. Bit 4: one with an encoder, and
// windows that are kept.
static void board_new(board_t *b, uint8_t which, uint32_t buffer_size) {
    const edge_mode_t mode = which & 8 ? EDGE_INFER : EDGE_LEARN;
    b->image = block(1024);
    const size_t size = which & 16 ? stream_image(b->image) : small_image(b->image);
    CHECK(edge_model_open(&b->model, b->image, size) == 0);
    const size_t window = edge_stream_window_size(&b->model);
    b->windows = window ? block((KEPT + 1) * (window + 1)) : NULL;
    if (window) edge_kept_init(&b->kept, b->windows, (KEPT + 1) * (window + 1), window, KEPT);
    b->weights = mode == EDGE_LEARN ? block(edge_model_weights_size(&b->model)) : NULL;
    b->arena = block(edge_model_arena_size(&b->model, mode));
    b->buffer_size = buffer_size;
    b->buffer = block(buffer_size);
    CHECK(edge_net_init(&b->net, &b->model, b->weights, b->arena, edge_model_arena_size(&b->model, mode),
                        mode) == 0);
}

static void board_free(board_t *b) {
    free(b->image);
    free(b->windows);
    free(b->weights);
    free(b->arena);
    free(b->buffer);
}

static int board_start(board_t *b, const edge_flash_t *flash) {
    CHECK(edge_store_init(&b->store, flash, b->buffer, 31) == EDGE_ERR_ARGUMENT);
    CHECK(edge_store_init(&b->store, flash, b->buffer, b->buffer_size) == 0);
    return edge_store_open(&b->store, &b->net);
}

// A state that the number makes.
static void become(board_t *b, uint32_t number, edge_alignment_t *alignment) {
    uint32_t random = number * 2654435761u + 1;
    for (uint32_t c = 0; c < EDGE_MAX_CHANNELS; c++) alignment->gain[c] = (int8_t)(draw(&random, 256) - 128);
    alignment->rotation = (int8_t)(draw(&random, 256) - 128);
    if (b->windows) {
        b->kept.count = number % (b->kept.capacity + 1);
        for (uint32_t k = 0; k < b->kept.count; k++) b->kept.labels[k] = (uint8_t)draw(&random, 2);
        for (uint32_t k = 0; k < b->kept.count * b->kept.window_size; k++)
            b->kept.rows[k] = (uint8_t)(next_random(&random) >> 24);
    }
    if (!b->weights) return;
    // Two weights pad each row of the smaller readout.
    for (uint32_t k = 0; k < (b->windows ? 8u : 16u * 12u); k++)
        b->weights[k] = b->windows && k % 4 > 1 ? 0 : (uint8_t)(next_random(&random) >> 24);
    b->net.update = random;
    b->net.rate_decay = (uint8_t)(random % 16);
}

static edge_kept_t *kept_of(board_t *b) { return b->windows ? &b->kept : NULL; }

static bool is(board_t *b, uint32_t number, const edge_alignment_t *found) {
    static uint8_t saved[4096], wanted[4096];
    edge_alignment_t alignment;
    const size_t size = b->weights ? edge_net_state_size(&b->net) : 0;
    static uint8_t labels[KEPT], rows[1024];
    const uint32_t count = b->windows ? b->kept.count : 0,
                   bytes = count * (b->windows ? b->kept.window_size : 0);
    CHECK(count <= KEPT && bytes <= sizeof rows);
    if (count) memcpy(labels, b->kept.labels, count), memcpy(rows, b->kept.rows, bytes);
    if (size) CHECK(edge_net_save(&b->net, saved, sizeof saved) == (int)size);
    become(b, number, &alignment);
    if (size) CHECK(edge_net_save(&b->net, wanted, sizeof wanted) == (int)size);
    if (count != (b->windows ? b->kept.count : 0)) return false;
    if (count && (memcmp(labels, b->kept.labels, count) != 0 || memcmp(rows, b->kept.rows, bytes) != 0))
        return false;
    return memcmp(&alignment, found, sizeof alignment) == 0 && memcmp(saved, wanted, size) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static chip_t f;
    board_t b;
    edge_alignment_t alignment;
    uint32_t erases;
    if (size < INFORMATION) return 0;
    const edge_flash_t flash = chip_new(&f, data[0]);
    const size_t contents = size - INFORMATION < f.size ? size - INFORMATION : f.size;
    memcpy(f.bytes, data + INFORMATION, contents);
    f.failing = data[1];
    f.period = data[2];
    f.random = data[3];
    board_new(&b, data[0], data[3] < 32 || data[3] < flash.unit ? LARGEST_BUFFER : data[3]);

    int opened = board_start(&b, &flash);
    if (opened == EDGE_ERR_ROOM) {
        CHECK(edge_store_sectors(&flash, &b.net) > flash.sectors);
        CHECK(edge_store_write(&b.store, &b.net, NULL, NULL) == EDGE_ERR_ROOM);
        board_free(&b);
        return 0;
    }
    CHECK(opened == 0 || opened == EDGE_ERR_EMPTY);
    CHECK((opened == 0) == (edge_store_sequence(&b.store) != 0));
    tallies[FOUND].count += opened == 0;
    for (uint32_t sector = 0; sector <= flash.sectors; sector++)
        (void)edge_store_wear(&b.store, sector, &erases);
    const int loaded = edge_store_load(&b.store, &b.net, &alignment, kept_of(&b));
    CHECK(loaded == 0 || loaded == EDGE_ERR_EMPTY || loaded == EDGE_ERR_FLASH);
    if (b.weights) CHECK(edge_state_weights_valid(&b.net, b.weights));
    tallies[LOADED].count += loaded == 0;
    tallies[FORGED].count += loaded == EDGE_ERR_FLASH && !f.period && !(f.failing & 16);

    uint32_t confirmed = 0;  // number of the state that must be there
    bool unsure = false;     // whether a confirm that failed took effect
    for (uint32_t number = 1; number <= 5; number++) {
        become(&b, number, &alignment);
        int result =
            edge_store_write(&b.store, &b.net, data[3] & 1 && number == 3 ? NULL : &alignment, kept_of(&b));
        CHECK(result == 0 || result == EDGE_ERR_FLASH || (result == EDGE_ERR_ROOM && b.windows));
        if (result == 0) {
            CHECK(edge_store_trial(&b.store) > edge_store_sequence(&b.store));
            tallies[WRITTEN].count++;
            if (number == 2 && data[3] & 2) {  // reverted
                result = edge_store_load(&b.store, &b.net, &alignment, kept_of(&b));
                CHECK(edge_store_confirm(&b.store) == EDGE_ERR_TRIAL && edge_store_trial(&b.store) == 0);
            } else {
                result = edge_store_confirm(&b.store);
                CHECK(result == 0 || result == EDGE_ERR_FLASH);
                unsure = unsure || result;
                if (result == 0) confirmed = number;
            }
        }
        if (f.off) unsure = true;
    }
    // A new start on flash that works finds it.
    f.failing = f.period = 0;
    f.off = 0;
    opened = board_start(&b, &flash);
    CHECK(opened == 0 || opened == EDGE_ERR_EMPTY);
    // What could not be read, or read wrong, may have been newer: it comes back when it can be read.
    if (confirmed && !unsure && !(data[1] & 17)) {
        CHECK(opened == 0 && edge_store_load(&b.store, &b.net, &alignment, kept_of(&b)) == 0);
        if (confirmed != 3 || !(data[3] & 1)) CHECK(is(&b, confirmed, &alignment));
        tallies[CONFIRMED].count++;
    }
    // As the link commits and rolls back.
    edge_bank_port_t port;
    edge_store_bank(&b.store, &port);
    become(&b, 9, &alignment);
    int committed = port.write(port.context, &b.net, &alignment, kept_of(&b));
    if (committed == 0) committed = port.confirm(port.context);
    CHECK(committed == 0 || committed == EDGE_ERR_FLASH || (committed == EDGE_ERR_ROOM && b.windows));
    become(&b, 10, &alignment);
    const int back = port.load(port.context, &b.net, &alignment, kept_of(&b), 0);
    if (committed == 0) CHECK(back == 0 && is(&b, 9, &alignment));
    CHECK(edge_store_wear(&b.store, flash.sectors, &erases) == EDGE_ERR_ARGUMENT);
    edge_bank_facts_t facts;
    port.facts(port.context, &b.net, &facts);
    CHECK(facts.sectors == flash.sectors && facts.sequence == edge_store_sequence(&b.store));
    CHECK(facts.updates == edge_store_updates(&b.store) && facts.room == edge_store_room(&b.store, &b.net));
    (void)port.wear(port.context, data[3] % flash.sectors, &erases);
    // Both states can be looked at while one is on trial.
    become(&b, 11, &alignment);
    if (edge_store_write(&b.store, &b.net, &alignment, NULL) == 0) {
        become(&b, 12, &alignment);
        CHECK(edge_store_peek(&b.store, EDGE_STORE_TRIAL, &b.net, &alignment) == 0);
        if (committed == 0) CHECK(edge_store_peek(&b.store, EDGE_STORE_CONFIRMED, &b.net, &alignment) == 0);
        CHECK(port.load(port.context, &b.net, &alignment, NULL, 1) == 0);
        CHECK(edge_store_load(&b.store, &b.net, &alignment, NULL) == (committed ? back : 0));
    }
    CHECK(edge_store_peek(&b.store, EDGE_STORE_TRIAL, &b.net, &alignment) == EDGE_ERR_TRIAL);
    board_free(&b);
    return 0;
}

/// Mutation ///

// Lets the store write a few states, some on trial.
static void write_states(uint8_t *data, size_t size, uint32_t *random) {
    static chip_t f;
    board_t b;
    edge_alignment_t alignment;
    const edge_flash_t flash = chip_new(&f, data[0]);
    board_new(&b, data[0], LARGEST_BUFFER);
    if (draw(random, 2)) memcpy(f.bytes, data + INFORMATION, size < f.size ? size : f.size);
    if (board_start(&b, &flash) != EDGE_ERR_ROOM) {
        for (uint32_t n = 1 + draw(random, 6); n; n--) {
            become(&b, draw(random, 100), &alignment);
            if (edge_store_write(&b.store, &b.net, draw(random, 4) ? &alignment : NULL, kept_of(&b))) break;
            if (draw(random, 4)) (void)edge_store_confirm(&b.store);
        }
    }
    memcpy(data + INFORMATION, f.bytes, size < f.size ? size : f.size);
    board_free(&b);
}

// Makes some records and sectors right, whatever they say.
static void repair(uint8_t *data, uint32_t *random) {
    static chip_t f;
    board_t b;
    const edge_flash_t flash = chip_new(&f, data[0]);
    memcpy(f.bytes, data + INFORMATION, f.size);
    board_new(&b, data[0], LARGEST_BUFFER);
    if (board_start(&b, &flash) != EDGE_ERR_ROOM) {
        const edge_store_t *s = &b.store;
        const uint32_t unit = f.unit, header = f.sector_size - s->sector_data;
        for (uint32_t sector = 0; sector < flash.sectors; sector++) {
            uint8_t *at = f.bytes + sector * f.sector_size;
            if (draw(random, 3)) put(at + 12, ~edge_load32(at + 8), 4);
        }
        for (uint32_t slot = 0; slot < s->banks * s->slots; slot++) {
            if (draw(random, 2)) continue;
            static uint8_t bytes[LARGEST];
            const uint32_t from = slot % s->slots * s->slot_size;
            const uint32_t first = slot / s->slots * s->bank_sectors;
#define PLACE(k)                                                                \
    (f.bytes[(first + (from + (k)) / s->sector_data) * f.sector_size + header + \
             (from + (k)) % s->sector_data])
            for (uint32_t k = 0; k < s->slot_size; k++) bytes[k] = PLACE(k);
            const uint32_t body = (32 + unit - 1) / unit * unit,
                           mark = s->slot_size - (8 + unit - 1) / unit * unit;
            memcpy(bytes, "EDGR", 4);
            // A record with windows goes over several slots: its header alone is made right.
            const bool whole = edge_load16(bytes + 4) != 2;
            if (whole) put(bytes + 4, 1, 2);
            bytes[6] &= 1;
            bytes[7] = 0;
            put(bytes + 12, s->image_crc, 4);
            put(bytes + 16, s->state_size, 4);
            if (whole && draw(random, 4)) {
                if (s->state_size && draw(random, 4))
                    edge_state_header(&b.net, bytes + body + 24, bytes + body);
                put(bytes + 24, crc32_of(bytes + body, s->state_size + (bytes[6] ? 65u : 0u)), 4);
            }
            put(bytes + 28, crc32_of(bytes, 28), 4);
            if (whole && draw(random, 4))
                memcpy(bytes + mark, bytes + 28, 4), put(bytes + mark + 4, ~edge_load32(bytes + 28), 4);
            for (uint32_t k = 0; k < s->slot_size; k++) PLACE(k) = bytes[k];
#undef PLACE
        }
    }
    memcpy(data + INFORMATION, f.bytes, f.size);
    board_free(&b);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t largest, unsigned int seed) {
    uint32_t random = seed;
    if (largest < INFORMATION + LARGEST) return LLVMFuzzerMutate(data, size, largest);
    if (size < INFORMATION) memset(data + size, 0, INFORMATION - size), size = INFORMATION;
    const size_t whole = INFORMATION + geometries[data[0] & 7].sectors * geometries[data[0] & 7].sector_size;
    if (size < whole) memset(data + size, 0xFF, whole - size);
    if (draw(&random, 4) == 0) {
        data[draw(&random, INFORMATION)] =
            (uint8_t)(draw(&random, 2) ? draw(&random, 64) : draw(&random, 256));
        const size_t now =
            INFORMATION + geometries[data[0] & 7].sectors * geometries[data[0] & 7].sector_size;
        if (whole < now) memset(data + whole, 0xFF, now - whole);
        if (draw(&random, 2)) data[1] = data[2] = 0;
    }
    const geometry_t *g = &geometries[data[0] & 7];
    const size_t flash = g->sectors * g->sector_size;
    if (draw(&random, 6) == 0) write_states(data, flash, &random);
    const uint32_t how = draw(&random, 6);
    if (how == 0) (void)LLVMFuzzerMutate(data + INFORMATION, flash, flash);
    for (uint32_t n = how ? draw(&random, 6) : 0; n;
         n--) {  // where records and sectors begin, more often than elsewhere
        size_t at = draw(&random, (uint32_t)flash);
        if (draw(&random, 2))
            at = at / g->sector_size * g->sector_size +
                 draw(&random, 64 < g->sector_size ? 64 : g->sector_size);
        data[INFORMATION + at] = draw(&random, 2) ? (uint8_t)(data[INFORMATION + at] ^ 1u << draw(&random, 8))
                                                  : (uint8_t)draw(&random, 256);
    }
    if (draw(&random, 3)) repair(data, &random);
    return INFORMATION + flash;
}
