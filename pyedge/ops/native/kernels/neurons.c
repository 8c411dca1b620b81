// Dense layers of neurons, forward and backward, a tile of neurons at a time; compiled once per instruction set.
#include "simd.h"
#include "table.h"

#define MOST (UNIT * TILE_UNITS / WIDTH)  // registers of a tile
#define ALL_LANES first_lanes(WIDTH)
// Neurons that are left from register k of the tile on; `full`: a whole register's.
#define left(k) (full ? WIDTH : d->outputs - lane - (k)*WIDTH)

// The columns [lane, lane + lanes) of a (rows, columns) matrix times scale, each row closed up; 0 beyond the matrix.
static void pack_columns(const float *matrix, float scale, int rows, int columns, int lane, int lanes,
                         float *out) {
    for (int j = 0; j < rows; j++, out += lanes) {
        const float *row = matrix + (size_t)j * (size_t)columns + lane;
        for (int k = 0; k < lanes; k += WIDTH) {
            store(out + k, load_first(row + k, columns - lane - k) * scale);
        }
    }
}

// The rows [lane, lane + lanes) of a (rows, columns) matrix as columns: out is (columns, lanes).
static void pack_rows(const float *matrix, int rows, int columns, int lane, int lanes, float *out) {
    const size_t wide = (size_t)columns, to = (size_t)lanes;
    const int whole = rows - lane < lanes ? (rows - lane) / 4 * 4 : lanes, even = columns / 4 * 4;
    // Few rows at a time: rows a power of two apart share their place in the cache.
    for (int k = 0; k < whole; k += 8) {
        for (int i = 0; i < even; i += 4) {
            const float *from = matrix + (size_t)(lane + k) * wide + (size_t)i;
            transpose_4(from, wide, out + (size_t)i * to + (size_t)k, to);
            if (k + 4 < whole) {
                transpose_4(from + 4 * wide, wide, out + (size_t)i * to + (size_t)k + 4, to);
            }
        }
    }
    for (int i = 0; i < columns; i++) {
        for (int k = i < even ? whole : 0; k < lanes; k++) {
            out[(size_t)i * to + (size_t)k] =
                lane + k < rows ? matrix[(size_t)(lane + k) * wide + (size_t)i] : 0;
        }
    }
}

/// Forward ///

// Adds the rows of events to sums of nv registers. Where there are few, by several chains of additions at a time.
INLINE void add_events(vf *sum, const float *weight, const uint16_t *event, const uint16_t *end,
                       const int nv) {
    const size_t lanes = (size_t)nv * WIDTH;
    if (nv <= 2) {
        vf more[3][2] = {{{0}}};
        for (; event + 4 <= end; event += 4) {
            UNROLL for (int k = 0; k < nv; k++) {
                sum[k] += load(weight + (size_t)event[0] * lanes + k * WIDTH);
                more[0][k] += load(weight + (size_t)event[1] * lanes + k * WIDTH);
                more[1][k] += load(weight + (size_t)event[2] * lanes + k * WIDTH);
                more[2][k] += load(weight + (size_t)event[3] * lanes + k * WIDTH);
            }
        }
        UNROLL for (int k = 0; k < nv; k++) { sum[k] = (sum[k] + more[0][k]) + (more[1][k] + more[2][k]); }
    }
    for (; event < end; event++) {
        const float *row = weight + (size_t)*event * lanes;
        UNROLL for (int k = 0; k < nv; k++) { sum[k] += load(row + k * WIDTH); }
    }
}

#define MOST_STEPS 8  // of a window whose inputs come by patterns

// The currents of sample b at every step, (window, lanes): the rows of all inputs of a pattern are added once, and their
// sum at each of its steps.
INLINE void currents_by_patterns(const train_forward *d, const float *weight, const vf *bias, int b,
                                 float *out, const int nv) {
    const int width = d->patterns.width, lanes = nv * WIDTH;
    for (int t = 0; t < d->window; t++) {
        UNROLL for (int k = 0; k < nv; k++) { store(out + t * lanes + k * WIDTH, bias[k]); }
    }
    const int32_t *start =
        d->patterns.start + (((size_t)b * (size_t)((d->window + width - 1) / width)) << width);
    for (int first = 0; first < d->window; first += width, start += 1 << width) {
        for (int pattern = 1; pattern < 1 << width; pattern++) {
            if (start[pattern] == start[pattern + 1]) {
                continue;
            }
            vf sum[MOST];
            UNROLL for (int k = 0; k < nv; k++) { sum[k] = all(0); }
            add_events(sum, weight, d->patterns.index + start[pattern],
                       d->patterns.index + start[pattern + 1], nv);
            for (uint32_t steps = (uint32_t)pattern; steps; steps &= steps - 1) {
                float *to = out + (first + __builtin_ctz(steps)) * lanes;
                UNROLL for (int k = 0; k < nv; k++) { store(to + k * WIDTH, load(to + k * WIDTH) + sum[k]); }
            }
        }
    }
}

