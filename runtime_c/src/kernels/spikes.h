// Loops that run once a spike.
// SPDX-License-Identifier: Apache-2.0
#ifndef EDGE_SPIKES_H
#define EDGE_SPIKES_H

#include <stdbool.h>

#include "kernels.h"

// Lists the spikes of `lines` lines, 32 lines at a time from *line on, until `room` or up to 31 more are found. *line moves
// on. Bits past the last line are ignored. Returns how many.
uint32_t edge_list_spikes(uint16_t *list, uint32_t room, const uint8_t *spikes, uint32_t *line,
                          uint32_t lines);

// Sets a bit in the histories of the lines listed: rows of `bytes`, from the byte of the present step.
void edge_mark_lines(uint8_t *history, uint32_t bytes, uint8_t bit, const uint16_t *list, uint32_t n);

// Neurons `first` + the bits of `fired` start again at 0; what learning needs of them is kept. Returns how many.
uint32_t edge_restart_fired(const edge_firing_t *f, uint32_t first, uint32_t fired);

// Writes e, not 0, to *eps and back in time, `stride` apart: `steps` times as it is, or halved towards 0 from step to step
// until nothing is left.
void edge_spread(int16_t *eps, uint32_t stride, int32_t e, uint32_t steps, bool halved);

// sums[i] += x eps[i]; the sums stay within int32 (docs/arithmetic.md 3.5).
void edge_add_eps(int32_t *sums, const int16_t *eps, int32_t x, uint32_t n);

// The sum of n 8-bit weights times eps. Every part of it fits int32 (docs/arithmetic.md 3.2).
int32_t edge_dot(const uint8_t *w, const int16_t *eps, uint32_t n);

// Clears words: `size` bytes, a multiple of 4.
void edge_clear(void *p, size_t size);

#endif
