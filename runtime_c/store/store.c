// The store: banks of records on NOR flash, written so that a power cut leaves the old state or the new (docs/store.md).
// SPDX-License-Identifier: Apache-2.0
#include "edge/store.h"

#include <string.h>

#include "bytes.h"
#include "crc32.h"
#include "model.h"
#include "state.h"

enum {
    SECTOR_HEADER = 16,
    RECORD_HEADER = 32,
    MARK = 8,
    ALIGNMENT = 1 + EDGE_MAX_CHANNELS,
    HAS_ALIGNMENT = 1,
    ERASED = 0xFF
};

#define LAST_SEQUENCE (UINT32_MAX - 1)
#define NO_SLOT UINT32_MAX

static const uint8_t sector_magic[4] = {0x45, 0x44, 0x47, 0x46};
static const uint8_t record_magic[4] = {0x45, 0x44, 0x47, 0x52};

// What a record's header says. sequence 0: it is not a record of this image.
typedef struct {
    uint32_t sequence;
    uint32_t body_crc;
    uint32_t header_crc;
    uint8_t flags;
} record_t;

/// Geometry ///

static bool flash_is_sound(const edge_flash_t *f) {
    return f && f->read && f->program && f->erase && f->unit && f->unit <= EDGE_STORE_MAX_UNIT &&
           (f->unit & (f->unit - 1)) == 0 && f->sectors >= 2 && f->sectors <= UINT16_MAX &&
           f->sector_size % f->unit == 0 && f->sector_size >= 64 && f->sector_size >= 2 * f->unit &&
           f->sector_size <= INT32_MAX / f->sectors;
}

static uint32_t whole_units(const edge_flash_t *f, uint32_t size) {
    return (uint32_t)edge_round_up(size, f->unit);
}

// Bytes of a record: header, body and mark, each in units of its own. A state fits 31 bits: its size is an int.
static uint32_t record_size(const edge_flash_t *f, uint32_t state_size) {
    return whole_units(f, RECORD_HEADER) + whole_units(f, state_size + ALIGNMENT) + whole_units(f, MARK);
}

static uint32_t net_state_size(const edge_net_t *n) {
    return n->mode == EDGE_LEARN ? (uint32_t)edge_net_state_size(n) : 0;
}

static uint32_t sectors_of_bank(const edge_flash_t *f, uint32_t slot_size) {
    const uint32_t data = f->sector_size - whole_units(f, SECTOR_HEADER);
    return (slot_size + data - 1) / data;
}

uint32_t edge_store_sectors(const edge_flash_t *flash, const edge_net_t *n) {
    if (!flash_is_sound(flash) || !n) return 0;
    return 2 * sectors_of_bank(flash, record_size(flash, net_state_size(n)));
}

// The address of a slot's byte; `left` receives the bytes from there to the end of its sector.
static uint32_t address_of(const edge_store_t *s, uint32_t slot, uint32_t at, uint32_t *left) {
    const uint32_t data = slot % s->slots * s->slot_size + at;
    const uint32_t sector = slot / s->slots * s->bank_sectors + data / s->sector_data;
    *left = s->sector_data - data % s->sector_data;
    return (sector + 1) * s->flash.sector_size - *left;
}

/// Reading ///

static bool read_slot(const edge_store_t *s, uint32_t slot, uint32_t at, uint8_t *bytes, uint32_t size) {
    while (size) {
        uint32_t left;
        const uint32_t address = address_of(s, slot, at, &left), n = size < left ? size : left;
        if (s->flash.read(s->flash.context, address, bytes, n)) return false;
        at += n;
        bytes += n;
        size -= n;
    }
    return true;
}

static record_t read_header(const edge_store_t *s, uint32_t slot) {
    uint8_t h[RECORD_HEADER];
    record_t r = {0, 0, 0, 0};
    if (!read_slot(s, slot, 0, h, sizeof h)) return r;
    r.flags = h[6];
    r.body_crc = edge_load32(h + 24);
    r.header_crc = edge_load32(h + 28);
    if (memcmp(h, record_magic, 4) == 0 && edge_load16(h + 4) == EDGE_STORE_VERSION &&
        !(r.flags & ~HAS_ALIGNMENT) && !h[7] && edge_load32(h + 12) == s->image_crc &&
        edge_load32(h + 16) == s->state_size && r.header_crc == edge_crc32(0, h, 28) &&
        edge_load32(h + 8) <= LAST_SEQUENCE)
        r.sequence = edge_load32(h + 8);
    return r;
}

