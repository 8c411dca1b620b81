// Numbers that never came before, for boards without a random number generator: a count in flash.
// SPDX-License-Identifier: Apache-2.0
#ifndef FRESH_COUNT_H
#define FRESH_COUNT_H

#include "edge/flash.h"

// Gives the next number of the count: 4 bytes, the lowest first, and 12 zeros. It is higher than any given before, wherever power was cut.
//
// flash: two sectors for the count alone, with a unit of at most 32 bytes.
// Returns 0, or -1 if the flash took no number; then none is given.
int fresh_count(const edge_flash_t *flash, uint8_t bytes[16]);

#endif
