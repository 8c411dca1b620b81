// Flash on NOR rules that power cuts short, and that is torn, worn or lies; CHECK stands before.
// SPDX-License-Identifier: Apache-2.0
#ifndef FLASH_SIM_H
#define FLASH_SIM_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "edge/flash.h"

enum { LARGEST = 64 * 1024, NEVER = -1 };

// How an operation that power cut short leaves its unit or sector.
enum torn { NOTHING, SOME_BITS, FIRST_BYTES, ALL_BUT_ONE_BIT, EVERYTHING, TORN };

typedef struct {
    edge_flash_t port;
    uint8_t bytes[LARGEST];
    uint32_t erases[LARGEST / 64];
    int operations;  // units programmed and sectors erased
    int cut_at;      // the operation that power cuts short, or NEVER
    enum torn torn;
    bool torn_whole;                                // and yet every bit of the unit came right
    bool off;                                       // no power
    bool program_fails, erase_fails, program_lies;  // in the sector `bad`
    uint32_t bad;
    int sync_fails;  // one sync of so many fails; 0: none
    int read_lies;   // one read of so many has a wrong bit; 0: none
    int read_fails;  // one read of so many fails; 0: none
    uint32_t random;
} flash_t;

static uint32_t draw(flash_t *f) {
    f->random = f->random * 1664525u + 1013904223u;
    return f->random >> 8;
}

static bool power_fails(flash_t *f) {
    if (f->operations++ == f->cut_at) f->off = true;
    return f->off;
}

static void tear_program(flash_t *f, uint8_t *to, const uint8_t *from) {
    const uint32_t unit = f->port.unit, stop = draw(f) % (unit * 8);
    for (uint32_t k = 0; k < unit; k++) {
        uint8_t keep = 0;  // bits that stay set
        if (f->torn == NOTHING) keep = 0xFF;
        if (f->torn == SOME_BITS) keep = (uint8_t)draw(f);
        if (f->torn == FIRST_BYTES && k * 8 >= stop) keep = 0xFF;
        to[k] &= (uint8_t)(from[k] | keep);
    }
    if (f->torn != ALL_BUT_ONE_BIT) return;
    for (uint32_t k = 0; k < unit * 8; k++) {
        const uint32_t bit = (stop + k) % (unit * 8);
        if (from[bit / 8] >> bit % 8 & 1) continue;
        to[bit / 8] |= (uint8_t)(1u << bit % 8);
        return;
    }
}

// An erase clears to zeros first, then sets: whatever bits are there when power goes.
static void tear_erase(flash_t *f, uint8_t *sector) {
    const uint32_t size = f->port.sector_size, stop = draw(f) % size;
    for (uint32_t k = 0; k < size; k++) {
        if (f->torn == SOME_BITS) sector[k] = (uint8_t)draw(f);
        if (f->torn == FIRST_BYTES) sector[k] = k < stop ? 0xFF : (uint8_t)(sector[k] | draw(f));
        if (f->torn == ALL_BUT_ONE_BIT) sector[k] = k == stop ? 0xFE : 0xFF;
        if (f->torn == EVERYTHING) sector[k] = k < stop ? 0 : sector[k];
    }
}

static int flash_read(void *context, uint32_t address, void *bytes, uint32_t size) {
    flash_t *f = context;
    CHECK(size && size <= sizeof f->bytes && address <= f->port.sectors * f->port.sector_size - size);
    if (f->off || (f->read_fails && draw(f) % (uint32_t)f->read_fails == 0)) return -1;
    memcpy(bytes, f->bytes + address, size);
    if (f->read_lies && draw(f) % (uint32_t)f->read_lies == 0) *(uint8_t *)bytes ^= 1;
    return 0;
}

static int flash_program(void *context, uint32_t address, const void *bytes, uint32_t size) {
    flash_t *f = context;
    const uint32_t unit = f->port.unit, sector = address / f->port.sector_size;
    CHECK(size && address % unit == 0 && size % unit == 0 && sector < f->port.sectors);
    CHECK((address + size - 1) / f->port.sector_size == sector);
    if (!f->off && f->program_fails && sector == f->bad) return -1;
    for (uint32_t at = 0; at < size; at += unit) {
        if (f->off) return -1;
        for (uint32_t k = 0; k < unit; k++) CHECK(f->bytes[address + at + k] == 0xFF);
        if (power_fails(f)) {
            tear_program(f, f->bytes + address + at, (const uint8_t *)bytes + at);
            f->torn_whole = memcmp(f->bytes + address + at, (const uint8_t *)bytes + at, unit) == 0;
            return -1;
        }
        memcpy(f->bytes + address + at, (const uint8_t *)bytes + at, unit);
        // A worn cell that does not clear any more, in every seventh unit.
        if (f->program_lies && sector == f->bad && (address + at) / unit % 7 == 5)
            f->bytes[address + at] |= 1;
    }
    return 0;
}

static int flash_erase(void *context, uint32_t address) {
    flash_t *f = context;
    CHECK(address % f->port.sector_size == 0 && address / f->port.sector_size < f->port.sectors);
    if (f->off || (f->erase_fails && address / f->port.sector_size == f->bad)) return -1;
    if (power_fails(f)) {
        tear_erase(f, f->bytes + address);
        return -1;
    }
    memset(f->bytes + address, 0xFF, f->port.sector_size);
    f->erases[address / f->port.sector_size]++;
    return 0;
}

static int flash_sync(void *context) {
    flash_t *f = context;
    return f->off || (f->sync_fails && draw(f) % (uint32_t)f->sync_fails == 0) ? -1 : 0;
}

static void flash_new(flash_t *f, uint32_t sectors, uint32_t sector_size, uint32_t unit, uint32_t seed) {
    memset(f, 0, sizeof *f);
    f->port =
        (edge_flash_t){f, flash_read, flash_program, flash_erase, flash_sync, sectors, sector_size, unit};
    f->cut_at = NEVER;
    f->random = seed;
    memset(f->bytes, 0xFF, sizeof f->bytes);
}

static void power_on(flash_t *f) {
    f->off = false;
    f->cut_at = NEVER;
    f->operations = 0;
}

#endif