static uint32_t body_size(const edge_store_t *s, uint8_t flags) {
    return s->state_size + (flags & HAS_ALIGNMENT ? ALIGNMENT : 0u);
}

static bool body_is_whole(const edge_store_t *s, uint32_t slot, const record_t *r) {
    uint32_t crc = 0, at = whole_units(&s->flash, RECORD_HEADER);
    for (uint32_t left = body_size(s, r->flags); left;) {
        const uint32_t n = left < s->buffer_size ? left : s->buffer_size;
        if (!read_slot(s, slot, at, s->buffer, n)) return false;
        crc = edge_crc32(crc, s->buffer, n);
        at += n;
        left -= n;
    }
    return crc == r->body_crc;
}

static uint32_t mark_at(const edge_store_t *s) { return s->slot_size - whole_units(&s->flash, MARK); }

// The mark that confirms a record: a word and its complement. Programming only clears bits, so that a torn one, with too many bits set, can
// never be two complements.
static void make_mark(uint8_t *mark, uint32_t header_crc) {
    edge_store32(mark, header_crc);
    edge_store32(mark + 4, ~header_crc);
}

static bool is_confirmed(const edge_store_t *s, uint32_t slot, uint32_t header_crc) {
    uint8_t found[MARK], wanted[MARK];
    make_mark(wanted, header_crc);
    return read_slot(s, slot, mark_at(s), found, MARK) && memcmp(found, wanted, MARK) == 0;
}

static bool is_blank(const edge_store_t *s, uint32_t slot) {
    for (uint32_t at = 0; at < s->slot_size;) {
        const uint32_t left = s->slot_size - at, n = left < s->buffer_size ? left : s->buffer_size;
        if (!read_slot(s, slot, at, s->buffer, n)) return false;
        for (uint32_t k = 0; k < n; k++)
            if (s->buffer[k] != ERASED) return false;
        at += n;
    }
    return true;
}

static int sector_erases(const edge_store_t *s, uint32_t sector, uint32_t *erases) {
    uint8_t h[SECTOR_HEADER];
    if (s->flash.read(s->flash.context, sector * s->flash.sector_size, h, sizeof h)) return EDGE_ERR_EMPTY;
    if (memcmp(h, sector_magic, 4) != 0 || edge_load32(h + 4) != EDGE_STORE_VERSION ||
        edge_load32(h + 8) != ~edge_load32(h + 12))
        return EDGE_ERR_EMPTY;
    *erases = edge_load32(h + 8);
    return 0;
}

int edge_store_wear(const edge_store_t *s, uint32_t sector, uint32_t *erases) {
    if (!s || !erases || sector >= s->flash.sectors) return EDGE_ERR_ARGUMENT;
    return sector_erases(s, sector, erases);
}

/// Opening ///

int edge_store_init(edge_store_t *s, const edge_flash_t *flash, void *buffer, size_t size) {
    if (!s || !buffer || !flash_is_sound(flash) || size < RECORD_HEADER || size < flash->unit)
        return EDGE_ERR_ARGUMENT;
    memset(s, 0, sizeof *s);
    s->flash = *flash;
    s->buffer = (uint8_t *)buffer;
    s->buffer_size = (uint32_t)(size < flash->sector_size ? size : flash->sector_size);
    s->buffer_size -= s->buffer_size % flash->unit;
    s->sector_data = flash->sector_size - whole_units(flash, SECTOR_HEADER);
    return 0;
}

// Finds the newest confirmed record whose every byte is right. Each turn of the loop rules out at least one slot, so damaged flash ends it too.
static void scan(edge_store_t *s) {
    uint32_t below = UINT32_MAX, after = NO_SLOT;  // candidates come before this sequence and slot
    s->sequence = s->trial_sequence = s->newest = s->bank = 0;
    for (;;) {
        record_t best = {0, 0, 0, 0};
        uint32_t best_slot = NO_SLOT;
        for (uint32_t slot = 0; slot < s->banks * s->slots; slot++) {
            const record_t r = read_header(s, slot);
            if (r.sequence > s->newest) {
                s->newest = r.sequence;
                s->bank = slot / s->slots;
            }
            const bool before = r.sequence < below || (r.sequence == below && slot > after);
            if (before && r.sequence > best.sequence && is_confirmed(s, slot, r.header_crc)) {
                best = r;
                best_slot = slot;
            }
        }
        if (!best.sequence) return;
        if (body_is_whole(s, best_slot, &best)) {
            s->live = best_slot;
            s->sequence = best.sequence;
            return;
        }
        below = best.sequence;
        after = best_slot;
    }
}

