// The saved state: what learning changed, as bytes that survive (docs/image.md section 6).
// SPDX-License-Identifier: Apache-2.0
#include "state.h"

#include "crc32.h"
#include "net.h"

#define STATE_VERSION 1

static const uint8_t magic[4] = {0x45, 0x44, 0x47, 0x53};

size_t edge_net_state_size(const edge_net_t *n) {
    return EDGE_STATE_HEADER + edge_model_weights_size(&n->model);
}

void edge_state_header(const edge_net_t *n, const uint8_t *weights, uint8_t *header) {
    memcpy(header, magic, 4);
    edge_store16(header + 4, STATE_VERSION);
    header[6] = n->rate_decay;
    header[7] = (uint8_t)(n->active - n->model.classes);
    edge_store32(header + 8, (uint32_t)edge_net_state_size(n));
    edge_store32(header + 16, edge_model_crc(&n->model));
    edge_store32(header + 20, n->update);
    const uint32_t crc = edge_crc32(0, header + 16, EDGE_STATE_HEADER - 16);
    edge_store32(header + 12, edge_crc32(crc, weights, edge_model_weights_size(&n->model)));
}

int edge_net_save(const edge_net_t *n, void *state, size_t size) {
    if (n->mode != EDGE_LEARN) return EDGE_ERR_MODE;
    if (n->stage) return EDGE_ERR_BUSY;
    const size_t whole = edge_net_state_size(n);
    if (!state || size < whole) return EDGE_ERR_MEMORY;
    uint8_t *p = (uint8_t *)state;
    // The state may hold the weights in place: they move before the header is written.
    memmove(p + EDGE_STATE_HEADER, n->weights, whole - EDGE_STATE_HEADER);
    edge_state_header(n, p + EDGE_STATE_HEADER, p);
    return (int)whole;
}

bool edge_state_weights_valid(const edge_net_t *n, const uint8_t *weights) {
    edge_walk_t walk = edge_net_walk(n);
    edge_layer_t y;
    while (edge_walk_next(&walk, &y)) {
        if (y.learns && !edge_layer_weights_valid(&y, weights + y.seat.weights)) return false;
    }
    return true;
}

bool edge_state_fits(const edge_net_t *n, const uint8_t *header) {
    return memcmp(header, magic, 4) == 0 && edge_load16(header + 4) == STATE_VERSION && header[6] <= 15 &&
           header[7] <= edge_model_spare(&n->model) && edge_load32(header + 8) == edge_net_state_size(n) &&
           edge_load32(header + 16) == edge_model_crc(&n->model);
}

void edge_state_resume(edge_net_t *n, const uint8_t *header) {
    n->update = edge_load32(header + 20);
    n->rate_decay = header[6];
    n->active = (uint16_t)(n->model.classes + header[7]);
    n->over = 1;
}

int edge_net_load(edge_net_t *n, const void *state, size_t size) {
    if (n->mode != EDGE_LEARN) return EDGE_ERR_MODE;
    if (n->stage) return EDGE_ERR_BUSY;
    const uint8_t *p = (const uint8_t *)state;
    const size_t whole = edge_net_state_size(n);
    if (!p || size < whole || !edge_state_fits(n, p)) return EDGE_ERR_STATE;
    if (edge_load32(p + 12) != edge_crc32(0, p + 16, whole - 16)) return EDGE_ERR_STATE;
    if (!edge_state_weights_valid(n, p + EDGE_STATE_HEADER)) return EDGE_ERR_STATE;
    memmove(n->weights, p + EDGE_STATE_HEADER, whole - EDGE_STATE_HEADER);
    edge_state_resume(n, p);
    return 0;
}