// The currents of sample b at step t, for the tile from neuron `lane` on. sums: see currents_by_patterns, or NULL.
INLINE void currents_of(const train_forward *d, const float *weight, const vf *bias, const float *sums,
                        int lane, int b, int t, vf *current, const int nv, const int full) {
    const size_t lanes = (size_t)nv * WIDTH, step = (size_t)b * (size_t)d->window + (size_t)t;
    if (sums) {
        UNROLL for (int k = 0; k < nv; k++) { current[k] = load(sums + (size_t)t * lanes + k * WIDTH); }
        return;
    }
    UNROLL for (int k = 0; k < nv; k++) { current[k] = bias[k]; }
    if (!d->in.index) {
        const float *row = d->currents + t * d->current_step + b * d->current_sample + lane;
        UNROLL for (int k = 0; k < nv; k++) { current[k] += load_first(row + k * WIDTH, left(k)); }
        return;
    }
    const int32_t *start = d->in.start + step;
    const uint16_t *event = d->in.index + start[0], *end = d->in.index + start[1];
    if (d->in.value) {
        for (const float *value = d->in.value + start[0]; event < end; event++, value++) {
            const float *row = weight + (size_t)*event * lanes;
            const vf x = all(*value);
            UNROLL for (int k = 0; k < nv; k++) {
                current[k] = multiply_add(x, load(row + k * WIDTH), current[k]);
            }
        }
    }
    add_events(current, weight, event, end, nv);
}

// A tile's neurons between two steps, and how many spikes are kept of them.
typedef struct {
    vf u[MOST];
    vi age[MOST];
    int count;
} tile_state;

// Steps [first, last) of one sample; ages stay below `thetas`.
INLINE void forward_steps(const train_forward *d, const float *weight, const vf *bias, const float *sums,
                          int lane, int b, int first, int last, const table *thresholds, float *saved_u,
                          float *saved_theta, tile_state *s, const int thetas, const int nv, const int full) {
    const vf tau = all(d->neuron.tau);
    for (int t = first; t < last; t++) {
        vf current[MOST];
        currents_of(d, weight, bias, sums, lane, b, t, current, nv, full);
        uint8_t *bits = d->bits + ((size_t)b * (size_t)d->window + (size_t)t) * (size_t)d->row;
        UNROLL for (int k = 0; k < nv; k++) {
            const vf u = tau * s->u[k] + current[k];
            const vf theta = look_up(thresholds, thetas, s->age[k]);
            const mask fired = at_least(u, theta) & (full ? ALL_LANES : first_lanes(left(k)));
            store_bits(bits, lane + k * WIDTH, fired);
            store_packed(saved_u + s->count, fired, u);
            store_packed(saved_theta + s->count, fired, theta);
            s->count += count_bits(fired);
            s->u[k] = choose(fired, all(0), u);
            s->age[k] = choose_int(fired, (vi){0}, s->age[k]) + 1;
        }
    }
}

