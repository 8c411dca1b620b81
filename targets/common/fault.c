// The record of the last fault, in memory that a reset keeps.
// SPDX-License-Identifier: Apache-2.0
#include "fault.h"

#include <stddef.h>

#include "board.h"

#define FAULT_FRESH 0x544C4146u  // a fault nobody asked about yet
#define FAULT_SEEN 0x4E454553u

static struct {
    uint32_t magic;
    board_fault_t fault;
} record __attribute__((section(".noinit")));

void fault_note(uint32_t status, uint32_t pc, uint32_t lr) {
    int counted = record.magic == FAULT_FRESH || record.magic == FAULT_SEEN;
    record.fault.count = counted ? record.fault.count + 1 : 1;
    record.fault.status = status;
    record.fault.pc = pc;
    record.fault.lr = lr;
    record.magic = FAULT_FRESH;
    board_reset();
}

const board_fault_t *board_last_fault(void) {
    if (record.magic != FAULT_FRESH) return NULL;
    record.magic = FAULT_SEEN;
    return &record.fault;
}
