// Opens an image: every byte that the runtime will trust is checked here (docs/image.md section 4).
// SPDX-License-Identifier: Apache-2.0
#include "model.h"
#include "crc32.h"

#define HEADER_SIZE 128u
#define LAYER_SIZE 72u
#define ENCODER_SIZE 48u
#define MEMBRANE_LIMIT ((int64_t)1 << 30)
#define THRESHOLD_LIMIT (INT32_MAX - 255)

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

static bool all_zero(const uint8_t *p, size_t size) {
    uint8_t any = 0;
    for (size_t i = 0; i < size; i++) any |= p[i];
    return any == 0;
}

// Whether `size` bytes at an offset lie in the image; a tensor that is there starts at a multiple of eight.
static bool inside(const edge_model_t *m, uint32_t offset, uint64_t size) {
    return offset % 8 == 0 && offset <= m->size && size <= m->size - offset;
}

static bool optional_inside(const edge_model_t *m, uint32_t offset, uint64_t size) {
    return offset == 0 || inside(m, offset, size);
}

/// The layer table ///

edge_layer_t edge_model_layer(const edge_model_t *m, uint32_t l) {
    const uint8_t *p = m->image + edge_load32(m->image + AT_TABLE) + (size_t)LAYER_SIZE * l;
    edge_layer_t y;
    y.neuron = p[1];
    y.bits = p[2];
    y.learns = (p[3] & 1) != 0;
    y.carry = (p[3] & 2) != 0;
    y.passes = l >= m->lowest;
    y.last = l + 1 == m->layers;
    y.sums = y.passes && l + 2 < m->layers;
    y.history = (y.passes && y.neuron != EDGE_LINEAR) || (m->lowest < m->layers && l + 1 == m->lowest);
    y.surrogate = p[4];
    y.down_shift = p[5];
    y.rate_shift = (int8_t)edge_signed16((uint16_t)(p[6] | (p[6] & 0x80 ? 0xFF00 : 0)));
    y.input_shift = p[7];
    y.reset_mult = edge_load16(p + 8);
    y.reset_shift = p[10];
    y.gate_shift = p[11];
    y.gate_mult = edge_load16(p + 12);
    y.gate_width = edge_signed32(edge_load32(p + 16));
    y.fan_in = edge_load32(p + 20);
    y.fan_out = edge_load32(p + 24);
    y.m4 = (y.fan_out + 3) & ~(uint32_t)3;
    y.weights = edge_model_at(m, edge_load32(p + 28));
    y.biases = edge_model_at(m, edge_load32(p + 32));
    y.theta0s = edge_model_at(m, edge_load32(p + 36));
    y.alphas = edge_model_at(m, edge_load32(p + 40));
    y.theta0 = edge_signed32(edge_load32(p + 44));
    y.alpha = edge_signed32(edge_load32(p + 48));
    y.capacity = edge_load32(p + 52);
    return y;
}

