// The flash of nRF51 and nRF52 parts behind board.h.
// SPDX-License-Identifier: Apache-2.0
#ifndef FLASH_NRF_H
#define FLASH_NRF_H

#include <stdint.h>

// Bytes of a page, stated by the board: 1024 on nRF51, 4096 on nRF52.
extern const uint32_t flash_nrf_page;

#endif
