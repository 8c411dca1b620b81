// The count: places of a number and its complement, one after the other in two sectors by turns.
// SPDX-License-Identifier: Apache-2.0
#include "fresh_count.h"

#include <string.h>

enum { NUMBER = 8, LARGEST_PLACE = 32 };

typedef struct {
    uint8_t bytes[LARGEST_PLACE];
} place_t;

static uint32_t place_size(const edge_flash_t *flash) { return flash->unit > NUMBER ? flash->unit : NUMBER; }

// Number 0 is the place that nobody programmed.
static void fill(place_t *place, uint32_t number) {
    memset(place->bytes, 0xFF, sizeof place->bytes);
    for (int k = 0; number && k < 4; k++) {
        place->bytes[k] = (uint8_t)(number >> 8 * k);
        place->bytes[k + 4] = (uint8_t)~place->bytes[k];
    }
}

static int holds(const edge_flash_t *flash, uint32_t address, uint32_t number) {
    const uint32_t size = place_size(flash);
    place_t wanted, found;
    fill(&wanted, number);
    return flash->read(flash->context, address, found.bytes, size) == 0 &&
           memcmp(wanted.bytes, found.bytes, size) == 0;
}

// Returns the number at the address, or 0 where power was cut while it came, or none was.
static uint32_t number_at(const edge_flash_t *flash, uint32_t address) {
    uint8_t b[NUMBER];
    if (flash->read(flash->context, address, b, sizeof b)) return 0;
    const uint32_t number =
        (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
    return holds(flash, address, number) ? number : 0;
}

static int write(const edge_flash_t *flash, uint32_t address, uint32_t number) {
    place_t place;
    fill(&place, number);
    if (!holds(flash, address, 0)) return -1;
    if (flash->program(flash->context, address, place.bytes, place_size(flash))) return -1;
    if (flash->sync && flash->sync(flash->context)) return -1;
    return holds(flash, address, number) ? 0 : -1;
}

// Into the first place from `address` to the sector's end that takes it.
static int write_behind(const edge_flash_t *flash, uint32_t address, uint32_t number) {
    const uint32_t size = place_size(flash),
                   end = address - address % flash->sector_size + flash->sector_size;
    for (; address + size <= end; address += size)
        if (write(flash, address, number) == 0) return 0;
    return -1;
}

int fresh_count(const edge_flash_t *flash, uint8_t bytes[16]) {
    const uint32_t size = place_size(flash), sector = flash->sector_size;
    uint32_t highest = 0, behind = 0;
    for (uint32_t start = 0; start < 2 * sector; start += sector)
        for (uint32_t at = start; at + size <= start + sector; at += size) {
            const uint32_t number = number_at(flash, at);
            if (number > highest) highest = number, behind = at + size;
        }
    if (highest == UINT32_MAX) return -1;
    // The last place of a sector ends where the next sector begins; the highest number's own sector is never erased.
    const uint32_t own = highest ? (behind - size) / sector : 0, other = (1 - own) * sector;
    if (behind / sector != own || write_behind(flash, behind, highest + 1)) {
        if (flash->erase(flash->context, other)) return -1;
        if (flash->sync && flash->sync(flash->context)) return -1;
        if (write_behind(flash, other, highest + 1)) return -1;
    }
    memset(bytes, 0, 16);
    for (int k = 0; k < 4; k++) bytes[k] = (uint8_t)((highest + 1) >> 8 * k);
    return 0;
}