// One sample's window through the tile: `weight` is packed, (inputs, lanes).
INLINE void forward_sample(const train_forward *job, const float *weight, int unit, int b, const int nv,
                           const int full) {
    // A copy that no store can reach: its fields stay in registers.
    const train_forward copy = *job, *const d = &copy;
    const int lane = unit * UNIT, lanes = nv * WIDTH, units = train_units(d->outputs), window = d->window;
    vf bias[MOST];
    UNROLL for (int k = 0; k < nv; k++) {
        bias[k] = d->bias ? load_first(d->bias + lane + k * WIDTH, left(k)) : all(0);
    }
    if (d->common.index) {
        const int32_t *start = d->common.start + b;
        for (int32_t e = start[0]; e < start[1]; e++) {
            const float *row = weight + (size_t)d->common.index[e] * (size_t)lanes;
            const vf x = all(d->common.value ? d->common.value[e] : 1.0F);
            UNROLL for (int k = 0; k < nv; k++) { bias[k] = multiply_add(x, load(row + k * WIDTH), bias[k]); }
        }
    }
    float by_patterns[MOST_STEPS * MOST * WIDTH], *sums = NULL;
    if (d->patterns.index) {
        sums = by_patterns;
        currents_by_patterns(d, weight, bias, b, sums, nv);
    }
    if (!d->neuron.theta) {
        for (int t = 0; t < window; t++) {
            vf current[MOST];
            currents_of(d, weight, bias, sums, lane, b, t, current, nv, full);
            float *row = d->out + ((size_t)t * (size_t)d->batch + (size_t)b) * (size_t)d->outputs + lane;
            UNROLL for (int k = 0; k < nv; k++) { store_first(row + k * WIDTH, current[k], left(k)); }
        }
        return;
    }
    const size_t place = (size_t)b * (size_t)units + (size_t)unit;
    float *u = d->saved.u + d->saved.begin[place], *theta = d->saved.theta + d->saved.begin[place];
    const table thresholds = open_table(d->neuron.theta);
    tile_state s = {.count = 0};
    UNROLL for (int k = 0; k < nv; k++) {
        s.u[k] = all(0);
        s.age[k] = (vi){0} + 1;
    }
    // At step t no age is above t + 1: early steps look up in fewer registers.
    int t = 0;
#define UNTIL(thetas)                                                                                        \
    do {                                                                                                     \
        const int last = window < (thetas)-1 ? window : (thetas)-1;                                          \
        forward_steps(d, weight, bias, sums, lane, b, t, last, &thresholds, u, theta, &s, thetas, nv, full); \
        t = last;                                                                                            \
    } while (0)
    UNTIL(WIDTH);
    if (WIDTH == 16 && t < window) {
        UNTIL(32);
        UNTIL(64);
    }
    if (t < window) {
        forward_steps(d, weight, bias, sums, lane, b, t, window, &thresholds, u, theta, &s, 65, nv, full);
    }
#undef UNTIL
    d->saved.count[place] = s.count;
}

INLINE void forward_tile(const train_forward *d, const float *weight, int unit, int first, int last,
                         const int nv, const int full) {
    int64_t *begin = d->saved.begin + unit;
    const int32_t *count = d->saved.count + unit;
    const size_t units = (size_t)train_units(d->outputs);
    for (int b = first; b < last; b++) {
        forward_sample(d, weight, unit, b, nv, full);
        if (d->neuron.theta && b + 1 < last) {
            begin[(size_t)(b + 1) * units] = begin[(size_t)b * units] + count[(size_t)b * units];
        }
    }
}

static void forward(const train_forward *d, int unit, int units, int first, int last, float *scratch) {
    if (d->in.index || d->patterns.index) {
        pack_columns(d->weight, d->scale, d->inputs, d->outputs, unit * UNIT, units * UNIT, scratch);
    }
    const int full = (unit + units) * UNIT <= d->outputs;
    switch (units * UNIT / WIDTH * 2 + full) {
    case 2: forward_tile(d, scratch, unit, first, last, 1, 0); break;
    case 3: forward_tile(d, scratch, unit, first, last, 1, 1); break;
    case 4: forward_tile(d, scratch, unit, first, last, 2, 0); break;
    case 5: forward_tile(d, scratch, unit, first, last, 2, 1); break;
#if WIDTH == 16
    case 6: forward_tile(d, scratch, unit, first, last, 3, 0); break;
    case 7: forward_tile(d, scratch, unit, first, last, 3, 1); break;
#endif
    case 8: forward_tile(d, scratch, unit, first, last, 4, 0); break;
    default: forward_tile(d, scratch, unit, first, last, 4, 1); break;
    }
}

/// Backward ///

// Of `count` spikes: the gate g = factor f((u - theta) / width), and the reset's part, tau times u, theta or 0.
INLINE void gates_of(const train_rule *rule, const float *u, const float *theta, int count, float *gate,
                     float *reset, const int shape) {
    const vf inverse = all(1.0F / rule->width), factor = all(rule->factor), tau = all(rule->tau);
    for (int n = 0; n < count; n += WIDTH) {
        const vf z = (load(u + n) - load(theta + n)) * inverse;
        vf f;
        switch (shape) {
        case TRAIN_CONSTANT: f = all(1.0F); break;
        case TRAIN_RECTANGULAR: f = choose(at_least(z, all(1.0F)), all(0), all(0.5F)); break;
        case TRAIN_LINEAR: f = choose(at_least(z, all(1.0F)), all(0), all(1.0F) - z); break;
        case TRAIN_EXPONENTIAL: f = all(0.5F) * exponential(-z); break;
        case TRAIN_TIMING: {
            const vf rise = load(u + n), least = all(rule->width);
            f = all(1.0F) / choose(at_least(rise, least), rise, least);
            break;
        }
        default: {
            const vf e = exponential(-z), one = all(1.0F) + e;
            f = e / (one * one);
        }
        }
        store(gate + n, f * factor);
        const vf taken = rule->reset == TRAIN_RESET_ON ? load(u + n) : load(theta + n);
        store(reset + n, rule->reset == TRAIN_RESET_OFF ? all(0) : tau * taken);
    }
}

