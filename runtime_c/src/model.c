// Opens an image: every byte that the runtime will trust is checked here (docs/image.md section 4).
// SPDX-License-Identifier: Apache-2.0
#include "model.h"
#include "crc32.h"

#define MAGIC 0x45474445u  // "EDGE"
#define HEADER_SIZE 128u
#define LAYER_SIZE 72u  // of a row of the layer table in version 1
#define GRAPH_SIZE 24u  // what version 2 adds to it
#define ENCODER_SIZE 48u
#define MEMBRANE_LIMIT ((uint32_t)1 << 30)
#define THRESHOLD_LIMIT (INT32_MAX - 255)
#define MAP_LIMIT ((uint32_t)1 << 20)
#define COUNT_LIMIT 255
#define ADDS_LIMIT 8

// Where a field stands in the header.
enum {
    AT_VERSION = 4,
    AT_HEADER_SIZE = 6,
    AT_SIZE = 8,
    AT_CRC = 12,
    AT_WINDOW = 16,
    AT_LAYERS = 18,
    AT_INPUT_KIND = 19,
    AT_INPUTS = 20,
    AT_CLASSES = 24,
    AT_LOSS = 26,
    AT_SCORE_SHIFT = 27,
    AT_SEED = 28,
    AT_SCORE_MULT = 32,
    AT_DESIRED = 34,
    AT_OTHERS = 36,
    AT_COUNT_MULT = 38,
    AT_TABLE = 40,
    AT_ENCODER = 44,
    AT_NAMES = 48,
    AT_METADATA = 56,
    AT_ARENA_INFER = 64,
    AT_ARENA_LEARN = 68,
    AT_WEIGHTS = 72,
    AT_NAME = 76,
    AT_RESERVED = 108
};

enum { AT_SOURCE = 81 };  // in a row of the layer table

static bool all_zero(const uint8_t *p, size_t size) {
    uint8_t any = 0;
    for (size_t i = 0; i < size; i++) any |= p[i];
    return any == 0;
}

// Whether each of some bytes is at most what a table says.
static bool none_above(const uint8_t *p, const uint8_t *most, size_t size) {
    for (size_t i = 0; i < size; i++) {
        if (p[i] > most[i]) return false;
    }
    return true;
}

// Whether n things of so many bytes at an offset lie in the image, if they are there: then at a multiple of eight.
static bool inside(const edge_model_t *m, uint32_t offset, uint32_t n, uint32_t bytes) {
    return offset % 8 == 0 && offset <= m->size && (offset == 0 || n <= (uint32_t)(m->size - offset) / bytes);
}

/// The layer table ///

static const uint8_t *row_of(const edge_model_t *m, uint32_t l) {
    return m->image + edge_word(m->image + AT_TABLE) + (size_t)m->row_size * l;
}

#ifndef EDGE_NO_CONV
// What version 2 adds; kept out of what reads a chain. A stride or a width that was not checked yet may be 0.
static EDGE_ALONE void read_graph(edge_layer_t *y, const uint8_t *p) {
    y->in_height = edge_half(p + 72);
    y->in_width = edge_half(p + 74);
    y->kernel = p[76];
    y->stride = p[77];
    y->padding = p[78];
    y->pooling = p[79];
    y->pool = p[80] ? p[80] : 1;
    if (p[81]) y->source = p[81];
    y->value_pool = p[82];
    y->value_shift = p[83];
    y->input_down = p[84];
    y->add = p[85];
    y->add_down = edge_signed_byte(p[86]);
    y->current = p[87];
    y->current_shift = edge_signed_byte(p[88]);
    y->current_down = edge_signed_byte(p[89]);
    y->bytes = y->add != 0 || y->pooling == EDGE_POOL_SUM;
    if (y->kernel && y->stride) {
        const uint32_t more = 2u * y->padding;
        const uint32_t height = (y->in_height + more - y->kernel) / y->stride + 1;
        y->width = (y->in_width + more - y->kernel) / y->stride + 1;
        y->positions = height * y->width;
    }
}
#endif

