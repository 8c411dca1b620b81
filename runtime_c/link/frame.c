// COBS, one byte at a time: the receiver fills the request, the transmitter empties a response.
// SPDX-License-Identifier: Apache-2.0
#include "frame.h"

// The request is whole before the flag that hands it over: on one core, order for the compiler is order.
#if defined(__GNUC__)
#define ORDERED() __asm__ volatile("" ::: "memory")
#else
#define ORDERED() (void)0
#endif

enum { FULL_GROUP = 254 };

static void restart(edge_link_t *l) {
    l->received = 0;
    l->group = 0;
    l->group_left = 0;
    l->skipping = 0;
}

static void append(edge_link_t *l, uint8_t byte) {
    if (l->received == l->capacity)
        l->skipping = 1;
    else
        l->request[l->received++] = byte;
}

static void end_of_frame(edge_link_t *l) {
    const int empty = l->group == 0 && !l->skipping;
    if (!empty && (l->skipping || l->group_left || l->received < EDGE_LINK_OVERHEAD)) {
        l->torn++;
    } else if (!empty) {
        l->request_length = l->received;
        ORDERED();
        l->request_ready = 1;
    }
    restart(l);
}

void edge_link_receive(edge_link_t *l, uint8_t byte) {
    if (byte == 0) {
        end_of_frame(l);
    } else if (l->request_ready || l->skipping) {
        l->skipping = 1;
    } else if (l->group_left) {
        l->group_left--;
        append(l, byte);
    } else {
        // A group stands for its bytes and a zero, unless it is full or the last.
        if (l->group && l->group != FULL_GROUP + 1) append(l, 0);
        l->group = byte;
        l->group_left = (uint8_t)(byte - 1);
    }
}

void edge_frame_done(edge_link_t *l) {
    ORDERED();
    l->request_ready = 0;
}

enum { SEND_START, SEND_CODE, SEND_GROUP, SEND_END };

void edge_frame_send(edge_link_t *l, const uint8_t *frame, uint32_t length) {
    l->sending_length = length;
    l->sending_at = 0;
    l->sending_phase = SEND_START;
    l->sending = frame;
}

static int send_code(edge_link_t *l) {
    uint32_t run = 0;
    while (run < FULL_GROUP && l->sending_at + run < l->sending_length && l->sending[l->sending_at + run])
        run++;
    l->sending_left = (uint8_t)run;
    l->sending_full = run == FULL_GROUP;
    l->sending_phase = SEND_GROUP;
    return (int)run + 1;
}

int edge_link_send(edge_link_t *l) {
    if (!l->sending) return -1;
    if (l->sending_phase == SEND_GROUP && l->sending_left) {
        l->sending_left--;
        return l->sending[l->sending_at++];
    }
    if (l->sending_phase == SEND_START) {
        l->sending_phase = SEND_CODE;
        return 0;
    }
    if (l->sending_phase == SEND_GROUP) {
        const int ended = l->sending_at == l->sending_length;
        if (!ended && !l->sending_full) l->sending_at++;
        l->sending_phase = ended ? SEND_END : SEND_CODE;
    }
    if (l->sending_phase == SEND_CODE) return send_code(l);
    l->sending = NULL;
    return 0;
}
