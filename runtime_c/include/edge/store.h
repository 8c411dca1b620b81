// The store: what was learned, kept in flash through power cuts, on trial until it is confirmed.
// SPDX-License-Identifier: Apache-2.0
//
// Bytes, states and recovery: docs/store.md. The caller owns the flash, its port and a small buffer. Opening
// only reads. Writing erases and programs, and blocks as long as the port does. One caller at a time.
#ifndef EDGE_STORE_H
#define EDGE_STORE_H

#include "edge/edge.h"
#include "edge/flash.h"
#include "edge/kept.h"
#include "edge/link.h"
#include "edge/stream.h"

#ifdef __cplusplus
extern "C" {
#endif

#define EDGE_STORE_VERSION 2     // newest record format that this runtime reads
#define EDGE_STORE_MAX_UNIT 256  // bytes

typedef struct edge_store {
    // Private to the store; fixed size, no allocation. Do not rely on the contents.
    edge_flash_t flash;
    uint8_t *buffer;
    uint32_t buffer_size;
    uint32_t sector_data;   // bytes of a sector after its header
    uint32_t image_crc;     // of the image that the layout is for
    uint32_t state_size;    // of that image; 0 where nothing learns
    uint32_t window_size;   // bytes of a kept window; 0 without an encoder
    uint32_t slot_size;     // 0: not open
    uint32_t slots;         // of a bank
    uint32_t bank_sectors;  // of a bank
    uint32_t banks;
    uint32_t live;            // first slot of the newest confirmed record, counted over all banks
    uint32_t live_span;       // its slots
    uint32_t sequence;        // its sequence, 0: there is none
    uint32_t trial;           // first slot of the record on trial
    uint32_t trial_sequence;  // 0: none
    uint32_t newest;          // highest sequence seen
    uint32_t bank;            // where that was
} edge_store_t;

/// Lifecycle ///

// Least sectors of the flash that keep the states of this net: two banks. More sectors spread the wear.
//
// Returns the number, or 0 if the geometry is not one of a flash.
uint32_t edge_store_sectors(const edge_flash_t *flash, const edge_net_t *n);

// Prepares a store. The flash is copied, not touched.
//
// buffer: size bytes, at least 32 and at least the unit; of them a multiple of the unit is used. More is
// faster.
// Returns 0 or EDGE_ERR_ARGUMENT.
int edge_store_init(edge_store_t *s, const edge_flash_t *flash, void *buffer, size_t size);

// Looks for the newest confirmed state of the net's image, after a start or when another image was opened.
// Only reads, so that nothing can go wrong with the power; a state that was on trial is thereby reverted. The
// calls below open the store by themselves when the net has another image.
//
// Returns 0, EDGE_ERR_EMPTY (the store is open; nothing is stored for this image), EDGE_ERR_ROOM or
// EDGE_ERR_ARGUMENT.
int edge_store_open(edge_store_t *s, const edge_net_t *n);

/// Trial, confirm, revert ///

// Writes the net's state, the alignment and the kept windows (NULL: none) and puts them on trial.
//
// They are what counts from edge_store_confirm on; edge_store_load, edge_store_open and a restart go back to
// the last confirmed state. A later write ends the trial of an earlier one. The confirmed state is never
// erased meanwhile.
// Returns 0, EDGE_ERR_BUSY, EDGE_ERR_ROOM, EDGE_ERR_FLASH or EDGE_ERR_ARGUMENT; on an error nothing is on
// trial.
int edge_store_write(edge_store_t *s, const edge_net_t *n, const edge_alignment_t *alignment,
                     const edge_kept_t *kept);

// Confirms the state on trial: one small program.
//
// Returns 0, EDGE_ERR_TRIAL, or EDGE_ERR_FLASH: the trial is over, and what is confirmed now is what
// edge_store_sequence says.
int edge_store_confirm(edge_store_t *s);

// Restores the newest confirmed state, and ends a trial.
//
// alignment: receives what was stored beside it (zeros where nothing was), or NULL. kept: receives the
// windows, the newest if not all fit, or NULL: left as they are. Returns 0, EDGE_ERR_EMPTY, EDGE_ERR_BUSY,
// EDGE_ERR_ROOM or EDGE_ERR_ARGUMENT: all is unchanged; or EDGE_ERR_FLASH: the flash changed while it was
// read, the net has its image's own weights and no window is kept.
int edge_store_load(edge_store_t *s, edge_net_t *n, edge_alignment_t *alignment, edge_kept_t *kept);

typedef enum { EDGE_STORE_CONFIRMED = 0, EDGE_STORE_TRIAL = 1 } edge_store_which_t;

// Reads the confirmed state or the one on trial into the net without ending the trial: so the two can be
// compared. Kept windows are not read.
//
// Returns as edge_store_load, and EDGE_ERR_TRIAL where none is on trial.
int edge_store_peek(edge_store_t *s, edge_store_which_t which, edge_net_t *n, edge_alignment_t *alignment);

/// What is there ///

// Sequence of the confirmed state, 1 .. 2^32 - 2: 1 for the first write of an image, higher by at least one
// for each later. Returns it, or 0 for none.
uint32_t edge_store_sequence(const edge_store_t *s);

// Sequence of the state on trial. Returns it, or 0 for none.
uint32_t edge_store_trial(const edge_store_t *s);

// Bytes of kept windows (a label and its rows each) that a write can keep: what half of the region has beside
// the state.
//
// Returns the number; 0 where nothing can be kept or the net's image has no encoder.
uint32_t edge_store_room(edge_store_t *s, const edge_net_t *n);

// Updates of the confirmed state. Returns the number, 0 where there is none.
uint32_t edge_store_updates(const edge_store_t *s);

// Erases of a sector, itself counted, from its header in the flash. An erase that power cut short is not
// counted.
//
// Returns 0, EDGE_ERR_EMPTY (the sector has no header: never used, or power was cut), or EDGE_ERR_ARGUMENT.
int edge_store_wear(const edge_store_t *s, uint32_t sector, uint32_t *erases);

/// The link's commits ///

// Makes the store the bank of a link (edge_link_config_t): COMMIT writes and confirms, TRY compares first,
// ROLLBACK loads.
//
// The store outlives the port. Returns nothing.
void edge_store_bank(edge_store_t *s, edge_bank_port_t *port);

#ifdef __cplusplus
}
#endif
#endif
