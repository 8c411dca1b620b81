// Flash that is read as memory and programmed in place: what a driver gives to flash_mapped.c, and regions of it.
// SPDX-License-Identifier: Apache-2.0
#ifndef FLASH_MAPPED_H
#define FLASH_MAPPED_H

#include "edge/store.h"

// Sets program, erase, unit and sector_size, and sync where calls return before they have finished. The context of every call is the region's first byte.
void flash_driver(edge_flash_t *flash);

// Describes the flash from start to end, whole sectors.
void flash_region(edge_flash_t *flash, uint8_t *start, const uint8_t *end);

#endif
