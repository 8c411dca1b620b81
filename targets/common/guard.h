// Authentication of the link's requests under a key that is built into the firmware (docs/security.md).
// SPDX-License-Identifier: Apache-2.0
#ifndef GUARD_H
#define GUARD_H

#include "edge/link.h"

// Tags by Monocypher's BLAKE2b.
extern const edge_link_guard_t guard;

#endif