static void gates(const train_rule *rule, const float *u, const float *theta, int count, float *gate,
                  float *reset) {
    switch (rule->shape) {
    case TRAIN_CONSTANT: gates_of(rule, u, theta, count, gate, reset, TRAIN_CONSTANT); break;
    case TRAIN_RECTANGULAR: gates_of(rule, u, theta, count, gate, reset, TRAIN_RECTANGULAR); break;
    case TRAIN_LINEAR: gates_of(rule, u, theta, count, gate, reset, TRAIN_LINEAR); break;
    case TRAIN_EXPONENTIAL: gates_of(rule, u, theta, count, gate, reset, TRAIN_EXPONENTIAL); break;
    case TRAIN_TIMING: gates_of(rule, u, theta, count, gate, reset, TRAIN_TIMING); break;
    default: gates_of(rule, u, theta, count, gate, reset, TRAIN_SIGMOID);
    }
}

INLINE void add_rows(vf *sum, const float *rows, const float *value, int count, const int nv) {
    for (int c = 0; c < count; c++, rows += nv * WIDTH) {
        const vf x = all(value[c]);
        UNROLL for (int k = 0; k < nv; k++) { sum[k] = multiply_add(x, load(rows + k * WIDTH), sum[k]); }
    }
}

// What a backward pass is made of, where it is one of the frequent kinds: all else then falls away in compilation.
enum { ANY, BELOW_POOLING, BELOW_READOUT };

static int form_of(const train_backward *d) {
    if (!d->bits || d->kept || d->shares || d->epsilon || d->errors_above.start) {
        return ANY;
    }
    if (d->error && d->error_place && d->winners && !d->gradient && !d->error_above) {
        return BELOW_POOLING;
    }
    return d->error_above && !d->error && !d->winners ? BELOW_READOUT : ANY;
}

INLINE train_backward of_form(const train_backward *job, const int form) {
    train_backward d = *job;
    if (form != ANY) {
        d.kept = d.shares = NULL;
        d.epsilon = NULL;
        d.errors_above.start = NULL;
        if (!d.bits) {
            __builtin_unreachable();
        }
    }
    if (form == BELOW_POOLING) {
        d.gradient = NULL;
        d.error_above = NULL;
        if (!d.error || !d.error_place || !d.winners) {
            __builtin_unreachable();
        }
    }
    if (form == BELOW_READOUT) {
        d.error = NULL;
        d.winners = NULL;
        if (!d.error_above) {
            __builtin_unreachable();
        }
    }
    return d;
}

// What the backward pass writes of one sample in a tile without a spike: no error anywhere.
static void silent_tile(const train_backward *d, int unit, int b, int last, int lanes) {
    const int units = train_units(d->outputs), lane = unit * UNIT, window = d->window;
    const size_t place = (size_t)b * (size_t)units + (size_t)unit, outputs = (size_t)d->outputs;
    const size_t count = (size_t)(d->outputs - lane < lanes ? d->outputs - lane : lanes);
    if (d->deltas.index) {
        memset(d->deltas.count + place * (size_t)window, 0, sizeof(uint16_t) * (size_t)window);
        if (b + 1 < last) {
            d->deltas.begin[place + (size_t)units] = d->deltas.begin[place];
        }
    }
    for (int t = 0; t < window && d->epsilon; t++) {
        memset(d->epsilon + ((size_t)t * (size_t)d->batch + (size_t)b) * outputs + lane, 0,
               sizeof(float) * count);
    }
    if (d->epsilon_sum) {
        memset(d->epsilon_sum + (size_t)b * outputs + lane, 0, sizeof(float) * count);
    }
}

