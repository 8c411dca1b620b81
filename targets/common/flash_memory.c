// RAM that keeps the rules of NOR flash, for boards whose emulator lets nobody program its flash; kept over a reset.
// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "board.h"

enum { SECTOR_SIZE = 4096, UNIT = 4 };

static int read_bytes(void *context, uint32_t address, void *bytes, uint32_t size) {
    (void)context;
    memcpy(bytes, store_start + address, size);
    return 0;
}

// Programming clears bits and sets none.
static int program(void *context, uint32_t address, const void *bytes, uint32_t size) {
    (void)context;
    const uint8_t *from = bytes;
    for (uint32_t k = 0; k < size; k++) store_start[address + k] &= from[k];
    return 0;
}

static int erase(void *context, uint32_t address) {
    (void)context;
    memset(store_start + address, 0xFF, SECTOR_SIZE);
    return 0;
}

static uint32_t given __attribute__((section(".noinit")));

void board_fresh(uint8_t bytes[16]) {
    given++;
    memset(bytes, 0, 16);
    memcpy(bytes, &given, sizeof given);
}

void board_flash(edge_flash_t *flash) {
    const edge_flash_t port = {
        .read = read_bytes,
        .program = program,
        .erase = erase,
        .sectors = (uint32_t)(store_end - store_start) / SECTOR_SIZE,
        .sector_size = SECTOR_SIZE,
        .unit = UNIT,
    };
    *flash = port;
}

int board_image_flash(edge_flash_t *flash) {
    (void)flash;
    return 0;
}