void edge_model_read_layer(const edge_model_t *m, uint32_t l, edge_layer_t *y) {
    const uint8_t *p = row_of(m, l);
    memset(y, 0, sizeof *y);
    y->neuron = p[1];
    y->bits = p[2];
    y->last = l + 1 == m->layers;
    y->source = (uint8_t)l;
    y->is_static = l == 0 && m->input_kind == EDGE_INPUT_STATIC;
    y->fan_in = edge_word(p + 20);
    y->fan_out = edge_word(p + 24);
    y->m4 = (y->fan_out + 3) & ~(uint32_t)3;
    y->weights = edge_model_at(m, edge_word(p + 28));
    y->biases = edge_model_at(m, edge_word(p + 32));
    y->theta0s = edge_model_at(m, edge_word(p + 36));
    y->alphas = edge_model_at(m, edge_word(p + 40));
    y->theta0 = edge_signed32(edge_word(p + 44));
    y->alpha = edge_signed32(edge_word(p + 48));
#ifndef EDGE_NO_LEARN
    y->learns = (p[3] & 1) != 0;
    y->carry = (p[3] & 2) != 0;
    y->passes = edge_model_is(m, EDGE_PASSES, l);
    y->sums = edge_model_is(m, EDGE_SUMS, l);
    y->history = (y->passes && edge_layer_spikes(y)) || edge_model_is(m, EDGE_RECALLED, l);
    y->surrogate = p[4];
    y->down_shift = p[5];
    y->rate_shift = edge_signed_byte(p[6]);
    y->input_shift = p[7];
    y->reset_mult = edge_half(p + 8);
    y->reset_shift = p[10];
    y->gate_shift = p[11];
    y->gate_mult = edge_half(p + 12);
    y->gate_width = edge_signed32(edge_word(p + 16));
    y->capacity = edge_word(p + 52);
#endif
#ifndef EDGE_NO_CONV
    y->terms = edge_model_is(m, EDGE_TERMS, l);
    y->kept = edge_model_is(m, EDGE_KEPT, l);
    y->positions = y->width = y->pool = 1;
    if (m->row_size > LAYER_SIZE) read_graph(y, p);
#endif
}

#ifndef EDGE_NO_CONV
edge_map_t edge_model_input_map(const edge_model_t *m, const edge_layer_t *y) {
    edge_map_t map = {1, 1, y->fan_in};
    if (y->kernel) {
        map.height = y->in_height;
        map.width = y->in_width;
        map.channels /= (uint32_t)y->kernel * y->kernel;
    } else if (y->source) {
        edge_layer_t from = edge_model_layer(m, y->source - 1u);
        if (y->value_pool) from.pool = y->value_pool;
        map = edge_layer_outputs(&from);
    }
    return map;
}

// The largest output of every layer below l, of a checked image: at most 255.
static void largest_outputs(const edge_model_t *m, uint32_t l, uint8_t *largest) {
    for (uint32_t k = 0; k < l; k++) {
        const edge_layer_t y = edge_model_layer(m, k);
        const uint32_t most = y.add ? 1u + largest[y.add - 1] : 1u;
        largest[k] = (uint8_t)(y.pooling == EDGE_POOL_SUM ? most * y.pool * y.pool : most);
    }
}

#endif

uint32_t edge_model_largest_input(const edge_model_t *m, uint32_t l) {
    if (l == 0) return m->input_kind == EDGE_INPUT_SPIKES ? 1 : 128;
#ifndef EDGE_NO_CONV
    const edge_layer_t y = edge_model_layer(m, l);
    if (y.value_pool) return 128;
    if (edge_model_layer(m, y.source - 1u).bytes) {
        uint8_t largest[EDGE_MAX_LAYERS];
        largest_outputs(m, l, largest);
        return largest[y.source - 1];
    }
#endif
    return 1;
}

#ifndef EDGE_NO_CONV
int32_t edge_model_update_limit(const edge_model_t *m, uint32_t l) {
    const uint32_t reach = m->window * edge_model_largest_input(m, l), steps = 32767u / m->window;
    const uint32_t limit = (uint32_t)INT32_MAX / reach / edge_model_layer(m, l).positions;
    return (int32_t)(limit < steps ? limit : steps);
}