INLINE void backward_tile(const train_backward *job, int unit, int first, int last, float *scratch,
                          const int form, const int nv, const int full) {
    const train_backward copy = of_form(job, form), *const d = &copy;
    const int lane = unit * UNIT, lanes = nv * WIDTH, units = train_units(d->outputs), window = d->window;
    const size_t outputs = (size_t)d->outputs, batch = (size_t)d->batch, above = (size_t)d->above;
    float *gradient = scratch;
    float *gate = gradient + (d->gradient ? (size_t)d->inputs * (size_t)lanes : 0);
    float *reset = gate + (size_t)window * (size_t)lanes + 2 * UNIT;
    float *weight = reset + (size_t)window * (size_t)lanes + 2 * UNIT;
    if (d->gradient) {
        memset(gradient, 0, sizeof(float) * (size_t)d->inputs * (size_t)lanes);
    }
    if (d->weight_above) {
        pack_rows(d->weight_above, d->outputs, d->above, lane, lanes, weight);
    }
    const vf tau = all(d->rule.tau), tau_above = all(d->tau_above), bonus = all(d->bonus);
    const vf error_scale = all(d->error_scale);
    vf total[MOST];
    UNROLL for (int k = 0; k < nv; k++) { total[k] = all(0); }
    for (int b = first; b < last; b++) {
        const size_t place = (size_t)b * (size_t)units + (size_t)unit;
        const int64_t region = d->bits ? d->saved.begin[place] : 0;
        int unread = d->bits ? d->saved.count[place] : 0;
        if (d->bits && !unread) {
            silent_tile(d, unit, b, last, lanes);
            continue;
        }
        if (d->bits) {
            gates(&d->rule, d->saved.u + region, d->saved.theta + region, unread, gate, reset);
        }
        vf error[MOST], carried[MOST], sum[MOST];
        UNROLL for (int k = 0; k < nv; k++) { error[k] = carried[k] = sum[k] = all(0); }
        if (d->error_above && d->error_step == 0) {
            add_rows(error, weight, d->error_above + (size_t)b * above, d->above, nv);
        }
        uint16_t *index = d->deltas.index ? d->deltas.index + d->deltas.begin[place] : NULL;
        float *value = d->deltas.index ? d->deltas.value + d->deltas.begin[place] : NULL;
        for (int t = window - 1; t >= 0; t--) {
            const size_t step = (size_t)b * (size_t)window + (size_t)t;
            if (d->errors_above.start) {
                const int32_t *start = d->errors_above.start + step;
                UNROLL for (int k = 0; k < nv; k++) { error[k] *= tau_above; }
                for (int32_t e = start[0]; e < start[1]; e++) {
                    const vf x = all(d->errors_above.value[e]);
                    const float *row = weight + (size_t)d->errors_above.index[e] * (size_t)lanes;
                    UNROLL for (int k = 0; k < nv; k++) {
                        error[k] = multiply_add(x, load(row + k * WIDTH), error[k]);
                    }
                }
            } else if (d->error_above && d->error_step) {
                UNROLL for (int k = 0; k < nv; k++) { error[k] = all(0); }
                add_rows(error, weight, d->error_above + t * d->error_step + (size_t)b * above, d->above, nv);
            } else if (d->error) {
                const float *row = d->error + t * d->error_step + b * d->error_sample;
                UNROLL for (int k = 0; k < nv; k++) {
                    const int n = lane + k * WIDTH;
                    error[k] = d->error_place ? load(row + d->error_place[n / UNIT] + n % UNIT)
                                              : load_first(row + n, left(k));
                }
            }
            if (!d->bits) {
                float *row = d->error_out + ((size_t)t * batch + (size_t)b) * outputs + lane;
                UNROLL for (int k = 0; k < nv; k++) { store_first(row + k * WIDTH, error[k], left(k)); }
                continue;
            }
            const uint8_t *bits = d->bits + step * (size_t)d->row;
            mask spikes[MOST];
            UNROLL for (int k = 0; k < nv; k++) {
                spikes[k] = load_bits(bits, lane + k * WIDTH);
                unread -= count_bits(spikes[k]);
            }
            int found = 0, at = unread;
            UNROLL for (int k = 0; k < nv; k++) {
                const mask fired = spikes[k];
                vf inter = error[k] * error_scale;
                if (d->kept || d->shares) {
                    const int n = lane + k * WIDTH;
                    const int at_error = d->error_place ? d->error_place[n / UNIT] + n % UNIT : n;
                    if (d->kept) {
                        const uint8_t *kept = d->kept + (size_t)b * (size_t)d->kept_row;
                        inter = keep(load_bits(kept, at_error), inter);
                    }
                    if (d->shares) {
                        const vf share =
                            load_counts(d->shares + step * (size_t)d->share_row + at_error, WIDTH);
                        inter = keep(nonzero(share), inter / share);
                    }
                }
                if (d->winners) {
                    inter = keep(load_bits(d->winners + step * (size_t)d->row, lane + k * WIDTH), inter);
                }
                const vf ds = (inter + bonus) - load_packed(reset + at, fired) * carried[k];
                const vf decayed = tau * carried[k];
                const vf epsilon = choose(fired, load_packed(gate + at, fired) * ds, decayed);
                at += count_bits(fired);
                if (index) {
                    const vf delta = keep(fired, epsilon - decayed);
                    const mask some = nonzero(delta);
                    store_packed(value, some, delta);
                    store_lanes(index, some, lane + k * WIDTH);
                    value += count_bits(some);
                    index += count_bits(some);
                    found += count_bits(some);
                }
                carried[k] = epsilon;
                sum[k] += epsilon;
                if (d->epsilon) {
                    float *row = d->epsilon + ((size_t)t * batch + (size_t)b) * outputs + lane;
                    store_first(row + k * WIDTH, epsilon, left(k));
                }
            }
            if (index) {
                d->deltas.count[place * (size_t)window + (size_t)t] = (uint16_t)found;
            }
            if (d->gradient) {
                const int32_t *start = d->in.start + step;
                for (int32_t e = start[0]; e < start[1]; e++) {
                    float *row = gradient + (size_t)d->in.index[e] * (size_t)lanes;
                    UNROLL for (int k = 0; k < nv; k++) {
                        store(row + k * WIDTH, load(row + k * WIDTH) + carried[k]);
                    }
                }
            }
        }
        UNROLL for (int k = 0; k < nv; k++) {
            const int n = left(k);
            if (d->epsilon_sum) {
                store_first(d->epsilon_sum + (size_t)b * outputs + lane + k * WIDTH, sum[k], n);
            }
            total[k] += sum[k];
        }
        if (index && b + 1 < last) {
            d->deltas.begin[place + (size_t)units] = index - d->deltas.index;
        }
    }
    UNROLL for (int k = 0; k < nv; k++) {
        const int n = left(k);
        if (d->bias_gradient) {
            store_first(d->bias_gradient + lane + k * WIDTH, total[k], n);
        }
        for (int j = 0; d->gradient && j < d->inputs; j++) {
            store_first(d->gradient + (size_t)j * outputs + lane + k * WIDTH,
                        load(gradient + (size_t)j * (size_t)lanes + k * WIDTH) * d->in_scale, n);
        }
    }
}

