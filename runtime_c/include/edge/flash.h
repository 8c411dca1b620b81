// Flash: the whole port, for the store (edge/store.h) and for images that arrive over the link.
// SPDX-License-Identifier: Apache-2.0
#ifndef EDGE_FLASH_H
#define EDGE_FLASH_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// A region of NOR flash that one user has for itself. Addresses count from the region's first byte. Each call
// returns 0, or anything else if it failed; no unit is programmed twice between two erases.
typedef struct edge_flash {
    void *context;  // given to every call

    // Reads bytes, anywhere in the region.
    int (*read)(void *context, uint32_t address, void *bytes, uint32_t size);

    // Programs erased bytes. Address and size are multiples of the unit, but for the end of an image (a
    // multiple of 8); one call stays in one sector.
    int (*program)(void *context, uint32_t address, const void *bytes, uint32_t size);

    // Erases the sector that starts at the address: every byte reads 0xFF afterwards.
    int (*erase)(void *context, uint32_t address);

    // Waits until all that was programmed or erased is in the flash. NULL: it is when those calls return.
    int (*sync)(void *context);

    uint32_t sectors;      // 2 .. 65535; the region is at most 2^31 - 1 bytes
    uint32_t sector_size;  // bytes that one erase clears; a multiple of the unit
    uint32_t unit;         // least bytes of a program: a power of two, 1 .. EDGE_STORE_MAX_UNIT
} edge_flash_t;

#ifdef __cplusplus
}
#endif
#endif
