// What happens once a spike, in portable C: lists of lines, histories, resets.
// SPDX-License-Identifier: Apache-2.0
#include "spikes.h"

#ifdef EDGE_BIT_TABLE
const uint8_t edge_bit_table[32] = {0,  1,  28, 2,  29, 14, 24, 3, 30, 22, 20, 15, 25, 17, 4,  8,
                                    31, 27, 13, 23, 21, 19, 16, 7, 26, 12, 18, 6,  11, 5,  10, 9};
#endif

#ifdef EDGE_ARM_THUMB2
#ifdef EDGE_ARM_HELIUM
#define ARM_WHOLE (~(uint32_t)0)
#else
#define ARM_WHOLE (~(uint32_t)3)
#endif

// In arm_errors.S.
void edge_arm_add_eps(int32_t *sums, const int16_t *eps, uint32_t n);
int32_t edge_arm_dot(const uint8_t *w, const int16_t *eps, uint32_t n);

uint16_t *edge_arm_list_words(uint16_t *list, const uint16_t *full, const uint8_t *spikes, uint32_t *line,
                              uint32_t end);
#endif

uint32_t edge_list_spikes(uint16_t *list, uint32_t room, const uint8_t *spikes, uint32_t *line,
                          uint32_t lines) {
    uint16_t *next = list, *const full = list + room;
    uint32_t j = *line;
#ifdef EDGE_ARM_THUMB2
    next = edge_arm_list_words(next, full, spikes, &j, lines & ~(uint32_t)31);
#endif
    for (; j < lines && next < full; j += 32) {
        uint32_t bits = 0;
        if (lines - j >= 32) {
            const uint8_t *word = spikes + j / 8;
            bits = (uintptr_t)word % 4 ? edge_load32(word) : edge_word(word);
        } else {
            for (uint32_t k = 0; k < lines - j; k += 8) bits |= (uint32_t)spikes[(j + k) / 8] << k;
            bits &= ((uint32_t)1 << (lines - j)) - 1;
        }
        for (; bits; bits &= bits - 1) *next++ = (uint16_t)(j + edge_lowest_bit(bits));
    }
    *line = j;
    return (uint32_t)(next - list);
}

void edge_mark_lines(uint8_t *history, uint32_t bytes, uint8_t bit, const uint16_t *list, uint32_t n) {
    for (const uint16_t *const end = list + n; list < end; list++) history[(size_t)*list * bytes] |= bit;
}

uint32_t edge_restart_fired(const edge_firing_t *f, uint32_t first, uint32_t fired) {
    // Copies: bytes may be written anywhere, and the compiler would read everything again.
    const uint32_t t = f->t;
#ifndef EDGE_NO_LEARN
    const edge_threshold_t th = *f->threshold;
    const uint32_t bytes = f->bytes;
    const uint8_t bit = f->bit;
    const int32_t width = f->gate_width, decayed = th.theta0 - th.alpha * ((int32_t)t - 1 + th.ahead);
    uint8_t *const history = f->history, *const gates = f->gates;
#endif
    int32_t *const u = f->u + first;
    uint16_t *const last = f->last + first;
    uint32_t spikes = 0;
    for (; fired; fired &= fired - 1, spikes++) {
        const uint32_t k = edge_lowest_bit(fired);
#ifndef EDGE_NO_LEARN
        const uint32_t at = (first + k) * bytes;
        if (history) history[at] |= bit;
        if (gates) {
            int32_t theta = decayed + th.alpha * last[k];
            if (!EDGE_FAST || th.theta0s) theta = edge_theta(&th, first + k, t - last[k]);
            if (u[k] - edge_ceiling(theta > 0 ? theta : 0) < width) gates[at] |= bit;
        }
#endif
        u[k] = 0;
        last[k] = (uint16_t)t;
    }
    return spikes;
}

void edge_spread(int16_t *eps, uint32_t stride, int32_t e, uint32_t steps, bool halved) {
    uint32_t magnitude = (uint32_t)(e < 0 ? -e : e);
    if (halved && magnitude < (uint32_t)1 << steps) steps = edge_highest_bit(magnitude) + 1;
    const uint32_t shift = halved;
    if (e < 0) {
        for (; steps; steps--, eps -= stride, magnitude >>= shift) *eps = (int16_t) - (int32_t)magnitude;
    } else {
        for (; steps; steps--, eps -= stride, magnitude >>= shift) *eps = (int16_t)magnitude;
    }
}

void edge_add_eps(int32_t *sums, const int16_t *eps, int32_t x, uint32_t n) {
    int32_t *const end = sums + n;
#if defined(EDGE_ARM_THUMB2) && !defined(EDGE_NO_LEARN)
    const uint32_t most = n & ARM_WHOLE;
    if (x == 1 && most) {
        edge_arm_add_eps(sums, eps, most);
        sums += most;
        eps += most;
    }
#endif
    for (; EDGE_FAST && end - sums >= 4; sums += 4, eps += 4) {
        sums[0] += x * eps[0];
        sums[1] += x * eps[1];
        sums[2] += x * eps[2];
        sums[3] += x * eps[3];
    }
    while (sums < end) *sums++ += x * *eps++;
}

int32_t edge_dot(const uint8_t *w, const int16_t *eps, uint32_t n) {
    const int16_t *const end = eps + n;
    const int8_t *weight = (const int8_t *)w;
    int32_t sum = 0;
#if defined(EDGE_ARM_THUMB2) && !defined(EDGE_NO_LEARN)
    const uint32_t most = n & ARM_WHOLE;
    if (most) {
        sum = edge_arm_dot(w, eps, most);
        weight += most;
        eps += most;
    }
#endif
    for (; EDGE_FAST && end - eps >= 4; eps += 4, weight += 4)
        sum += weight[0] * eps[0] + weight[1] * eps[1] + weight[2] * eps[2] + weight[3] * eps[3];
    while (eps < end) sum += *weight++ * *eps++;
    return sum;
}

void edge_clear(void *p, size_t size) {
    uint32_t *word = (uint32_t *)p;
    uint32_t *const end = word + size / 4;
    for (; EDGE_FAST && end - word >= 8; word += 8) {
        word[0] = word[1] = word[2] = word[3] = 0;
        word[4] = word[5] = word[6] = word[7] = 0;
#if defined(__GNUC__)
        // Else it becomes a call of memset, which small C libraries write byte by byte.
        __asm__ volatile("" ::: "memory");
#endif
    }
    while (word < end) *word++ = 0;
}