INLINE void backward_of(const train_backward *d, int unit, int units, int first, int last, float *scratch,
                        const int form) {
    const int full = (unit + units) * UNIT <= d->outputs;
    switch (units * UNIT / WIDTH * 2 + full) {
    case 2: backward_tile(d, unit, first, last, scratch, form, 1, 0); break;
    case 3: backward_tile(d, unit, first, last, scratch, form, 1, 1); break;
    case 4: backward_tile(d, unit, first, last, scratch, form, 2, 0); break;
    case 5: backward_tile(d, unit, first, last, scratch, form, 2, 1); break;
#if WIDTH == 16
    case 6: backward_tile(d, unit, first, last, scratch, form, 3, 0); break;
    case 7: backward_tile(d, unit, first, last, scratch, form, 3, 1); break;
#endif
    case 8: backward_tile(d, unit, first, last, scratch, form, 4, 0); break;
    default: backward_tile(d, unit, first, last, scratch, form, 4, 1); break;
    }
}

static void backward(const train_backward *d, int unit, int units, int first, int last, float *scratch) {
    switch (form_of(d)) {
    case BELOW_POOLING: backward_of(d, unit, units, first, last, scratch, BELOW_POOLING); break;
    case BELOW_READOUT: backward_of(d, unit, units, first, last, scratch, BELOW_READOUT); break;
    default: backward_of(d, unit, units, first, last, scratch, ANY); break;
    }
}

/// Weight gradients ///

#define BLOCK 64  // inputs at a time
#define BLOCK_VECTORS (BLOCK / WIDTH)

