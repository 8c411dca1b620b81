// Errors of hidden neurons below a linear readout, one neuron after another: for 32-bit cores.
// SPDX-License-Identifier: Apache-2.0
#include "spikes.h"

#define LONGEST 64  // steps of a window: 8 bytes of history

// The steps of a row's spikes, counted from 0. Returns how many.
static uint32_t list_steps(uint8_t *steps, const uint8_t *history, uint32_t bytes) {
    uint8_t *next = steps;
    for (uint32_t b = 0; b < bytes; b++)
        for (uint32_t bits = history[b]; bits; bits &= bits - 1)
            *next++ = (uint8_t)(8 * b + edge_lowest_bit(bits));
    return (uint32_t)(next - steps);
}

// What comes down to one neuron from its row of the readout's weights.
static int32_t come_down(const edge_errors_t *e, const uint8_t *row) {
    const int8_t *w = (const int8_t *)row;
    const int16_t *score = e->scores, *const end = score + e->m4;
    int32_t sum = 0;
    while (score < end) sum += *w++ * *score++;
    return edge_sat32(edge_round32(sum, e->down_shift), 32767);
}

// d less the product of docs/arithmetic.md 3.3, rounded; theta is not negative. Half a unit of 2^shift: below 2^62.
static int32_t after_reset(const edge_errors_t *e, int32_t d, uint32_t theta, int32_t eps) {
    const uint32_t magnitude = (uint32_t)(eps < 0 ? -eps : eps), shift = e->reset_shift;
    const uint64_t z = ((uint64_t)theta * magnitude * e->reset_mult + ((uint64_t)1 << shift >> 1)) >> shift;
    const int32_t most = z < 65535 ? (int32_t)z : 65535;  // saturates anyway
    return edge_sat32(eps < 0 ? d + most : d - most, 32767);
}

// Writes a magnitude, at least 1 and halved from step to step, into lanes of words that were zero.
static void spread(uint32_t *word, uint32_t words, uint32_t magnitude, uint32_t steps, bool negative,
                   bool high) {
    const uint32_t *const end = word - steps * words;
#ifdef EDGE_LANES
    uint16_t *lane = (uint16_t *)word + high;
    if (negative) {
        do *lane = (uint16_t)(0u - magnitude);
        while (lane -= 2 * words, (magnitude >>= 1) != 0 && lane > (const uint16_t *)end + high);
    } else {
        do *lane = (uint16_t)magnitude;
        while (lane -= 2 * words, (magnitude >>= 1) != 0 && lane > (const uint16_t *)end + high);
    }
#else
    if (high) magnitude <<= 16;
    const uint32_t least = high ? 65536 : 1;
    if (negative) {
        do *word -= magnitude & (0u - least);
        while (word -= words, (magnitude >>= 1) >= least && word > end);
    } else {
        do *word += magnitude & (0u - least);
        while (word -= words, (magnitude >>= 1) >= least && word > end);
    }
#endif
}

uint64_t edge_word_errors(const edge_errors_t *e, uint32_t first, uint32_t n, int16_t *eps,
                          uint32_t *largest) {
    const uint32_t words = e->stride / 2;
    uint32_t *const tile = (uint32_t *)EDGE_ALIGNED((uint8_t *)eps, 4);
    uint64_t spiking = 0;
    edge_clear(tile, (size_t)4 * words * e->window);
    for (uint32_t k = 0; k < n; k++) {
        const uint32_t i = first + k, row = i * e->history_bytes;
        uint32_t *const column = tile + k / 4 * 2 + k % 2;
        uint8_t steps[LONGEST + 1];
        uint8_t *step = steps + list_steps(steps, e->history + row, e->history_bytes);
        largest[k] = 0;
        if (step == steps) continue;
        spiking |= (uint64_t)1 << k;
        const int32_t d = come_down(e, e->weights + (size_t)i * e->m4);
        int32_t later = 0, unit = 0;
        uint32_t at_later = 0;
        while (step > steps) {
            const uint32_t at = *--step, since = step > steps ? at - step[-1] : at + 1;
            uint32_t gate = 256;
            if (e->cursor)
                gate = e->gates[e->cursor[at]++];
            else if (!(e->gates[row + at / 8] >> at % 8 & 1))
                gate = 0;
            int32_t error = 0;
            if (gate) {
                const uint32_t back = at_later - at - 1;
                const int32_t reset = !later || back > 7 ? 0 : later < 0 ? -(-later >> back) : later >> back;
                error = d;
                if (reset && e->reset_mult)
                    error = after_reset(e, d, (uint32_t)edge_theta(e->threshold, i, since), reset);
                if (e->cursor) error = edge_round32(error * (int32_t)(gate + gate / 128), 8);
                error = edge_sat32(error, e->error_limit);
            }
            if (error != later) unit = edge_shifted(error, e->rate, e->update_limit);
            if (unit) {
                const uint32_t magnitude = (uint32_t)(unit < 0 ? -unit : unit);
                if (magnitude > largest[k]) largest[k] = magnitude;
                spread(column + at * words, words, magnitude, since < 8 ? since : 8, unit < 0, k & 2);
            }
            later = error;
            at_later = at;
        }
    }
    return spiking;
}
