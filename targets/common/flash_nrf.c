// Programs the flash of nRF51 and nRF52 parts through the NVMC: words, pages. The core waits meanwhile.
// SPDX-License-Identifier: Apache-2.0
#include "flash_nrf.h"

#include <string.h>

#include "flash_mapped.h"

#define READY (*(volatile uint32_t *)0x4001E400u)
#define CONFIG (*(volatile uint32_t *)0x4001E504u)
#define ERASE_PAGE (*(volatile uint32_t *)0x4001E508u)

enum { READ_ONLY = 0, PROGRAM = 1, ERASE = 2 };
enum { UNIT = 4 };

static void wait(void) {
    while (!(READY & 1u)) continue;
}

static void allow(uint32_t what) {
    CONFIG = what;
    wait();
}

static int program(void *context, uint32_t address, const void *bytes, uint32_t size) {
    uint8_t *to = (uint8_t *)context + address;
    const uint8_t *from = bytes;
    allow(PROGRAM);
    for (uint32_t k = 0; k < size; k += UNIT) {
        uint32_t word;
        memcpy(&word, from + k, sizeof word);
        *(volatile uint32_t *)(void *)(to + k) = word;
        wait();
    }
    allow(READ_ONLY);
    return memcmp(to, from, size) ? -1 : 0;
}

static int erase(void *context, uint32_t address) {
    allow(ERASE);
    ERASE_PAGE = (uint32_t)(uintptr_t)((uint8_t *)context + address);
    wait();
    allow(READ_ONLY);
    return 0;
}

void flash_driver(edge_flash_t *flash) {
    flash->program = program;
    flash->erase = erase;
    flash->sector_size = flash_nrf_page;
    flash->unit = UNIT;
}
