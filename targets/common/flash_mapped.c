// The store's region and the bank of images in flash that is read as memory.
// SPDX-License-Identifier: Apache-2.0
#include "flash_mapped.h"

#include <string.h>

#include "board.h"

static int read_bytes(void *context, uint32_t address, void *bytes, uint32_t size) {
    memcpy(bytes, (const uint8_t *)context + address, size);
    return 0;
}

void flash_region(edge_flash_t *flash, uint8_t *start, const uint8_t *end) {
    memset(flash, 0, sizeof *flash);
    flash_driver(flash);
    flash->context = start;
    flash->read = read_bytes;
    flash->sectors = (uint32_t)(end - start) / flash->sector_size;
}

void board_flash(edge_flash_t *flash) { flash_region(flash, store_start, store_end); }

int board_image_flash(edge_flash_t *flash) {
    flash_region(flash, bank_start, bank_end);
    return 1;
}
