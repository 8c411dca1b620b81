// Bytes that never came before, of the random number generator (RM0351, section 27), which MSI drives at 48 MHz.
// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "board.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define RCC_CR REGISTER(0x40021000u)
#define RCC_AHB2ENR REGISTER(0x4002104Cu)
#define RCC_CCIPR REGISTER(0x40021088u)
#define RNG_CR REGISTER(0x50060800u)
#define RNG_SR REGISTER(0x50060804u)
#define RNG_DR REGISTER(0x50060808u)

enum {
    MSI_ON = 1 << 0,
    MSI_READY = 1 << 1,
    MSI_BY_RANGE = 1 << 3,
    MSI_RANGE = 15 << 4,
    MSI_48_MHZ = 11 << 4
};
enum { CLOCK_RNG = 1 << 18 };
enum { RNG_ON = 1 << 2, RNG_READY = 1 << 0, RNG_FAULTS = 1 << 1 | 1 << 2 | 1 << 5 | 1 << 6 };

// The next word; after a fault it waits for the watchdog.
static uint32_t next(void) {
    while (RNG_SR & RNG_FAULTS || !(RNG_SR & RNG_READY)) continue;
    return RNG_DR;
}

static void clock_start(void) {
    RCC_CR |= MSI_ON;
    while (!(RCC_CR & MSI_READY)) continue;
    RCC_CR = (RCC_CR & ~(uint32_t)MSI_RANGE) | MSI_48_MHZ | MSI_BY_RANGE;
    while (!(RCC_CR & MSI_READY)) continue;
    RCC_CCIPR |= 3u << 26;
    RCC_AHB2ENR |= CLOCK_RNG;
}

void board_fresh(uint8_t bytes[16]) {
    clock_start();
    RNG_CR = RNG_ON;
    uint32_t last = next();  // not given: each word is compared with the one before (FIPS 140-2)
    for (int k = 0; k < 16; k += 4) {
        const uint32_t word = next();
        while (word == last) continue;
        memcpy(bytes + k, &word, sizeof word);
        last = word;
    }
    RNG_CR = 0;
    RCC_AHB2ENR &= ~(uint32_t)CLOCK_RNG;
    RCC_CR &= ~(uint32_t)MSI_ON;  // nothing else runs from it
}