// Ranges of one row, and that its tensors lie in the image: nothing behind an offset is read.
static bool row_is_valid(const edge_model_t *m, uint32_t l, uint32_t fan_in) {
    const uint8_t *p = m->image + edge_load32(m->image + AT_TABLE) + (size_t)LAYER_SIZE * l;
    const uint32_t weights = edge_load32(p + 28), biases = edge_load32(p + 32);
    const uint32_t theta0s = edge_load32(p + 36), alphas = edge_load32(p + 40), scale = edge_load32(p + 56);
    const edge_layer_t y = edge_model_layer(m, l);
    if (p[0] != 1 || p[1] > EDGE_LINEAR || (p[2] != 8 && p[2] != 10) || p[3] > 3 || p[3] == 2) return false;
    if (p[4] > EDGE_GATE_LINEAR || edge_load16(p + 14) || !all_zero(p + 60, 12)) return false;
    if (!edge_layer_spikes(&y) && (!y.last || y.surrogate || theta0s || alphas || y.theta0 || y.alpha))
        return false;
    if (edge_layer_spikes(&y) && y.passes && !y.surrogate) return false;
    if (y.down_shift > (y.last ? 0 : 31) || y.rate_shift < -15 || y.rate_shift > 31) return false;
    if (y.input_shift > (l > 0 || m->input_kind == EDGE_INPUT_SPIKES ? 0 : 15)) return false;
    if (y.reset_shift > 62 || y.gate_shift > 47) return false;
    if ((y.surrogate == EDGE_GATE_LINEAR) != (y.gate_mult != 0)) return false;
    if (y.surrogate == EDGE_GATE_RECTANGULAR ? y.gate_width < 1 : y.gate_width != 0) return false;
    if (y.fan_in != fan_in || y.fan_out < 1 || y.fan_out > 65535) return false;
    if (scale == 0 || scale >= 0x7F800000) return false;  // zero, negative, infinite or not a number

    const uint64_t weight_bytes = (uint64_t)y.fan_in * y.m4 * (y.bits == 8 ? 1u : 2u);
    if (weights == 0 || !inside(m, weights, weight_bytes)) return false;
    const uint64_t channels = 4 * (uint64_t)y.fan_out;
    if (!optional_inside(m, biases, channels) || !optional_inside(m, theta0s, channels) ||
        !optional_inside(m, alphas, channels) || (theta0s == 0) != (alphas == 0))
        return false;
    if (y.theta0 < 0 || y.alpha < 0 || (theta0s && (y.theta0 || y.alpha))) return false;

    const bool needs_capacity = y.passes && (y.surrogate == EDGE_GATE_LINEAR || y.sums);
    return needs_capacity ? y.capacity >= 1 && y.capacity <= (uint64_t)y.fan_out * m->window
                          : y.capacity == 0;
}

static bool weights_are_valid(const edge_layer_t *y) {
    for (uint32_t j = 0; j < y->fan_in; j++) {
        const size_t row = (size_t)j * y->m4;
        for (uint32_t i = y->bits == 8 ? y->fan_out : 0; i < y->m4; i++) {
            const int32_t w = y->bits == 8 ? y->weights[row + i] : edge_tensor16(y->weights, row + i);
            if (w < -512 || w > 511 || (i >= y->fan_out && w != 0)) return false;
        }
    }
    return true;
}

// Returns 0, EDGE_ERR_FORMAT (a threshold is negative) or EDGE_ERR_BOUND (docs/arithmetic.md 2.4 and 2.5).
static int check_bounds(const edge_model_t *m, uint32_t l, const edge_layer_t *y) {
    int64_t largest_bias = 0;
    for (uint32_t i = 0; i < y->fan_out; i++) {
        const int64_t b = y->biases ? edge_tensor32(y->biases, i) : 0;
        if (b > largest_bias) largest_bias = b;
        if (-b > largest_bias) largest_bias = -b;
    }
    const int64_t xmax = l == 0 && m->input_kind != EDGE_INPUT_SPIKES ? 128 : 1;
    const int64_t reach = y->fan_in * xmax * edge_layer_wmax(y) + largest_bias;
    if (reach * (y->neuron == EDGE_LIF ? 2 : m->window) >= MEMBRANE_LIMIT) return EDGE_ERR_BOUND;
    for (uint32_t i = 0; i < (y->theta0s ? y->fan_out : 1); i++) {
        const int32_t theta0 = y->theta0s ? edge_tensor32(y->theta0s, i) : y->theta0;
        const int32_t alpha = y->alphas ? edge_tensor32(y->alphas, i) : y->alpha;
        if (theta0 < 0 || alpha < 0) return EDGE_ERR_FORMAT;
        if (theta0 + (int64_t)alpha * (m->window + 1) > THRESHOLD_LIMIT) return EDGE_ERR_BOUND;
    }
    return 0;
}

/// The rest of the image ///

