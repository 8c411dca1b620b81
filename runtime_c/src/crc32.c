// CRC-32 with a table of sixteen entries: 64 bytes of flash, two steps a byte; or bit by bit.
// SPDX-License-Identifier: Apache-2.0
#include "crc32.h"

#ifndef EDGE_SMALL
static const uint32_t nibble[16] = {
    0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4, 0x4DB26158, 0x5005713C,
    0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C, 0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C,
};
#endif

uint32_t edge_crc32(uint32_t crc, const void *bytes, size_t size) {
    const uint8_t *p = (const uint8_t *)bytes;
    crc = ~crc;
    for (size_t i = 0; i < size; i++) {
        crc ^= p[i];
#ifndef EDGE_SMALL
        crc = crc >> 4 ^ nibble[crc & 15];
        crc = crc >> 4 ^ nibble[crc & 15];
#else
        for (uint32_t bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (0xEDB88320 & (0u - (crc & 1)));
#endif
    }
    return ~crc;
}
