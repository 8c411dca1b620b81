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
    SECTOR_VERSION = 1,
    ERASED = 0xFF
};

#define LAST_SEQUENCE (UINT32_MAX - 1)
#define NO_SLOT UINT32_MAX

static const uint8_t sector_magic[4] = {0x45, 0x44, 0x47, 0x46};
static const uint8_t record_magic[4] = {0x45, 0x44, 0x47, 0x52};

enum { PLAIN = 1, WITH_WINDOWS = 2 };  // versions of a record

// What a record's header says. sequence 0: it is not a record of this image.
typedef struct {
    uint32_t slot;  // its first
    uint32_t span;  // its slots
    uint32_t sequence;
    uint32_t windows_size;  // bytes of kept windows
    uint32_t body_crc;
    uint32_t header_crc;
    uint8_t flags;
} record_t;

static const record_t NO_RECORD = {NO_SLOT, 0, 0, 0, 0, 0, 0};

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

// Bytes of a record: header, body and mark, each in units of its own. Without windows it is a slot. A state fits 31 bits: its size is an int.
static uint32_t record_size(const edge_flash_t *f, uint32_t body) {
    return whole_units(f, RECORD_HEADER) + whole_units(f, body + ALIGNMENT) + whole_units(f, MARK);
}

static EDGE_ALONE uint32_t net_state_size(const edge_net_t *n) {
    return n->mode == EDGE_LEARN ? (uint32_t)edge_net_state_size(n) : 0;
}

static EDGE_ALONE uint32_t sectors_of_bank(const edge_flash_t *f, uint32_t slot_size) {
    const uint32_t data = f->sector_size - whole_units(f, SECTOR_HEADER);
    return (slot_size + data - 1) / data;
}

uint32_t edge_store_sectors(const edge_flash_t *flash, const edge_net_t *n) {
    if (!flash_is_sound(flash) || !n) return 0;
    return 2 * sectors_of_bank(flash, record_size(flash, net_state_size(n)));
}

// The address of a byte of the record that starts at a slot; `left` receives the bytes from there to the end of its slot or sector.
static uint32_t address_of(const edge_store_t *s, uint32_t slot, uint32_t at, uint32_t *left) {
    slot += at / s->slot_size;
    at %= s->slot_size;
    const uint32_t data = slot % s->slots * s->slot_size + at;
    const uint32_t sector = slot / s->slots * s->bank_sectors + data / s->sector_data;
    const uint32_t in_sector = s->sector_data - data % s->sector_data, in_slot = s->slot_size - at;
    *left = in_sector < in_slot ? in_sector : in_slot;
    return (sector + 1) * s->flash.sector_size - in_sector;
}

// Slots of a record with so many bytes of windows.
static uint32_t span_of(const edge_store_t *s, uint32_t windows_size) {
    return (record_size(&s->flash, s->state_size + windows_size) + s->slot_size - 1) / s->slot_size;
}

// Most bytes of windows that a record in half of the region holds.
static uint32_t room_of(const edge_store_t *s) {
    const edge_flash_t *f = &s->flash;
    const uint32_t half = s->banks / 2 * s->slots * s->slot_size;
    return half - whole_units(f, RECORD_HEADER) - whole_units(f, MARK) - s->state_size - ALIGNMENT;
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
    if (!read_slot(s, slot, 0, h, sizeof h)) return NO_RECORD;
    const uint32_t version = edge_load16(h + 4), sequence = edge_load32(h + 8);
    const uint32_t windows_size = version == WITH_WINDOWS ? edge_load32(h + 20) : 0;
    const record_t r = {slot, 1, sequence, windows_size, edge_load32(h + 24), edge_load32(h + 28), h[6]};
    if (memcmp(h, record_magic, 4) != 0 || r.header_crc != edge_crc32(0, h, 28) ||
        (version != PLAIN && version != WITH_WINDOWS) || r.flags & ~HAS_ALIGNMENT || h[7] ||
        edge_load32(h + 12) != s->image_crc || edge_load32(h + 16) != s->state_size ||
        sequence > LAST_SEQUENCE)
        return NO_RECORD;
    if (version == PLAIN) return r;
    if (!s->window_size || !windows_size || windows_size > room_of(s) || windows_size % (s->window_size + 1))
        return NO_RECORD;
    record_t long_one = r;
    long_one.span = span_of(s, windows_size);
    return long_one.span <= s->banks * s->slots - slot ? long_one : NO_RECORD;
}

