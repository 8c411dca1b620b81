// Frames on the line: COBS between zero bytes, one byte at a time (docs/link.md section 1).
// SPDX-License-Identifier: Apache-2.0
#ifndef EDGE_LINK_FRAME_H
#define EDGE_LINK_FRAME_H

#include "edge/link.h"

enum { FRAME_HEADER = 8, FRAME_CHECKSUM = 4 };

// Starts sending a frame, which stays unchanged until it has left.
void edge_frame_send(edge_link_t *l, const uint8_t *frame, uint32_t length);

// Gives the request's buffer back to the receiver.
void edge_frame_done(edge_link_t *l);

#endif