static bool encoder_is_valid(const edge_model_t *m, uint32_t offset) {
    if (offset == 0) return true;
    if (!inside(m, offset, ENCODER_SIZE)) return false;
    const uint8_t *p = m->image + offset;
    const uint32_t kind = p[0], channels = p[1], levels = p[7];
    const uint32_t hop = edge_load16(p + 2), hops = p[4], span = p[11];
    const uint32_t gains = edge_load32(p + 24), profile = edge_load32(p + 28);
    const bool log = kind == 3 || kind == 4, spikes = kind == 4, events = kind == 1 || kind == 2;
    if (kind < 1 || kind > 5 || channels < 1 || channels > 64 || hop < 1 || hop > 256) return false;
    if (hops < 1 || hops > (log ? 32 : 1) || p[5] > 15 || p[6] > (kind == 1 ? 1 : 0)) return false;
    if (spikes ? levels < 2 || levels > 16 || p[9] > 7 : levels || p[8] || p[9]) return false;
    if (events ? p[10] < 1 || p[10] > 127 : p[10] != 0) return false;
    if (span > 64 || (!log && (edge_load16(p + 12) || edge_load16(p + 14)))) return false;
    if (edge_load16(p + 16) == 0 || edge_load16(p + 18) == 0 || p[21] > 127) return false;
    if (p[23] || !all_zero(p + 32, 16)) return false;
    if (!optional_inside(m, gains, channels) || !optional_inside(m, profile, (uint64_t)m->classes * channels))
        return false;
    const uint32_t inputs = kind == 5 ? channels : 2 * channels * (spikes ? levels : 1);
    const uint32_t input_kind = kind == 3 || kind == 5 ? EDGE_INPUT_FRAMES : EDGE_INPUT_SPIKES;
    return inputs == m->inputs && input_kind == m->input_kind;
}

static bool texts_are_valid(const edge_model_t *m) {
    const uint8_t *h = m->image;
    const uint32_t names = edge_load32(h + AT_NAMES), names_size = edge_load32(h + AT_NAMES + 4);
    const uint32_t metadata = edge_load32(h + AT_METADATA), metadata_size = edge_load32(h + AT_METADATA + 4);
    if ((names == 0) != (names_size == 0) || (metadata == 0) != (metadata_size == 0)) return false;
    if (!optional_inside(m, names, names_size) || !optional_inside(m, metadata, metadata_size)) return false;
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
    static const uint8_t magic[4] = {0x45, 0x44, 0x47, 0x45};
    if (size >= 4 && memcmp(h, magic, 4) != 0) return EDGE_ERR_MAGIC;
    if (size < HEADER_SIZE) return EDGE_ERR_TRUNCATED;
    if (edge_load16(h + AT_VERSION) > EDGE_IMAGE_VERSION) return EDGE_ERR_VERSION;
    if (edge_load16(h + AT_VERSION) == 0 || edge_load16(h + AT_HEADER_SIZE) != HEADER_SIZE)
        return EDGE_ERR_FORMAT;
    if (size < edge_load32(h + AT_SIZE)) return EDGE_ERR_TRUNCATED;
    if (size > edge_load32(h + AT_SIZE) || size % 8) return EDGE_ERR_FORMAT;
    return edge_crc32(0, h + 16, size - 16) == edge_load32(h + AT_CRC) ? 0 : EDGE_ERR_CRC;
}

