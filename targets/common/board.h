// What a board gives the firmware: a UART, sleep, reset, and where its memory lies.
// SPDX-License-Identifier: Apache-2.0
#ifndef BOARD_H
#define BOARD_H

#include <stddef.h>
#include <stdint.h>

#include "edge/store.h"

// The name the board gives itself in hello.
extern const char board_name[];

/// Memory, from the linker script ///

extern uint8_t bank_start[], bank_end[];    // images; kept over a reset
extern uint8_t store_start[], store_end[];  // flash, or what plays it, for what was learned
extern uint8_t pool_start[], pool_end[];    // RAM left for weights, arena, samples and the committed copy

/// Bytes in and out ///

// Sets up clocks and the UART. From now on every received byte is given to firmware_receive by the interrupt.
void board_init(void);

// Puts a byte into the transmit ring. Returns 1, or 0 if the ring is full.
int board_transmit(uint8_t byte);

// Bytes that the transmit ring can take. Returns 0 .. its size.
size_t board_transmit_room(void);

// Implemented by the firmware, called from the receive interrupt.
void firmware_receive(uint8_t byte);

/// Flash for what was learned ///

// Describes the region that the store has for itself: the four functions of edge_flash_t and its geometry. `sectors` 0: the board has none, and commits
// live in RAM. Boards that an emulator plays: flash_memory.c.
void board_flash(edge_flash_t *flash);

// Describes the memory for images in the same way. Returns 1, or 0 where it is written as RAM is.
int board_image_flash(edge_flash_t *flash);

// Firmware with a key (docs/security.md) asks for 16 bytes that this board never gave before, not even before it lost power: of a random number generator, or a
// count in flash. Boards of flash_memory.c count in RAM, as long as their emulator runs.
void board_fresh(uint8_t bytes[16]);

/// Sleep and reset ///

// Counts interrupts, modulo 2^32. Returns the count.
uint32_t board_events(void);

// Called at least once a slice of learning and after every sleep, in the main loop: where a watchdog is fed. Boards without one need none.
void board_alive(void);

// Sleeps until an interrupt is pending; called with interrupts off. Boards that know a deeper sleep than WFI have
// their own; it keeps RAM and wakes for the UART's first byte in time.
void board_sleep(void);

// Sleeps until an interrupt after the one that `seen` counted; returns at once if there was one already.
void board_wait(uint32_t seen);

// On RISC-V: finds out which interrupt there is and has it handled.
void board_interrupt(void);

// Starts the board anew. Does not return.
void board_reset(void) __attribute__((noreturn));

/// Faults ///

typedef struct board_fault {
    uint32_t count;   // faults since power on
    uint32_t status;  // of the last one: CFSR (Cortex-M), mcause (RISC-V)
    uint32_t pc, lr;  // 0 if they were on a stack that was lost
} board_fault_t;

// The fault that caused the last reset; asked once, it is forgotten. Returns it, or NULL.
const board_fault_t *board_last_fault(void);

#endif
