// Flash that a controller programs by words and erases by sectors. Change registers, unit and sector size.
// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "board.h"

#define REGISTER(offset) (*(volatile uint32_t *)(0x40020000u + (offset)))
#define MODE REGISTER(0x00)
#define BUSY REGISTER(0x04)
#define SECTOR REGISTER(0x08)  // writing an address here erases

enum { READ_ONLY = 0, PROGRAM = 1, ERASE = 2 };
enum { SECTOR_SIZE = 2048, UNIT = 4 };

// The context of every call is the first byte of the region.
static int read_bytes(void *context, uint32_t address, void *bytes, uint32_t size) {
    memcpy(bytes, (const uint8_t *)context + address, size);
    return 0;
}

// Each unit is programmed once between two erases. What does not read back has failed.
static int program(void *context, uint32_t address, const void *bytes, uint32_t size) {
    uint8_t *to = (uint8_t *)context + address;
    MODE = PROGRAM;
    for (uint32_t k = 0; k < size; k += UNIT) {
        uint32_t word;
        memcpy(&word, (const uint8_t *)bytes + k, sizeof word);
        *(volatile uint32_t *)(void *)(to + k) = word;
        while (BUSY) continue;
    }
    MODE = READ_ONLY;
    return memcmp(to, bytes, size) ? -1 : 0;
}

static int erase(void *context, uint32_t address) {
    MODE = ERASE;
    SECTOR = (uint32_t)(uintptr_t)((uint8_t *)context + address);
    while (BUSY) continue;
    MODE = READ_ONLY;
    return 0;
}

// Only where program and erase return before they have finished.
static int sync_flash(void *context) {
    (void)context;
    while (BUSY) continue;
    return 0;
}

static void region(edge_flash_t *flash, uint8_t *start, const uint8_t *end) {
    const edge_flash_t port = {
        .context = start,
        .read = read_bytes,
        .program = program,
        .erase = erase,
        .sync = sync_flash,
        .sectors = (uint32_t)(end - start) / SECTOR_SIZE,
        .sector_size = SECTOR_SIZE,
        .unit = UNIT,
    };
    *flash = port;
}

void board_flash(edge_flash_t *flash) { region(flash, store_start, store_end); }

int board_image_flash(edge_flash_t *flash) {
    region(flash, bank_start, bank_end);
    return 1;
}
