// How the start-up code of a core notes a fault.
// SPDX-License-Identifier: Apache-2.0
#ifndef FAULT_H
#define FAULT_H

#include <stdint.h>

// Notes where a fault was and starts the board anew. status: CFSR (Cortex-M), mcause (RISC-V). Does not return.
void fault_note(uint32_t status, uint32_t pc, uint32_t lr) __attribute__((noreturn, used));

#endif