static int open_image(edge_model_t *m) {
    const uint8_t *h = m->image;
    const int error = check_envelope(h, m->size);
    if (error) return error;

    const uint32_t window = edge_load16(h + AT_WINDOW), classes = edge_load16(h + AT_CLASSES);
    const uint32_t table = edge_load32(h + AT_TABLE);
    m->layers = h[AT_LAYERS];
    m->input_kind = h[AT_INPUT_KIND];
    m->inputs = edge_load32(h + AT_INPUTS);
    if (window < 1 || window > 1024 || m->layers < 1 || m->layers > EDGE_MAX_LAYERS) return EDGE_ERR_FORMAT;
    if (m->input_kind < EDGE_INPUT_SPIKES || m->input_kind > EDGE_INPUT_STATIC) return EDGE_ERR_FORMAT;
    if (m->inputs < 1 || m->inputs > 65535 || classes < 2 || classes > 256) return EDGE_ERR_FORMAT;
    if (h[AT_SCORE_SHIFT] > 47 || edge_load16(h + AT_SCORE_MULT) == 0) return EDGE_ERR_FORMAT;
    if (!all_zero(h + AT_RESERVED, HEADER_SIZE - AT_RESERVED)) return EDGE_ERR_FORMAT;
    if (table == 0 || !inside(m, table, LAYER_SIZE * (uint64_t)m->layers)) return EDGE_ERR_FORMAT;
    m->window = (uint16_t)window;
    m->classes = (uint16_t)classes;

    m->lowest = m->layers;
    for (uint32_t l = m->layers; l-- > 0;) {
        if (h[table + LAYER_SIZE * l + 3] & 1) m->lowest = (uint8_t)l;
    }
    uint32_t fan_in = m->inputs;
    for (uint32_t l = 0; l < m->layers; l++) {
        if (!row_is_valid(m, l, fan_in)) return EDGE_ERR_FORMAT;
        fan_in = edge_model_layer(m, l).fan_out;
    }
    const edge_layer_t readout = edge_model_layer(m, m->layers - 1u);
    if (fan_in != classes) return EDGE_ERR_FORMAT;
    if (h[AT_LOSS] == EDGE_LOSS_SPIKE_COUNT) {
        if (!edge_layer_spikes(&readout) || edge_load16(h + AT_COUNT_MULT) == 0) return EDGE_ERR_FORMAT;
    } else if (h[AT_LOSS] != EDGE_LOSS_CROSS_ENTROPY) {
        return EDGE_ERR_FORMAT;
    }
    if (!encoder_is_valid(m, edge_load32(h + AT_ENCODER)) || !texts_are_valid(m)) return EDGE_ERR_FORMAT;

    for (uint32_t l = 0; l < m->layers; l++) {
        const edge_layer_t y = edge_model_layer(m, l);
        if (!weights_are_valid(&y)) return EDGE_ERR_FORMAT;
        const int bound = check_bounds(m, l, &y);
        if (bound) return bound;
    }

    // 64-bit totals that equal 32-bit numbers: every offset inside them fits 32 bits too.
    const edge_plan_t plan = edge_plan(m, EDGE_LEARN);
    if (plan.infer != edge_load32(h + AT_ARENA_INFER) || plan.learn != edge_load32(h + AT_ARENA_LEARN) ||
        plan.weights != edge_load32(h + AT_WEIGHTS))
        return EDGE_ERR_FORMAT;
    m->tile_width = (uint8_t)plan.tile_width;
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
uint32_t edge_model_inputs(const edge_model_t *m) { return m->inputs; }
edge_input_t edge_model_input_kind(const edge_model_t *m) { return (edge_input_t)m->input_kind; }
uint32_t edge_model_layers(const edge_model_t *m) { return m->layers; }

const char *edge_model_class_name(const edge_model_t *m, uint32_t class_index) {
    const uint8_t *name = edge_model_at(m, edge_load32(m->image + AT_NAMES));
    if (!name || class_index >= m->classes) return "";
    for (; class_index; class_index--) {
        while (*name++) {}
    }
    return (const char *)name;
}

size_t edge_model_arena_size(const edge_model_t *m, edge_mode_t mode) {
    return edge_load32(m->image + (mode == EDGE_LEARN ? AT_ARENA_LEARN : AT_ARENA_INFER));
}

size_t edge_model_weights_size(const edge_model_t *m) { return edge_load32(m->image + AT_WEIGHTS); }

uint32_t edge_model_crc(const edge_model_t *m) { return edge_load32(m->image + AT_CRC); }

edge_objective_t edge_model_objective(const edge_model_t *m) {
    const uint8_t *h = m->image;
    edge_objective_t o;
    o.score_mult = edge_load16(h + AT_SCORE_MULT);
    o.score_shift = h[AT_SCORE_SHIFT];
    o.loss = (edge_loss_t)h[AT_LOSS];
    o.desired = edge_load16(h + AT_DESIRED);
    o.others = edge_load16(h + AT_OTHERS);
    o.count_mult = edge_load16(h + AT_COUNT_MULT);
    o.seed = edge_load32(h + AT_SEED);
    return o;
}

const uint8_t *edge_model_encoder(const edge_model_t *m) {
    return edge_model_at(m, edge_load32(m->image + AT_ENCODER));
}
