// Flash that is read as memory and programmed in place: what a driver gives to flash_mapped.c.
// SPDX-License-Identifier: Apache-2.0
#ifndef FLASH_MAPPED_H
#define FLASH_MAPPED_H

#include "edge/store.h"

// Sets program, erase, unit and sector_size, and sync where calls return before they have finished. The context of every call is the region's first byte.
void flash_driver(edge_flash_t *flash);

#endif
