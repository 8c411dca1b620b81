// Bytes that never came before, of the random number generator of nRF51 and nRF52 parts.
// SPDX-License-Identifier: Apache-2.0
#include "board.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define START REGISTER(0x4000D000u)
#define STOP REGISTER(0x4000D004u)
#define READY REGISTER(0x4000D100u)
#define CONFIG REGISTER(0x4000D504u)
#define VALUE REGISTER(0x4000D508u)

enum { BIAS_CORRECTION = 1 };

// 2 ms on nRF52, 11 ms on nRF51. The part reports no faults.
void board_fresh(uint8_t bytes[16]) {
    CONFIG = BIAS_CORRECTION;
    START = 1;
    for (int k = 0; k < 16; k++) {
        READY = 0;
        while (!READY) continue;
        bytes[k] = (uint8_t)VALUE;
    }
    STOP = 1;
}