// Reads `size` bytes at a place in a record's body into memory (NULL: nowhere) and goes on with their checksum.
static bool read_on(const edge_store_t *s, uint32_t slot, uint32_t *at, uint8_t *to, uint32_t size,
                    uint32_t *crc) {
    while (size) {
        uint8_t *bytes = to ? to : s->buffer;
        const uint32_t n = to || size < s->buffer_size ? size : s->buffer_size;
        if (!read_slot(s, slot, *at, bytes, n)) return false;
        *crc = edge_crc32(*crc, bytes, n);
        *at += n;
        size -= n;
    }
    return true;
}

static uint32_t body_at(const edge_store_t *s) { return whole_units(&s->flash, RECORD_HEADER); }

static bool body_is_whole(const edge_store_t *s, const record_t *r) {
    uint32_t crc = 0, at = body_at(s);
    const uint32_t size = s->state_size + (r->flags & HAS_ALIGNMENT ? ALIGNMENT : 0u) + r->windows_size;
    return read_on(s, r->slot, &at, NULL, size, &crc) && crc == r->body_crc;
}

static uint32_t mark_at(const edge_store_t *s, const record_t *r) {
    return r->span * s->slot_size - whole_units(&s->flash, MARK);
}

// The mark that confirms a record: a word and its complement. Programming only clears bits, so that a torn one, with too many bits set, can
// never be two complements.
static void make_mark(uint8_t *mark, uint32_t header_crc) {
    edge_store32(mark, header_crc);
    edge_store32(mark + 4, ~header_crc);
}

