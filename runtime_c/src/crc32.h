// The checksum of images, states and frames: CRC-32 of IEEE 802.3, as zlib computes it.
// SPDX-License-Identifier: Apache-2.0
#ifndef EDGE_CRC32_H
#define EDGE_CRC32_H

#include <stddef.h>
#include <stdint.h>

// The checksum of `size` bytes, after those that gave `crc` (0 for the first).
//
// Returns the checksum.
uint32_t edge_crc32(uint32_t crc, const void *bytes, size_t size);

#endif