// The shape of layer l and what it takes; the layers before it have been checked.
static bool graph_is_valid(const edge_model_t *m, uint32_t l) {
    const uint8_t *p = row_of(m, l);
    const edge_layer_t y = edge_model_layer(m, l);
    const bool plain = y.last || y.neuron == EDGE_CURRENTS;
    if ((p[0] == 2) != (y.kernel != 0) || !all_zero(p + 90, 6)) return false;
    if (y.kernel) {
        const uint32_t squared = (uint32_t)y.kernel * y.kernel, more = 2u * y.padding;
        if (y.last || y.stride < 1 || y.padding >= y.kernel || y.fan_in % squared) return false;
        if (y.in_height < 1 || y.in_width < 1) return false;
        if (y.in_height + more < y.kernel || y.in_width + more < y.kernel) return false;
        const uint64_t height = (y.in_height + more - y.kernel) / y.stride + 1;
        if (height * y.width * y.fan_out > MAP_LIMIT) return false;
    } else if (y.stride || y.padding || y.in_height || y.in_width) {
        return false;
    }

    const uint32_t height = y.positions / y.width;
    if (y.pooling > EDGE_POOL_SUM || (y.pooling == EDGE_POOL_NONE) != (p[80] == 0)) return false;
    if (y.pooling && (plain || p[80] < 2 || y.pool > height || y.pool > y.width)) return false;
    if (y.pooling == EDGE_POOL_MAX && y.add) return false;

    if (p[81] > l || (l == 0 && y.value_pool)) return false;
    const edge_map_t in = edge_model_input_map(m, &y);
    if (y.source) {
        edge_layer_t from = edge_model_layer(m, y.source - 1u);
        if (!y.value_pool && !edge_layer_spikes(&from)) return false;
        if (y.value_pool) from.pool = y.value_pool;
        if (from.pool > from.width || from.pool > from.positions / from.width) return false;
        const edge_map_t given = edge_layer_outputs(&from);
        if (y.kernel && (given.height != in.height || given.width != in.width)) return false;
        if (edge_map_size(&given) != (uint64_t)in.height * in.width * in.channels) return false;
        if (!y.kernel && edge_map_size(&given) != y.fan_in) return false;
    } else if ((uint64_t)in.height * in.width * in.channels != m->inputs) {
        return false;
    }
    if (y.value_shift > (y.value_pool ? 30 : 0) || y.input_down > 31) return false;

    if (y.add > l || (y.add && plain) || y.add_down < (y.add ? -15 : 0) || y.add_down > (y.add ? 31 : 0))
        return false;
    if (y.add) {
        const edge_layer_t from = edge_model_layer(m, y.add - 1u);
        const edge_map_t map = edge_layer_outputs(&from);
        if (!edge_layer_spikes(&from) || map.height != height || map.width != y.width ||
            map.channels != y.fan_out)
            return false;
    }
    if (y.current > l || (y.current && y.last)) return false;
    if (y.current_shift < (y.current ? -15 : 0) || y.current_shift > (y.current ? 30 : 0)) return false;
    if (y.current_down < (y.current ? -15 : 0) || y.current_down > (y.current ? 31 : 0)) return false;
    if (y.current) {
        const edge_layer_t from = edge_model_layer(m, y.current - 1u);
        if (from.positions != y.positions || from.width != y.width || from.fan_out != y.fan_out) return false;
    }
    return true;
}

static bool takes_outputs(const edge_model_t *m, uint32_t l, uint32_t from) {
    const edge_layer_t y = edge_model_layer(m, l);
    return (y.source == from + 1 && !y.value_pool) || y.add == from + 1;
}

// Errors come back on simple ways (docs/arithmetic.md 3.2). A layer that takes values or is currents only
// has none.
static bool ways_are_simple(const edge_model_t *m, uint32_t l) {
    const edge_layer_t y = edge_model_layer(m, l);
    uint32_t added = 1;
    for (edge_layer_t z = y; z.add; added++) z = edge_model_layer(m, z.add - 1u);
    if (added > ADDS_LIMIT) return false;
    if (!y.passes) return true;
    if (y.value_pool || y.neuron == EDGE_CURRENTS) return false;
    uint32_t currents = 0, adder = m->layers;
    for (uint32_t k = l + 1; k < m->layers; k++) {
        const edge_layer_t z = edge_model_layer(m, k);
        if (k > adder && takes_outputs(m, k, l)) return false;
        if (z.add == l + 1) adder = k;
        currents += z.current == l + 1;
    }
    return currents <= 1;
}
#endif

#if !defined(EDGE_NO_LEARN) || !defined(EDGE_NO_CONV)
static void put_role(edge_model_t *m, uint32_t role, uint32_t l) { m->roles[l] |= (uint8_t)(1u << role); }