int edge_store_open(edge_store_t *s, const edge_net_t *n) {
    if (!s || !n || !s->buffer) return EDGE_ERR_ARGUMENT;
    const uint32_t state_size = net_state_size(n), slot_size = record_size(&s->flash, state_size);
    const uint32_t bank_sectors = sectors_of_bank(&s->flash, slot_size);
    s->slot_size = s->sequence = s->trial_sequence = 0;
    if (s->flash.sectors / 2 < bank_sectors) return EDGE_ERR_ROOM;
    s->image_crc = edge_model_crc(&n->model);
    s->state_size = state_size;
    s->slot_size = slot_size;
    s->bank_sectors = bank_sectors;
    s->banks = s->flash.sectors / bank_sectors;
    s->slots = bank_sectors * s->sector_data / slot_size;
    scan(s);
    return s->sequence ? 0 : EDGE_ERR_EMPTY;
}

static int open_for(edge_store_t *s, const edge_net_t *n) {
    if (!s || !n || !s->buffer) return EDGE_ERR_ARGUMENT;
    if (n->stage) return EDGE_ERR_BUSY;
    if (s->slot_size && s->image_crc == edge_model_crc(&n->model) && s->state_size == net_state_size(n))
        return 0;
    const int error = edge_store_open(s, n);
    return error == EDGE_ERR_EMPTY ? 0 : error;
}

/// Writing ///

typedef struct {
    const edge_store_t *store;
    uint32_t slot;
    uint32_t at;      // of the buffer's first byte, in the slot
    uint32_t filled;  // bytes in the buffer
    bool failed;
} writer_t;

static void write_out(writer_t *w) {
    const edge_store_t *s = w->store;
    for (uint32_t from = 0; from < w->filled && !w->failed;) {
        uint32_t left;
        const uint32_t address = address_of(s, w->slot, w->at, &left);
        const uint32_t n = w->filled - from < left ? w->filled - from : left;
        w->failed = s->flash.program(s->flash.context, address, s->buffer + from, n) != 0;
        from += n;
        w->at += n;
    }
    w->filled = 0;
}

static void put(writer_t *w, const uint8_t *bytes, uint32_t size) {
    while (size && !w->failed) {
        const uint32_t room = w->store->buffer_size - w->filled, n = size < room ? size : room;
        memcpy(w->store->buffer + w->filled, bytes, n);
        w->filled += n;
        bytes += n;
        size -= n;
        if (w->filled == w->store->buffer_size) write_out(w);
    }
}

// Fills the unit with erased bytes and programs what is in the buffer.
static void finish_unit(writer_t *w) {
    const uint32_t end = whole_units(&w->store->flash, w->filled);
    memset(w->store->buffer + w->filled, ERASED, end - w->filled);
    w->filled = end;
    write_out(w);
}

static bool sync(const edge_store_t *s) { return !s->flash.sync || s->flash.sync(s->flash.context) == 0; }

static bool set_mark(const edge_store_t *s, uint32_t slot, uint32_t header_crc) {
    writer_t w = {s, slot, mark_at(s), 0, false};
    uint8_t mark[MARK];
    make_mark(mark, header_crc);
    put(&w, mark, MARK);
    finish_unit(&w);
    return !w.failed && sync(s) && is_confirmed(s, slot, header_crc);
}

// Erases of a bank's most used sector. One without a header counts as new, so that it is used; erase_bank then starts its count from the highest.
static uint32_t bank_erases(const edge_store_t *s, uint32_t bank) {
    uint32_t most = 0, erases;
    for (uint32_t k = 0; k < s->bank_sectors; k++)
        if (sector_erases(s, bank * s->bank_sectors + k, &erases) == 0 && erases > most) most = erases;
    return most;
}

static uint32_t most_erases(const edge_store_t *s) {
    uint32_t most = 0, erases;
    for (uint32_t sector = 0; sector < s->flash.sectors; sector++)
        if (sector_erases(s, sector, &erases) == 0 && erases > most) most = erases;
    return most;
}

