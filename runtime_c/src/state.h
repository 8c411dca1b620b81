// The saved state in pieces: for those who keep it where a whole copy has no room (docs/image.md section 6).
// SPDX-License-Identifier: Apache-2.0
#ifndef EDGE_STATE_H
#define EDGE_STATE_H

#include <stdbool.h>

#include "edge/edge.h"

#define EDGE_STATE_HEADER 24u  // bytes before the weights

// Writes the header of a state with these weights. The net learns and is not busy.
void edge_state_header(const edge_net_t *n, const uint8_t *weights, uint8_t *header);

// Whether a header is one of this net's states; its checksum, which covers the weights too, is not looked at.
bool edge_state_fits(const edge_net_t *n, const uint8_t *header);

// Whether learned weights are in range and what pads their rows is zero.
bool edge_state_weights_valid(const edge_net_t *n, const uint8_t *weights);

// Goes on from a header that fits, once the net has the weights that belong to it.
void edge_state_resume(edge_net_t *n, const uint8_t *header);

#endif