// Of a table whose layers take from earlier ones only.
static void find_roles(edge_model_t *m) {
    for (uint32_t l = 0; l < m->layers; l++) {
#ifdef EDGE_NO_CONV
        if (l + 1 == m->lowest && m->lowest < m->layers) put_role(m, EDGE_RECALLED, l);
        if (l < m->lowest) continue;
        put_role(m, EDGE_PASSES, l);
        if (l + 2 < m->layers) put_role(m, EDGE_SUMS, l);
#else
        const edge_layer_t y = edge_model_layer(m, l);
        if (y.current) put_role(m, EDGE_KEPT, y.current - 1u);
        if (y.source && y.value_pool) put_role(m, EDGE_KEPT, y.source - 1u);
#ifndef EDGE_NO_LEARN
        if (y.learns || (y.source && edge_model_is(m, EDGE_PASSES, y.source - 1u)) ||
            (y.add && edge_model_is(m, EDGE_PASSES, y.add - 1u)) ||
            (y.current && edge_model_is(m, EDGE_PASSES, y.current - 1u)))
            put_role(m, EDGE_PASSES, l);
        if (y.current && edge_model_is(m, EDGE_PASSES, l)) put_role(m, EDGE_ADDED, y.current - 1u);
        for (uint32_t k = y.learns ? y.source : 0; k; k = edge_model_layer(m, k - 1).add)
            put_role(m, EDGE_RECALLED, k - 1);
        if (y.last) continue;
        uint32_t takers = 0, hidden = 0, adds = 0;
        for (uint32_t k = l + 1; k < m->layers; k++) {
            if (!takes_outputs(m, k, l)) continue;
            takers++;
            hidden += k + 1 < m->layers;
            adds += edge_model_layer(m, k).add == l + 1;
        }
        if (!edge_model_is(m, EDGE_PASSES, l) || !hidden) continue;
        put_role(m, EDGE_SUMS, l);
        if (adds || takers > 1) put_role(m, EDGE_TERMS, l);
#endif
#endif
    }
}
#endif

// Ranges of one row, and that its tensors lie in the image: nothing behind an offset is read.
static EDGE_ALONE bool row_is_valid(const edge_model_t *m, const uint8_t *p, const edge_layer_t *y) {
#ifndef EDGE_NO_CONV
    enum { KINDS = 2, NEURONS = EDGE_CURRENTS };
#else
    enum { KINDS = 1, NEURONS = EDGE_LINEAR };
#endif
    static const uint8_t most[] = {KINDS, NEURONS, 10, 3, 2, 31, 255, 15, 255, 255, 62, 47, 255, 255, 0, 0};
    const uint32_t weights = edge_word(p + 28), theta0s = edge_word(p + 36), alphas = edge_word(p + 40);
    const bool spikes = edge_layer_spikes(y), by_channel = theta0s != 0;
    if (!none_above(p, most, sizeof most)) return false;
    if (p[0] < 1 || (y->bits != 8 && y->bits != 10) || p[3] == 2 || !all_zero(p + 60, 12)) return false;
#ifndef EDGE_NO_CONV
    if (m->row_size == LAYER_SIZE && (p[0] == 2 || y->neuron == EDGE_CURRENTS)) return false;
    if (y->neuron == EDGE_CURRENTS && (y->last || row_of(m, 0) == p)) return false;
#endif
    if (y->last ? p[5] : y->neuron == EDGE_LINEAR) return false;
    if (!spikes && (p[4] || theta0s || y->theta0 || y->alpha)) return false;
#ifndef EDGE_NO_LEARN
    if (y->rate_shift < -15 || y->rate_shift > 31) return false;
    if ((y->surrogate == EDGE_GATE_LINEAR) != (y->gate_mult != 0)) return false;
    if (y->surrogate == EDGE_GATE_RECTANGULAR ? y->gate_width < 1 : y->gate_width != 0) return false;
#endif
    if (y->fan_in - 1 > 65534 || y->fan_out - 1 > (y->last ? 255 : 65534)) return false;
    // Not zero, negative, infinite or not a number.
    if (edge_word(p + 56) - 1 >= 0x7F800000 - 1) return false;
    return weights != 0 && inside(m, weights, y->fan_in, y->m4 << (y->bits != 8)) &&
           inside(m, edge_word(p + 32), y->fan_out, 4) && inside(m, theta0s, y->fan_out, 4) &&
           inside(m, alphas, y->fan_out, 4) && by_channel == (alphas != 0) &&
           !(by_channel && (y->theta0 || y->alpha));
}