static bool erase_bank(const edge_store_t *s, uint32_t bank) {
    const uint32_t most = most_erases(s);
    for (uint32_t k = 0; k < s->bank_sectors; k++) {
        const uint32_t sector = bank * s->bank_sectors + k, address = sector * s->flash.sector_size;
        const uint32_t size = whole_units(&s->flash, SECTOR_HEADER);
        uint32_t erases;
        if (sector_erases(s, sector, &erases)) erases = most;
        if (erases != UINT32_MAX) erases++;
        if (s->flash.erase(s->flash.context, address) || !sync(s)) return false;
        memset(s->buffer, ERASED, size < s->buffer_size ? size : s->buffer_size);
        memcpy(s->buffer, sector_magic, 4);
        edge_store32(s->buffer + 4, EDGE_STORE_VERSION);
        edge_store32(s->buffer + 8, erases);
        edge_store32(s->buffer + 12, ~erases);
        if (s->flash.program(s->flash.context, address, s->buffer, size) || !sync(s)) return false;
    }
    return true;
}

// The first slot of a bank behind all that was ever written there, if the bank was erased to its end and has one.
static uint32_t free_slot(const edge_store_t *s, uint32_t bank) {
    uint32_t erases;
    for (uint32_t k = 0; k < s->bank_sectors; k++)
        if (sector_erases(s, bank * s->bank_sectors + k, &erases)) return NO_SLOT;
    uint32_t slot = (bank + 1) * s->slots;
    while (slot > bank * s->slots && is_blank(s, slot - 1)) slot--;
    return slot < (bank + 1) * s->slots ? slot : NO_SLOT;
}

// The bank to write to next: never that of the confirmed record; of the others the least worn, the next in turn among equals.
static uint32_t next_bank(const edge_store_t *s) {
    uint32_t best = 0, best_erases = 0;
    bool found = false;
    for (uint32_t k = 1; k <= s->banks; k++) {
        const uint32_t bank = (s->bank + k) % s->banks;
        if (s->sequence && bank == s->live / s->slots) continue;
        const uint32_t erases = bank_erases(s, bank);
        if (found && erases >= best_erases) continue;
        best = bank;
        best_erases = erases;
        found = true;
    }
    return best;
}

static bool write_record(const edge_store_t *s, uint32_t slot, const edge_net_t *n, const edge_alignment_t *a,
                         uint32_t sequence) {
    uint8_t header[RECORD_HEADER], state[EDGE_STATE_HEADER], alignment[ALIGNMENT];
    const uint32_t weights_size = s->state_size ? s->state_size - EDGE_STATE_HEADER : 0;
    uint32_t crc = 0;
    if (s->state_size) {
        edge_state_header(n, n->weights, state);
        crc = edge_crc32(edge_crc32(0, state, sizeof state), n->weights, weights_size);
    }
    if (a) {
        alignment[0] = (uint8_t)a->rotation;
        memcpy(alignment + 1, a->gain, EDGE_MAX_CHANNELS);
        crc = edge_crc32(crc, alignment, sizeof alignment);
    }
    memcpy(header, record_magic, 4);
    edge_store16(header + 4, EDGE_STORE_VERSION);
    header[6] = a ? HAS_ALIGNMENT : 0;
    header[7] = 0;
    edge_store32(header + 8, sequence);
    edge_store32(header + 12, s->image_crc);
    edge_store32(header + 16, s->state_size);
    edge_store32(header + 20, edge_net_updates(n));
    edge_store32(header + 24, crc);
    edge_store32(header + 28, edge_crc32(0, header, 28));

    writer_t w = {s, slot, 0, 0, false};
    put(&w, header, sizeof header);
    finish_unit(&w);
    if (s->state_size) {
        put(&w, state, sizeof state);
        put(&w, n->weights, weights_size);
    }
    if (a) put(&w, alignment, sizeof alignment);
    finish_unit(&w);
    if (w.failed || !sync(s)) return false;
    const record_t r = read_header(s, slot);
    return r.sequence == sequence && body_is_whole(s, slot, &r);
}

int edge_store_write(edge_store_t *s, const edge_net_t *n, const edge_alignment_t *alignment) {
    const int error = open_for(s, n);
    if (error) return error;
    s->trial_sequence = 0;
    if (s->newest >= LAST_SEQUENCE) return EDGE_ERR_FLASH;
    const uint32_t sequence = s->newest + 1;
    uint32_t bank = free_slot(s, s->bank) != NO_SLOT ? s->bank : next_bank(s);
    // A bank that fails is left for the next; each gets one chance.
    for (uint32_t tries = 0; tries <= s->banks; tries++, bank = (bank + 1) % s->banks) {
        const bool live = s->sequence && bank == s->live / s->slots;
        uint32_t slot = free_slot(s, bank);
        if (slot == NO_SLOT && !live && erase_bank(s, bank)) slot = free_slot(s, bank);
        if (slot == NO_SLOT) continue;
        if (!write_record(s, slot, n, alignment, sequence)) continue;
        s->trial = slot;
        s->trial_sequence = s->newest = sequence;
        s->bank = bank;
        return 0;
    }
    return EDGE_ERR_FLASH;
}