// Rows [first, first + BLOCK) of the gradient. scratch: traces (batch * window, BLOCK), then (16, BLOCK).
static void gradient(const train_gradient *d, int first, float *scratch) {
    const vf tau = all(d->tau);
    float *block = scratch + (size_t)d->batch * (size_t)d->window * BLOCK;
    const int valid = d->inputs - first < BLOCK ? d->inputs - first : BLOCK;
    float *out = scratch;
    for (int b = 0; b < d->batch; b++) {
        vf trace[BLOCK_VECTORS];
        UNROLL for (int k = 0; k < BLOCK_VECTORS; k++) { trace[k] = all(0); }
        for (int t = 0; t < d->window; t++, out += BLOCK) {
            const uint8_t *now = (d->bits ? d->bits : d->counts) +
                                 ((size_t)b * (size_t)d->window + (size_t)t) * (size_t)d->row;
            UNROLL for (int k = 0; k < BLOCK_VECTORS; k++) {
                trace[k] = tau * trace[k] + (d->bits ? keep(load_bits(now, first + k * WIDTH), all(1.0F))
                                                     : load_counts(now + first + k * WIDTH, WIDTH));
                store(out + k * WIDTH, trace[k]);
            }
        }
    }
    for (int i = 0; i < d->outputs; i += UNIT) {
        float rows[UNIT * BLOCK];
        const int columns = d->outputs - i < UNIT ? d->outputs - i : UNIT;
        for (int c = 0; c < columns; c++) {
            vf sum[BLOCK_VECTORS];
            UNROLL for (int k = 0; k < BLOCK_VECTORS; k++) { sum[k] = all(0); }
            for (int32_t e = d->begin[i + c]; e < d->begin[i + c + 1]; e++) {
                const float *row = scratch + (size_t)d->at[e] * BLOCK;
                const vf x = all(d->value[e]);
                UNROLL for (int k = 0; k < BLOCK_VECTORS; k++) {
                    sum[k] = multiply_add(x, load(row + k * WIDTH), sum[k]);
                }
            }
            UNROLL for (int k = 0; k < BLOCK_VECTORS; k++) { store(rows + c * BLOCK + k * WIDTH, sum[k]); }
        }
        for (int c = 0; c < columns; c += 4) {
            for (int j = 0; j < BLOCK; j += 4) {
                transpose_4(rows + c * BLOCK + j, BLOCK, block + j * UNIT + c, UNIT);
            }
        }
        for (int j = 0; j < valid; j++) {
            const int row = d->place ? d->place[first + j] : first + j;
            float *to = d->gradient + (size_t)row * (size_t)d->outputs + i;
            for (int c = 0; c < UNIT; c += WIDTH) {
                store_first(to + c, load(block + j * UNIT + c) * d->scale, columns - c);
            }
        }
    }
}

// sums: (inputs + 1, lanes), cleared here; the last row is the bias's.
INLINE void readout_of(const train_readout *d, int first, int last, float *sums, const int nv) {
    const size_t lanes = (size_t)nv * WIDTH;
    memset(sums, 0, sizeof(float) * ((size_t)d->inputs + 1) * lanes);
    vf total[64 / WIDTH];
    UNROLL for (int k = 0; k < nv; k++) { total[k] = all(0); }
    for (int b = first; b < last; b++) {
        for (int t = 0; t < d->window; t++) {
            const float *error = d->error + t * d->error_step + (size_t)b * (size_t)d->outputs;
            vf e[64 / WIDTH];
            UNROLL for (int k = 0; k < nv; k++) {
                e[k] = load_first(error + k * WIDTH, d->outputs - k * WIDTH);
                total[k] += e[k];
            }
            const int32_t *start = d->in.start + (size_t)b * (size_t)d->window + t;
            for (int32_t n = start[0]; n < start[1]; n++) {
                float *row = sums + (size_t)d->in.index[n] * lanes;
                UNROLL for (int k = 0; k < nv; k++) { store(row + k * WIDTH, load(row + k * WIDTH) + e[k]); }
            }
        }
    }
    UNROLL for (int k = 0; k < nv; k++) { store(sums + (size_t)d->inputs * lanes + k * WIDTH, total[k]); }
}

// The same for at most 8 outputs, in rows of 8: half the memory.
static void readout_of_8(const train_readout *d, int first, int last, float *sums) {
    typedef float v8 __attribute__((vector_size(32)));
    typedef float v8_any __attribute__((vector_size(32), aligned(4), may_alias));
    memset(sums, 0, sizeof(float) * ((size_t)d->inputs + 1) * 8);
    v8 total = {0};
    for (int b = first; b < last; b++) {
        for (int t = 0; t < d->window; t++) {
            float error[WIDTH];
            store(error,
                  load_first(d->error + t * d->error_step + (size_t)b * (size_t)d->outputs, d->outputs));
            const v8 e = *(const v8_any *)error;
            total += e;
            const int32_t *start = d->in.start + (size_t)b * (size_t)d->window + t;
            for (int32_t n = start[0]; n < start[1]; n++) {
                v8_any *row = (v8_any *)(sums + (size_t)d->in.index[n] * 8);
                *row = *row + e;
            }
        }
    }
    *(v8_any *)(sums + (size_t)d->inputs * 8) = total;
}