#ifndef EDGE_NO_LEARN
// What learning wants of layer l, whose inputs are at most `largest_input`.
static bool can_learn(const edge_model_t *m, const edge_layer_t *y, uint32_t largest_input) {
    const bool spikes = edge_layer_spikes(y) && y->passes;
    if (spikes && !y->surrogate) return false;
    if (y->input_shift && largest_input == 1 && !edge_layer_kernel(y)) return false;
    const uint32_t most = edge_layer_neurons(y) * m->window;
    return spikes && (y->surrogate == EDGE_GATE_LINEAR || y->sums) ? y->capacity - 1 < most
                                                                   : y->capacity == 0;
}
#endif

bool edge_layer_weights_valid(const edge_layer_t *y, const uint8_t *weights) {
    EDGE_GIVEN(weights);
    for (uint32_t j = 0; j < y->fan_in; j++) {
        for (uint32_t i = y->bits == 8 ? y->fan_out : 0; i < y->m4; i++) {
            const size_t at = (size_t)j * y->m4 + i;
            const int32_t w = y->bits == 8 ? weights[at] : edge_signed16(edge_load16(weights + 2 * at));
            if (w < -512 || w > 511 || (i >= y->fan_out && w != 0)) return false;
        }
    }
    return true;
}

// Returns 0, EDGE_ERR_FORMAT (a threshold is negative) or EDGE_ERR_BOUND (docs/arithmetic.md 2.4 and 2.5).
//
// currents: the largest |I| of the layers below, and receives that of layer l: below MEMBRANE_LIMIT.
static int check_bounds(const edge_model_t *m, uint32_t l, const edge_layer_t *y, uint32_t largest_input,
                        uint32_t *currents) {
    const uint32_t wmax = (uint32_t)edge_layer_wmax(y), ones = y->fan_in * largest_input;  // below 2^24
    uint32_t largest_bias = 0;
    for (uint32_t i = 0; y->biases && i < y->fan_out; i++) {
        const int32_t b = edge_tensor32(y->biases, i);
        const uint32_t magnitude = b < 0 ? 0 - (uint32_t)b : (uint32_t)b;
        if (magnitude > largest_bias) largest_bias = magnitude;
    }
    if (ones > MEMBRANE_LIMIT / wmax) return EDGE_ERR_BOUND;
    uint32_t reach = ones * wmax + largest_bias;  // at most 2^30 + 2^31
#ifndef EDGE_NO_CONV
    if (y->current) {
        const uint32_t other = currents[y->current - 1], shift = (uint32_t)y->current_shift;
        if (y->current_shift > 0) {
            reach += (other + ((1u << shift) - 1)) >> shift;
        } else {
            if (other >= MEMBRANE_LIMIT >> (0 - shift)) return EDGE_ERR_BOUND;
            reach += other << (0 - shift);
        }
    }
    // NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): the source comes earlier
    if (y->value_pool && currents[y->source - 1] > (uint32_t)INT32_MAX / y->value_pool / y->value_pool)
        return EDGE_ERR_BOUND;
#endif
    const uint32_t steps = y->neuron == EDGE_LIF ? 2 : y->neuron == EDGE_CURRENTS ? 1 : m->window;
    if (reach > (MEMBRANE_LIMIT - 1) / steps) return EDGE_ERR_BOUND;
    currents[l] = reach;
    for (uint32_t i = 0; i < (y->theta0s ? y->fan_out : 1); i++) {
        const int32_t theta0 = y->theta0s ? edge_tensor32(y->theta0s, i) : y->theta0;
        const int32_t alpha = y->alphas ? edge_tensor32(y->alphas, i) : y->alpha;
        if (theta0 < 0 || alpha < 0) return EDGE_ERR_FORMAT;
        if (theta0 > THRESHOLD_LIMIT ||
            (uint32_t)alpha > (uint32_t)(THRESHOLD_LIMIT - theta0) / (m->window + 1u))
            return EDGE_ERR_BOUND;
    }
    return 0;
}

/// The rest of the image ///