int edge_store_confirm(edge_store_t *s) {
    if (!s || !s->slot_size || !s->trial_sequence) return EDGE_ERR_TRIAL;
    const record_t r = read_header(s, s->trial);
    if (r.sequence == s->trial_sequence && set_mark(s, s->trial, r.header_crc)) {
        s->live = s->trial;
        s->sequence = s->trial_sequence;
        s->trial_sequence = 0;
        return 0;
    }
    scan(s);
    return EDGE_ERR_FLASH;
}

/// Loading ///

// Reads a record that was found whole straight into the net. False: what came was not what was whole.
static bool read_record(edge_store_t *s, const record_t *r, edge_net_t *n, uint8_t *alignment) {
    uint8_t state[EDGE_STATE_HEADER];
    uint32_t crc = 0, at = whole_units(&s->flash, RECORD_HEADER);
    if (s->state_size) {
        const uint32_t weights_size = s->state_size - EDGE_STATE_HEADER;
        if (!read_slot(s, s->live, at, state, sizeof state) || !edge_state_fits(n, state)) return false;
        if (!read_slot(s, s->live, at + (uint32_t)sizeof state, n->weights, weights_size)) return false;
        crc = edge_crc32(edge_crc32(0, state, sizeof state), n->weights, weights_size);
        at += s->state_size;
    }
    if (r->flags & HAS_ALIGNMENT) {
        if (!read_slot(s, s->live, at, alignment, ALIGNMENT)) return false;
        crc = edge_crc32(crc, alignment, ALIGNMENT);
    }
    if (crc != r->body_crc) return false;
    if (s->state_size) {
        if (!edge_state_weights_valid(n, n->weights)) return false;
        edge_state_resume(n, state);
    }
    return true;
}

// Back to the weights of the image; what the net counts stays.
static void use_image(edge_net_t *n) {
    const edge_model_t model = n->model;
    struct edge_stats *stats = n->stats;
    (void)edge_net_init(n, &model, n->weights, n->arena, edge_model_arena_size(&model, EDGE_LEARN),
                        EDGE_LEARN);
    n->stats = stats;
}

int edge_store_load(edge_store_t *s, edge_net_t *n, edge_alignment_t *alignment) {
    const int error = open_for(s, n);
    if (error) return error;
    s->trial_sequence = 0;
    record_t r = {0, 0, 0, 0};
    if (s->sequence) r = read_header(s, s->live);
    if (!s->sequence || r.sequence != s->sequence || !body_is_whole(s, s->live, &r)) {
        scan(s);
        if (!s->sequence) return EDGE_ERR_EMPTY;
        r = read_header(s, s->live);
    }
    uint8_t bytes[ALIGNMENT];
    memset(bytes, 0, sizeof bytes);
    if (!read_record(s, &r, n, bytes)) {
        if (s->state_size) use_image(n);
        return EDGE_ERR_FLASH;
    }
    if (alignment) {
        memcpy(&alignment->rotation, bytes, 1);
        memcpy(alignment->gain, bytes + 1, EDGE_MAX_CHANNELS);
    }
    return 0;
}

/// What is there ///

uint32_t edge_store_sequence(const edge_store_t *s) { return s ? s->sequence : 0; }

uint32_t edge_store_trial(const edge_store_t *s) { return s ? s->trial_sequence : 0; }

static int commit(void *context, const edge_net_t *n, const edge_alignment_t *alignment) {
    edge_store_t *s = (edge_store_t *)context;
    const int error = edge_store_write(s, n, alignment);
    return error ? error : edge_store_confirm(s);
}

static int rollback(void *context, edge_net_t *n, edge_alignment_t *alignment) {
    const int error = edge_store_load((edge_store_t *)context, n, alignment);
    return error == EDGE_ERR_EMPTY ? (int)EDGE_LINK_ERR_BANK : error;
}

void edge_store_bank(edge_store_t *s, edge_bank_port_t *port) {
    port->context = s;
    port->commit = commit;
    port->rollback = rollback;
}
