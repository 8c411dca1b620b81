// Programs the flash of STM32L4 parts: double words with error correction, pages of 2 KB in two banks (RM0351 section 3).
// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "flash_mapped.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define ACCESS REGISTER(0x40022000u)
#define KEY REGISTER(0x40022008u)
#define STATUS REGISTER(0x40022010u)
#define CONTROL REGISTER(0x40022014u)
#define FLASH_START 0x08000000u
#define BANK_SIZE 0x80000u
#define LOCK (1u << 31)

enum { PAGE = 2048, UNIT = 8 };
enum { PROGRAM = 1 << 0, ERASE = 1 << 1, PAGE_AT = 3, SECOND_BANK = 1 << 11, START = 1 << 16 };
enum { BUSY = 1 << 16, ERRORS = 0xC3FA };
enum { CACHE_ON = 1 << 10, CACHE_RESET = 1 << 12 };

static void unlock(void) {
    while (STATUS & BUSY) continue;
    if (CONTROL & LOCK) {
        KEY = 0x45670123u;
        KEY = 0xCDEF89ABu;
    }
    STATUS = ERRORS;
}

// Empties the data cache, which does not notice what is programmed. Returns 0, or -1 if the controller complains.
static int finish(void) {
    while (STATUS & BUSY) continue;
    const int failed = (STATUS & ERRORS) != 0;
    CONTROL = LOCK;
    ACCESS &= ~(uint32_t)CACHE_ON;
    ACCESS |= CACHE_RESET;
    ACCESS &= ~(uint32_t)CACHE_RESET;
    ACCESS |= CACHE_ON;
    return failed ? -1 : 0;
}

static int program(void *context, uint32_t address, const void *bytes, uint32_t size) {
    uint8_t *to = (uint8_t *)context + address;
    const uint8_t *from = bytes;
    unlock();
    CONTROL = PROGRAM;
    for (uint32_t k = 0; k < size; k += UNIT) {
        uint32_t words[2];
        memcpy(words, from + k, sizeof words);
        volatile uint32_t *at = (volatile uint32_t *)(void *)(to + k);
        at[0] = words[0];
        at[1] = words[1];
        while (STATUS & BUSY) continue;
    }
    return finish() || memcmp(to, from, size) != 0 ? -1 : 0;
}

static int erase(void *context, uint32_t address) {
    const uint32_t at = (uint32_t)(uintptr_t)((uint8_t *)context + address) - FLASH_START;
    const uint32_t bank = at >= BANK_SIZE ? SECOND_BANK : 0;
    unlock();
    CONTROL = ERASE | bank | at % BANK_SIZE / PAGE << PAGE_AT;
    CONTROL |= START;
    return finish();
}

void flash_driver(edge_flash_t *flash) {
    flash->program = program;
    flash->erase = erase;
    flash->sector_size = PAGE;
    flash->unit = UNIT;
}