static EDGE_ALONE bool encoder_is_valid(const edge_model_t *m, uint32_t offset) {
    // Of bytes 4 to 15, by kind: hops, shift, mode, levels, the lowest, their width, threshold, span, centres.
    static const uint8_t most[5][12] = {{1, 15, 1, 0, 0, 0, 127, 64, 0, 0, 0, 0},
                                        {1, 15, 0, 0, 0, 0, 127, 64, 0, 0, 0, 0},
                                        {32, 15, 0, 0, 0, 0, 0, 64, 255, 255, 255, 255},
                                        {32, 15, 0, 16, 255, 7, 0, 64, 255, 255, 255, 255},
                                        {1, 15, 0, 0, 0, 0, 0, 64, 0, 0, 0, 0}};
    if (offset == 0) return true;
    if (!inside(m, offset, ENCODER_SIZE, 1)) return false;
    const uint8_t *p = m->image + offset;
    const uint32_t kind = p[0], channels = p[1], levels = p[7];
    const uint32_t gains = edge_word(p + 24), profile = edge_word(p + 28);
    if (kind - 1 > 4 || channels - 1 > 63 || edge_half(p + 2) - 1u > 255) return false;
    if (p[4] == 0 || !none_above(p + 4, most[kind - 1], sizeof *most)) return false;
    if (kind <= 2 ? p[10] == 0 : kind == 4 && levels < 2) return false;
    if (edge_half(p + 16) == 0 || edge_half(p + 18) == 0 || p[21] > 127) return false;
    if (p[23] || !all_zero(p + 32, 16)) return false;
    if (!inside(m, gains, channels, 1) || !inside(m, profile, m->classes, channels)) return false;
    const uint32_t inputs = channels * (kind == 5 ? 1 : kind == 4 ? 2 * levels : 2);
    const uint32_t input_kind = kind == 3 || kind == 5 ? EDGE_INPUT_FRAMES : EDGE_INPUT_SPIKES;
    return inputs == m->inputs && input_kind == m->input_kind;
}

static EDGE_ALONE bool texts_are_valid(const edge_model_t *m) {
    const uint8_t *h = m->image;
    const uint32_t names = edge_word(h + AT_NAMES), names_size = edge_word(h + AT_NAMES + 4);
    const uint32_t metadata = edge_word(h + AT_METADATA), metadata_size = edge_word(h + AT_METADATA + 4);
    if ((names == 0) != (names_size == 0) || (metadata == 0) != (metadata_size == 0)) return false;
    if (!inside(m, names, names_size, 1) || !inside(m, metadata, metadata_size, 1)) return false;
    if (names) {
        uint32_t ends = 0;
        for (uint32_t i = 0; i < names_size; i++) ends += h[names + i] == 0;
        if (ends != m->classes || h[names + names_size - 1] != 0) return false;
    }
    const uint8_t *name = h + AT_NAME;
    uint32_t length = 0;
    while (length < 32 && name[length]) length++;
    return length < 32 && all_zero(name + length, 32 - length);
}

// The part of the image that comes first, and its checksum. Returns 0 or an error.
static int check_envelope(const uint8_t *h, size_t size) {
    if (size >= 4 && edge_word(h) != MAGIC) return EDGE_ERR_MAGIC;
    if (size < HEADER_SIZE) return EDGE_ERR_TRUNCATED;
    if (edge_half(h + AT_VERSION) > EDGE_IMAGE_VERSION) return EDGE_ERR_VERSION;
    if (edge_half(h + AT_VERSION) == 0 || edge_half(h + AT_HEADER_SIZE) != HEADER_SIZE)
        return EDGE_ERR_FORMAT;
    if (size < edge_word(h + AT_SIZE)) return EDGE_ERR_TRUNCATED;
    if (size > edge_word(h + AT_SIZE) || size % 8) return EDGE_ERR_FORMAT;
    return edge_crc32(0, h + 16, size - 16) == edge_word(h + AT_CRC) ? 0 : EDGE_ERR_CRC;
}

#ifdef EDGE_NO_CONV
// Whether a row of version 2 holds a layer of a chain.
static bool is_chained(const edge_model_t *m, uint32_t l) {
    const uint8_t *p = row_of(m, l);
    for (uint32_t i = LAYER_SIZE; i < LAYER_SIZE + GRAPH_SIZE; i++) {
        if (p[i] && (i != AT_SOURCE || p[i] != l)) return false;
    }
    return p[0] == 1 && p[1] <= EDGE_LINEAR;
}
#endif