static void readout(const train_readout *d, int first, int last, float *sums) {
    if (train_readout_lanes(d->outputs) == 8) {
        readout_of_8(d, first, last, sums);
        return;
    }
    switch (train_units(d->outputs)) {
    case 1: readout_of(d, first, last, sums, UNIT / WIDTH); break;
    case 2: readout_of(d, first, last, sums, 2 * UNIT / WIDTH); break;
    case 3: readout_of(d, first, last, sums, 3 * UNIT / WIDTH); break;
    default: readout_of(d, first, last, sums, 4 * UNIT / WIDTH); break;
    }
}

/// Updates ///

static double square_sum(const float *x, int64_t count) {
    double sums[8] = {0};
    int64_t n = 0;
    for (; n + 8 <= count; n += 8) {
        for (int k = 0; k < 8; k++) {
            sums[k] += (double)x[n + k] * (double)x[n + k];
        }
    }
    for (int k = 0; n < count; n++, k++) {
        sums[k] += (double)x[n] * (double)x[n];
    }
    return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

INLINE vf square_root(vf x) {
#if WIDTH == 16
    return (vf)_mm512_sqrt_ps((__m512)x);
#elif defined(__AVX2__)
    return (vf)_mm256_sqrt_ps((__m256)x);
#else
    for (int k = 0; k < WIDTH; k++) {
        x[k] = __builtin_sqrtf(x[k]);
    }
    return x;
#endif
}

static int adamw(const train_adamw *d, int64_t first, int64_t last) {
    const vf scale = all(d->scale), beta1 = all(d->beta1), rest1 = all(d->rest1), beta2 = all(d->beta2);
    const vf rest2 = all(d->rest2), decay = all(d->decay), size = all(d->size), least = all(d->floor);
    vf gradients = all(0), weights = all(0);  // stay 0: of a number that is not finite, 0 times it is not
    for (int64_t n = first; n < last; n += WIDTH) {
        const int some = last - n < WIDTH ? (int)(last - n) : WIDTH;
        const vf g = load_first(d->g + n, some) * scale;
        const vf m = beta1 * load_first(d->m + n, some) + rest1 * g;
        const vf v = beta2 * load_first(d->v + n, some) + rest2 * (g * g);
        const vf p = load_first(d->p + n, some) * decay - size * m / (square_root(v) + least);
        store_first(d->new_m + n, m, some);
        store_first(d->new_v + n, v, some);
        store_first(d->new_p + n, p, some);
        gradients += g * 0.0F;
        weights += keep(first_lanes(some), p) * 0.0F;
    }
    return (nonzero(gradients) ? TRAIN_GRADIENT : 0) | (nonzero(weights) ? TRAIN_WEIGHT : 0);
}

int32_t ISA(count_bits)(const uint8_t *, int32_t *, int, int);
void ISA(list_bits)(const uint8_t *, uint16_t *, const uint16_t *, int, int);
void ISA(conv)(const train_conv *, const train_lists *, const float *, float *, int);
void ISA(conv_finish)(const train_conv *, const float *, int, int, int, int, float *);
void ISA(conv_leak)(float *, int64_t, int, int64_t, float);
void ISA(conv_traces)(const train_conv_gradient *, int, float *);
void ISA(conv_meet)(const train_meetings *, float *);
void ISA(column_sums)(const float *, float *, int64_t, int);
void ISA(cross_entropy)(const train_cross_entropy *, int64_t, int64_t, float *);
double ISA(limit)(const float *, int64_t, int64_t);
void ISA(moments)(const train_standard *, int, int, float *);
void ISA(standard_out)(const train_standard *, int, int);
void ISA(standard_sums)(const train_standard *, int, int, float *);
void ISA(standard_gradient)(const train_standard *, int, int, const float *);

const train_kernels ISA(kernels) = {
#if WIDTH == 16
    "avx512",
#elif defined(__AVX2__)
    "avx2",
#else
    "plain",
#endif
    TILE_UNITS,
    ISA(count_bits),
    ISA(list_bits),
    forward,
    backward,
    gradient,
    readout,
    ISA(conv),
    ISA(conv_finish),
    ISA(conv_leak),
    ISA(conv_traces),
    ISA(conv_meet),
    ISA(column_sums),
    ISA(moments),
    ISA(standard_out),
    ISA(standard_sums),
    ISA(standard_gradient),
    square_sum,
    adamw,
    ISA(cross_entropy),
    ISA(limit),
    WIDTH,
};
