// What a board may do its own way, and need not: a watchdog, a deeper sleep.
// SPDX-License-Identifier: Apache-2.0
#include "board.h"
#include "cpu.h"

__attribute__((weak)) void board_alive(void) {}

__attribute__((weak)) void board_sleep(void) { wait_for_interrupt(); }