// The layers one by one, then as a net. Returns 0, EDGE_ERR_FORMAT, EDGE_ERR_BOUND, or EDGE_ERR_VERSION for what this
// build leaves out.
static int check_table(edge_model_t *m, bool chain) {
    uint32_t currents[EDGE_MAX_LAYERS], given = m->inputs;
#ifndef EDGE_NO_CONV
    uint8_t largest[EDGE_MAX_LAYERS];
#endif
    for (uint32_t l = 0; l < m->layers; l++) {
#ifdef EDGE_NO_CONV
        if (!chain && !is_chained(m, l)) return EDGE_ERR_VERSION;
        chain = true;
#endif
        const edge_layer_t y = edge_model_layer(m, l);
        if (!row_is_valid(m, row_of(m, l), &y)) return EDGE_ERR_FORMAT;
        if (chain && y.fan_in != given) return EDGE_ERR_FORMAT;
        given = y.fan_out;
#ifndef EDGE_NO_CONV
        if (!chain && !graph_is_valid(m, l)) return EDGE_ERR_FORMAT;
        uint32_t most = y.add ? 1u + largest[y.add - 1] : 1u;
        if (y.pooling == EDGE_POOL_SUM) most *= (uint32_t)y.pool * y.pool;
        if (most > COUNT_LIMIT) return EDGE_ERR_FORMAT;
        largest[l] = (uint8_t)most;
#endif
    }
    if (given < m->classes || (m->row_size == LAYER_SIZE && given != m->classes)) return EDGE_ERR_FORMAT;
#if !defined(EDGE_NO_LEARN) || !defined(EDGE_NO_CONV)
    find_roles(m);
#endif
    for (uint32_t l = 0; l < m->layers; l++) {
        const edge_layer_t y = edge_model_layer(m, l);
        const uint32_t largest_input = edge_model_largest_input(m, l);
#ifndef EDGE_NO_CONV
        if ((y.neuron == EDGE_CURRENTS && !y.kept) || !ways_are_simple(m, l)) return EDGE_ERR_FORMAT;
#endif
#ifndef EDGE_NO_LEARN
        if (!can_learn(m, &y, largest_input)) return EDGE_ERR_FORMAT;
#endif
        if (!edge_layer_weights_valid(&y, y.weights)) return EDGE_ERR_FORMAT;
        const int error = check_bounds(m, l, &y, largest_input, currents);
        if (error) return error;
    }
    return 0;
}

static bool is_stated(const uint8_t *field, uint32_t planned) {
    return planned < EDGE_TOO_MUCH && edge_word(field) == planned;
}

static int open_image(edge_model_t *m) {
    const uint8_t *h = m->image;
    const int damage = check_envelope(h, m->size);
    if (damage) return damage;

    const uint32_t window = edge_half(h + AT_WINDOW), classes = edge_half(h + AT_CLASSES);
    const uint32_t table = edge_word(h + AT_TABLE);
    m->layers = h[AT_LAYERS];
    m->input_kind = h[AT_INPUT_KIND];
    m->inputs = edge_word(h + AT_INPUTS);
    const bool chain = edge_half(h + AT_VERSION) == 1;
    m->row_size = (uint8_t)(chain ? LAYER_SIZE : LAYER_SIZE + GRAPH_SIZE);
    if (window < 1 || window > 1024 || m->layers < 1 || m->layers > EDGE_MAX_LAYERS) return EDGE_ERR_FORMAT;
    if (m->input_kind < EDGE_INPUT_SPIKES || m->input_kind > EDGE_INPUT_STATIC) return EDGE_ERR_FORMAT;
    if (m->inputs < 1 || m->inputs > (chain ? 65535 : MAP_LIMIT) || classes < 2 || classes > 256)
        return EDGE_ERR_FORMAT;
    if (h[AT_SCORE_SHIFT] > 47 || edge_half(h + AT_SCORE_MULT) == 0) return EDGE_ERR_FORMAT;
    if (!all_zero(h + AT_RESERVED, HEADER_SIZE - AT_RESERVED)) return EDGE_ERR_FORMAT;
    if (table == 0 || !inside(m, table, m->layers, m->row_size)) return EDGE_ERR_FORMAT;
    m->window = (uint16_t)window;
    m->classes = (uint16_t)classes;

    m->lowest = m->layers;
#ifndef EDGE_NO_LEARN
    for (uint32_t l = m->layers; l-- > 0;) {
        if (row_of(m, l)[3] & 1) m->lowest = (uint8_t)l;
    }
#endif
    const int error = check_table(m, chain);
    if (error) return error;
    const edge_layer_t readout = edge_model_layer(m, m->layers - 1u);
    if (h[AT_LOSS] == EDGE_LOSS_SPIKE_COUNT) {
        if (!edge_layer_spikes(&readout) || edge_half(h + AT_COUNT_MULT) == 0) return EDGE_ERR_FORMAT;
    } else if (h[AT_LOSS] != EDGE_LOSS_CROSS_ENTROPY) {
        return EDGE_ERR_FORMAT;
    }
    if (!encoder_is_valid(m, edge_word(h + AT_ENCODER)) || !texts_are_valid(m)) return EDGE_ERR_FORMAT;

    const edge_plan_t plan = edge_plan(m, EDGE_LEARN);
    if (!is_stated(h + AT_ARENA_INFER, plan.infer)) return EDGE_ERR_FORMAT;
#ifndef EDGE_NO_LEARN
    if (!is_stated(h + AT_ARENA_LEARN, plan.learn) || !is_stated(h + AT_WEIGHTS, plan.weights))
        return EDGE_ERR_FORMAT;
    m->tile_width = (uint8_t)plan.tile_width;
#endif
    return 0;
}

