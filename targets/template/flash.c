// Flash that a controller programs by words and erases by sectors. Change registers, unit and sector size.
// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "board.h"
#include "flash_mapped.h"
#include "fresh_count.h"

#define REGISTER(offset) (*(volatile uint32_t *)(0x40020000u + (offset)))
#define MODE REGISTER(0x00)
#define BUSY REGISTER(0x04)
#define SECTOR REGISTER(0x08)  // writing an address here erases

extern uint8_t count_start[], count_end[];  // two sectors, from memory.ld

enum { READ_ONLY = 0, PROGRAM = 1, ERASE = 2 };
enum { SECTOR_SIZE = 2048, UNIT = 4 };

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

// Only firmware with a key asks; a part with a random number generator asks that one. Without a number the watchdog takes over.
void board_fresh(uint8_t bytes[16]) {
    edge_flash_t flash;
    flash_region(&flash, count_start, count_end);
    while (fresh_count(&flash, bytes)) continue;
}

void flash_driver(edge_flash_t *flash) {
    flash->program = program;
    flash->erase = erase;
    flash->sync = sync_flash;
    flash->sector_size = SECTOR_SIZE;
    flash->unit = UNIT;
}
