// The saved state: what learning changed, as bytes that survive (docs/image.md section 6).
// SPDX-License-Identifier: Apache-2.0
#include "crc32.h"
#include "net.h"

#define STATE_VERSION 1
#define STATE_HEADER 24u

static const uint8_t magic[4] = {0x45, 0x44, 0x47, 0x53};

size_t edge_net_state_size(const edge_net_t *n) { return STATE_HEADER + edge_model_weights_size(&n->model); }

int edge_net_save(const edge_net_t *n, void *state, size_t size) {
    if (n->mode != EDGE_LEARN) return EDGE_ERR_MODE;
    if (n->stage) return EDGE_ERR_BUSY;
    const size_t whole = edge_net_state_size(n);
    if (!state || size < whole) return EDGE_ERR_MEMORY;
    uint8_t *p = (uint8_t *)state;
    memcpy(p, magic, 4);
    edge_store16(p + 4, STATE_VERSION);
    p[6] = n->rate_decay;
    p[7] = 0;
    edge_store32(p + 8, (uint32_t)whole);
    edge_store32(p + 16, edge_model_crc(&n->model));
    edge_store32(p + 20, n->update);
    memmove(p + STATE_HEADER, n->weights, whole - STATE_HEADER);  // the state may hold the weights in place
    edge_store32(p + 12, edge_crc32(0, p + 16, whole - 16));
    return (int)whole;
}

// Whether learned weights are in range and what pads their rows is zero.
static bool weights_are_valid(const edge_net_t *n, const uint8_t *weights) {
    edge_walk_t walk = edge_net_walk(n);
    for (uint32_t l = 0; l < n->model.layers; l++) {
        const edge_layer_t y = edge_model_layer(&n->model, l);
        const edge_seat_t seat = edge_walk_layer(&n->model, &y, &walk);
        if (!y.learns) continue;
        for (uint32_t j = 0; j < y.fan_in; j++) {
            for (uint32_t i = y.bits == 8 ? y.fan_out : 0; i < y.m4; i++) {
                const size_t at = (size_t)j * y.m4 + i;
                const int32_t w = y.bits == 8 ? weights[seat.weights + at]
                                              : edge_signed16(edge_load16(weights + seat.weights + 2 * at));
                if (w < -512 || w > 511 || (i >= y.fan_out && w != 0)) return false;
            }
        }
    }
    return true;
}

int edge_net_load(edge_net_t *n, const void *state, size_t size) {
    if (n->mode != EDGE_LEARN) return EDGE_ERR_MODE;
    if (n->stage) return EDGE_ERR_BUSY;
    const uint8_t *p = (const uint8_t *)state;
    const size_t whole = edge_net_state_size(n);
    if (!p || size < whole) return EDGE_ERR_STATE;
    if (memcmp(p, magic, 4) != 0 || edge_load16(p + 4) != STATE_VERSION || p[6] > 15 || p[7])
        return EDGE_ERR_STATE;
    if (edge_load32(p + 8) != whole || edge_load32(p + 16) != edge_model_crc(&n->model))
        return EDGE_ERR_STATE;
    if (edge_load32(p + 12) != edge_crc32(0, p + 16, whole - 16)) return EDGE_ERR_STATE;
    if (!weights_are_valid(n, p + STATE_HEADER)) return EDGE_ERR_STATE;
    memmove(n->weights, p + STATE_HEADER, whole - STATE_HEADER);
    n->update = edge_load32(p + 20);
    n->rate_decay = p[6];
    n->over = 1;
    return 0;
}