int edge_model_open(edge_model_t *m, const void *image, size_t size) {
    if (!m) return EDGE_ERR_ARGUMENT;
    memset(m, 0, sizeof *m);
    if (!image) return EDGE_ERR_ARGUMENT;
    if ((uintptr_t)image % 8) return EDGE_ERR_ALIGN;
    m->image = (const uint8_t *)image;
    m->size = size;
    const int error = open_image(m);
    if (error) memset(m, 0, sizeof *m);
    return error;
}

/// Questions about an open image ///

uint32_t edge_model_window(const edge_model_t *m) { return m->window; }
uint32_t edge_model_classes(const edge_model_t *m) { return m->classes; }
uint32_t edge_model_spare(const edge_model_t *m) {
    return edge_model_layer(m, m->layers - 1u).fan_out - m->classes;
}
uint32_t edge_model_inputs(const edge_model_t *m) { return m->inputs; }
edge_input_t edge_model_input_kind(const edge_model_t *m) { return (edge_input_t)m->input_kind; }
uint32_t edge_model_layers(const edge_model_t *m) { return m->layers; }

const char *edge_model_class_name(const edge_model_t *m, uint32_t class_index) {
    const uint8_t *name = edge_model_at(m, edge_word(m->image + AT_NAMES));
    if (!name || class_index >= m->classes) return "";
    for (; class_index; class_index--) {
        while (*name++) {}
    }
    return (const char *)name;
}

size_t edge_model_arena_size(const edge_model_t *m, edge_mode_t mode) {
    if (mode != EDGE_LEARN) return edge_word(m->image + AT_ARENA_INFER);
#ifdef EDGE_NO_LEARN
    return 0;
#else
    return edge_word(m->image + AT_ARENA_LEARN);
#endif
}

size_t edge_model_weights_size(const edge_model_t *m) {
#ifdef EDGE_NO_LEARN
    (void)m;
    return 0;
#else
    return edge_word(m->image + AT_WEIGHTS);
#endif
}

uint32_t edge_model_crc(const edge_model_t *m) { return edge_word(m->image + AT_CRC); }

edge_objective_t edge_model_objective(const edge_model_t *m) {
    const uint8_t *h = m->image;
    edge_objective_t o;
    o.score_mult = edge_half(h + AT_SCORE_MULT);
    o.score_shift = h[AT_SCORE_SHIFT];
    o.loss = (edge_loss_t)h[AT_LOSS];
    o.desired = edge_half(h + AT_DESIRED);
    o.others = edge_half(h + AT_OTHERS);
    o.count_mult = edge_half(h + AT_COUNT_MULT);
    o.seed = edge_word(h + AT_SEED);
    return o;
}

const uint8_t *edge_model_encoder(const edge_model_t *m) {
    return edge_model_at(m, edge_word(m->image + AT_ENCODER));
}