static bool is_confirmed(const edge_store_t *s, const record_t *r) {
    uint8_t found[MARK], wanted[MARK];
    make_mark(wanted, r->header_crc);
    return read_slot(s, r->slot, mark_at(s, r), found, MARK) && memcmp(found, wanted, MARK) == 0;
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
    if (memcmp(h, sector_magic, 4) != 0 || edge_load32(h + 4) != SECTOR_VERSION ||
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

// Takes a confirmed record as the one that counts.
static void go_live(edge_store_t *s, const record_t *r) {
    s->live = r->slot;
    s->live_span = r->span;
    s->sequence = r->sequence;
}

// Finds the newest confirmed record whose every byte is right. Each turn of the loop rules out at least one slot, so damaged flash ends it too.
static void scan(edge_store_t *s) {
    uint32_t below = UINT32_MAX, after = NO_SLOT;  // candidates come before this sequence and slot
    s->sequence = s->trial_sequence = s->newest = s->bank = 0;
    for (;;) {
        record_t best = NO_RECORD;
        for (uint32_t slot = 0; slot < s->banks * s->slots; slot++) {
            const record_t r = read_header(s, slot);
            if (r.sequence > s->newest) {
                s->newest = r.sequence;
                s->bank = (slot + r.span - 1) / s->slots;
            }
            const bool before = r.sequence < below || (r.sequence == below && slot > after);
            if (before && r.sequence > best.sequence && is_confirmed(s, &r)) best = r;
        }
        if (!best.sequence) return;
        if (body_is_whole(s, &best)) {
            go_live(s, &best);
            return;
        }
        below = best.sequence;
        after = best.slot;
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
    s->window_size = (uint32_t)edge_stream_window_size(&n->model);
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

static bool set_mark(const edge_store_t *s, const record_t *r) {
    writer_t w = {s, r->slot, mark_at(s, r), 0, false};
    uint8_t mark[MARK];
    make_mark(mark, r->header_crc);
    put(&w, mark, MARK);
    finish_unit(&w);
    return !w.failed && sync(s) && is_confirmed(s, r);
}

// Erases of the most used sector of some banks. One without a header counts as new, so that it is used; erase_bank then starts its count from the highest.
static uint32_t bank_erases(const edge_store_t *s, uint32_t bank, uint32_t banks) {
    uint32_t most = 0, erases;
    for (uint32_t k = 0; k < banks * s->bank_sectors; k++)
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
        edge_store32(s->buffer + 4, SECTOR_VERSION);
        edge_store32(s->buffer + 8, erases);
        edge_store32(s->buffer + 12, ~erases);
        if (s->flash.program(s->flash.context, address, s->buffer, size) || !sync(s)) return false;
    }
    return true;
}

// The first slot of a bank behind all that was ever written there, if the bank was erased to its end and `span` slots are left.
static uint32_t free_slot(const edge_store_t *s, uint32_t bank, uint32_t span) {
    uint32_t erases;
    for (uint32_t k = 0; k < s->bank_sectors; k++)
        if (sector_erases(s, bank * s->bank_sectors + k, &erases)) return NO_SLOT;
    const uint32_t end = (bank + 1) * s->slots;
    uint32_t slot = end;
    while (slot > bank * s->slots && is_blank(s, slot - 1)) slot--;
    return slot + span <= end ? slot : NO_SLOT;
}

// Whether some of `banks` banks from `bank` on hold the confirmed record.
static bool holds_live(const edge_store_t *s, uint32_t bank, uint32_t banks) {
    return s->sequence && s->live < (bank + banks) * s->slots && s->live + s->live_span > bank * s->slots;
}

// The bank to write to next: never that of the confirmed record; of the others the least worn, the next in turn among equals.
static uint32_t next_bank(const edge_store_t *s) {
    uint32_t best = 0, best_erases = 0;
    bool found = false;
    for (uint32_t k = 1; k <= s->banks; k++) {
        const uint32_t bank = (s->bank + k) % s->banks;
        if (holds_live(s, bank, 1)) continue;
        const uint32_t erases = bank_erases(s, bank, 1);
        if (found && erases >= best_erases) continue;
        best = bank;
        best_erases = erases;
        found = true;
    }
    return best;
}

// What a record is made of, apart from the net.
typedef struct {
    const edge_alignment_t *alignment;
    const uint8_t *labels, *rows;
    uint32_t windows, rows_size;
} parts_t;

static EDGE_ALONE bool write_record(const edge_store_t *s, uint32_t slot, const edge_net_t *n,
                                    const parts_t *p, uint32_t sequence) {
    uint8_t header[RECORD_HEADER], state[EDGE_STATE_HEADER], alignment[ALIGNMENT];
    const uint32_t weights_size = s->state_size ? s->state_size - EDGE_STATE_HEADER : 0;
    uint32_t crc = 0;
    if (s->state_size) {
        edge_state_header(n, n->weights, state);
        crc = edge_crc32(edge_crc32(0, state, sizeof state), n->weights, weights_size);
    }
    if (p->alignment) {
        alignment[0] = (uint8_t)p->alignment->rotation;
        memcpy(alignment + 1, p->alignment->gain, EDGE_MAX_CHANNELS);
        crc = edge_crc32(crc, alignment, sizeof alignment);
    }
    crc = edge_crc32(edge_crc32(crc, p->labels, p->windows), p->rows, p->rows_size);
    memcpy(header, record_magic, 4);
    edge_store16(header + 4, p->windows ? WITH_WINDOWS : PLAIN);
    header[6] = p->alignment ? HAS_ALIGNMENT : 0;
    header[7] = 0;
    edge_store32(header + 8, sequence);
    edge_store32(header + 12, s->image_crc);
    edge_store32(header + 16, s->state_size);
    edge_store32(header + 20, p->windows ? p->windows + p->rows_size : edge_net_updates(n));
    edge_store32(header + 24, crc);
    edge_store32(header + 28, edge_crc32(0, header, 28));

    writer_t w = {s, slot, 0, 0, false};
    put(&w, header, sizeof header);
    finish_unit(&w);
    if (s->state_size) {
        put(&w, state, sizeof state);
        put(&w, n->weights, weights_size);
    }
    if (p->alignment) put(&w, alignment, sizeof alignment);
    put(&w, p->labels, p->windows);
    put(&w, p->rows, p->rows_size);
    finish_unit(&w);
    if (w.failed || !sync(s)) return false;
    const record_t r = read_header(s, slot);
    return r.sequence == sequence && body_is_whole(s, &r);
}

// Erases banks, of which none holds the confirmed record. Returns their first slot, or NO_SLOT.
static uint32_t cleared(const edge_store_t *s, uint32_t bank, uint32_t banks) {
    if (holds_live(s, bank, banks)) return NO_SLOT;
    for (uint32_t k = 0; k < banks; k++)
        if (!erase_bank(s, bank + k)) return NO_SLOT;
    return bank * s->slots;
}

// Where a record of `span` slots goes at the n-th try; each place gets one chance.
//
// A record that a bank holds goes on in the bank written last, or to the next in turn. A longer one goes to either end of the region: there, it
// never takes so much that the next has no place.
static uint32_t place(const edge_store_t *s, uint32_t span, uint32_t first, uint32_t n) {
    EDGE_GIVEN(s->banks && s->slots);
    if (span > s->slots) {
        const uint32_t banks = (span + s->slots - 1) / s->slots, high = s->banks - banks;
        const bool low_first = bank_erases(s, 0, banks) <= bank_erases(s, high, banks);
        return n < 2 ? cleared(s, low_first == (n == 0) ? 0 : high, banks) : NO_SLOT;
    }
    const uint32_t bank = (first + n) % s->banks, slot = free_slot(s, bank, span);
    return slot != NO_SLOT ? slot : cleared(s, bank, 1);
}

int edge_store_write(edge_store_t *s, const edge_net_t *n, const edge_alignment_t *alignment,
                     const edge_kept_t *kept) {
    const int error = open_for(s, n);
    if (error) return error;
    s->trial_sequence = 0;
    parts_t parts = {alignment, NULL, NULL, 0, 0};
    if (kept && kept->count) {
        if (kept->window_size != s->window_size) return EDGE_ERR_ARGUMENT;
        if (kept->count > room_of(s) / (s->window_size + 1)) return EDGE_ERR_ROOM;
        parts = (parts_t){alignment, kept->labels, kept->rows, kept->count, kept->count * s->window_size};
    }
    if (s->newest >= LAST_SEQUENCE) return EDGE_ERR_FLASH;
    const uint32_t sequence = s->newest + 1;
    const uint32_t span = parts.windows ? span_of(s, parts.windows + parts.rows_size) : 1;
    const uint32_t first = free_slot(s, s->bank, span) != NO_SLOT ? s->bank : next_bank(s);
    for (uint32_t k = 0; k <= s->banks; k++) {
        const uint32_t slot = place(s, span, first, k);
        if (slot == NO_SLOT || !write_record(s, slot, n, &parts, sequence)) continue;
        s->trial = slot;
        s->trial_sequence = s->newest = sequence;
        s->bank = (slot + span - 1) / s->slots;
        return 0;
    }
    return EDGE_ERR_FLASH;
}

int edge_store_confirm(edge_store_t *s) {
    if (!s || !s->slot_size || !s->trial_sequence) return EDGE_ERR_TRIAL;
    const record_t r = read_header(s, s->trial);
    if (r.sequence == s->trial_sequence && set_mark(s, &r)) {
        go_live(s, &r);
        s->trial_sequence = 0;
        return 0;
    }
    scan(s);
    return EDGE_ERR_FLASH;
}

/// Loading ///

// Reads the windows of a record: the newest, where not all fit.
static EDGE_ALONE bool read_windows(const edge_store_t *s, const record_t *r, uint32_t *at, edge_kept_t *kept,
                                    uint32_t classes, uint32_t *crc) {
    if (!kept) return read_on(s, r->slot, at, NULL, r->windows_size, crc);
    edge_kept_clear(kept);
    const uint32_t windows = r->windows_size / (s->window_size + 1);
    const uint32_t count = windows < kept->capacity ? windows : kept->capacity, over = windows - count;
    if (!read_on(s, r->slot, at, NULL, over, crc) || !read_on(s, r->slot, at, kept->labels, count, crc) ||
        !read_on(s, r->slot, at, NULL, over * s->window_size, crc) ||
        !read_on(s, r->slot, at, kept->rows, count * s->window_size, crc))
        return false;
    for (uint32_t k = 0; k < count; k++)
        if (kept->labels[k] >= classes) return false;
    kept->count = count;
    return true;
}

// Reads a record that was found whole straight into the net. False: what came was not what was whole.
static bool read_record(const edge_store_t *s, const record_t *r, edge_net_t *n, uint8_t *alignment,
                        edge_kept_t *kept) {
    uint8_t state[EDGE_STATE_HEADER];
    uint32_t crc = 0, at = body_at(s);
    const uint32_t classes = edge_model_classes(&n->model) + edge_model_spare(&n->model);
    if (!r->sequence) return false;
    if (s->state_size) {
        const uint32_t weights_size = s->state_size - EDGE_STATE_HEADER;
        if (!read_on(s, r->slot, &at, state, sizeof state, &crc) || !edge_state_fits(n, state) ||
            !read_on(s, r->slot, &at, n->weights, weights_size, &crc))
            return false;
    }
    if (r->flags & HAS_ALIGNMENT && !read_on(s, r->slot, &at, alignment, ALIGNMENT, &crc)) return false;
    if (!read_windows(s, r, &at, kept, classes, &crc) || crc != r->body_crc) return false;
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

static int load_record(const edge_store_t *s, const record_t *r, edge_net_t *n, edge_alignment_t *alignment,
                       edge_kept_t *kept) {
    uint8_t bytes[ALIGNMENT];
    memset(bytes, 0, sizeof bytes);
    if (!read_record(s, r, n, bytes, kept)) {
        if (s->state_size) use_image(n);
        if (kept) edge_kept_clear(kept);
        return EDGE_ERR_FLASH;
    }
    if (alignment) {
        memcpy(&alignment->rotation, bytes, 1);
        memcpy(alignment->gain, bytes + 1, EDGE_MAX_CHANNELS);
    }
    return 0;
}

// A record as it was found before, if it still is.
static bool still_there(const edge_store_t *s, uint32_t slot, uint32_t sequence, record_t *r) {
    *r = NO_RECORD;
    if (sequence) *r = read_header(s, slot);
    return sequence && r->sequence == sequence && body_is_whole(s, r);
}

int edge_store_load(edge_store_t *s, edge_net_t *n, edge_alignment_t *alignment, edge_kept_t *kept) {
    const int error = open_for(s, n);
    if (error) return error;
    s->trial_sequence = 0;
    record_t r;
    if (!still_there(s, s->live, s->sequence, &r)) {
        scan(s);
        if (!s->sequence) return EDGE_ERR_EMPTY;
        r = read_header(s, s->live);
    }
    return load_record(s, &r, n, alignment, kept);
}

int edge_store_peek(edge_store_t *s, edge_store_which_t which, edge_net_t *n, edge_alignment_t *alignment) {
    const int error = open_for(s, n);
    if (error) return error;
    const bool trial = which == EDGE_STORE_TRIAL;
    const uint32_t sequence = trial ? s->trial_sequence : s->sequence;
    if (!sequence) return trial ? EDGE_ERR_TRIAL : EDGE_ERR_EMPTY;
    record_t r;
    if (still_there(s, trial ? s->trial : s->live, sequence, &r))
        return load_record(s, &r, n, alignment, NULL);
    if (s->state_size) use_image(n);
    return EDGE_ERR_FLASH;
}

/// What is there ///

uint32_t edge_store_sequence(const edge_store_t *s) { return s ? s->sequence : 0; }

uint32_t edge_store_trial(const edge_store_t *s) { return s ? s->trial_sequence : 0; }

uint32_t edge_store_room(edge_store_t *s, const edge_net_t *n) {
    return open_for(s, n) || !s->window_size ? 0 : room_of(s);
}

uint32_t edge_store_updates(const edge_store_t *s) {
    uint8_t header[EDGE_STATE_HEADER];
    if (!s || !s->sequence || !s->state_size || !read_slot(s, s->live, body_at(s), header, sizeof header))
        return 0;
    return edge_load32(header + 20);
}

/// A link's bank ///

static int bank_write(void *context, const edge_net_t *n, const edge_alignment_t *alignment,
                      const edge_kept_t *kept) {
    return edge_store_write((edge_store_t *)context, n, alignment, kept);
}

static int bank_confirm(void *context) { return edge_store_confirm((edge_store_t *)context); }

static int bank_load(void *context, edge_net_t *n, edge_alignment_t *alignment, edge_kept_t *kept,
                     int trial) {
    edge_store_t *s = (edge_store_t *)context;
    const int error = s->trial_sequence
                          ? edge_store_peek(s, trial ? EDGE_STORE_TRIAL : EDGE_STORE_CONFIRMED, n, alignment)
                          : edge_store_load(s, n, alignment, kept);
    return error == EDGE_ERR_EMPTY ? (int)EDGE_LINK_ERR_BANK : error;
}

static void bank_facts(void *context, const edge_net_t *n, edge_bank_facts_t *facts) {
    edge_store_t *s = (edge_store_t *)context;
    facts->room = edge_store_room(s, n);
    facts->sequence = edge_store_sequence(s);
    facts->updates = edge_store_updates(s);
    facts->sectors = s->flash.sectors;
    facts->sector_size = s->flash.sector_size;
}

static int bank_wear(void *context, uint32_t sector, uint32_t *erases) {
    return edge_store_wear((const edge_store_t *)context, sector, erases);
}

void edge_store_bank(edge_store_t *s, edge_bank_port_t *port) {
    const edge_bank_port_t bank = {s, bank_write, bank_confirm, bank_load, bank_facts, bank_wear};
    *port = bank;
}
