// The trainer's float kernels: layers of spiking neurons over a window, event by event (host only).
//
// Spikes are bits, [batch][window][row]: `row` bytes a step, a multiple of 8, bits beyond the layer 0. The caller
// owns all memory. Results depend neither on the number of threads nor on who does what; between instruction sets
// they differ by rounding. "Eq. n": Wei et al., Event-Driven Learning for Spiking Neural Networks.
#ifndef TRAIN_TRAIN_H
#define TRAIN_TRAIN_H

#include "pool.h"
#include <stddef.h>
#include <stdint.h>

/// Events ///

// A window's spikes as lists of neurons in ascending order: those of sample b at step t are
// index[start[b * window + t]] .. index[start[b * window + t + 1]].
// value: how much of a spike each is, or NULL: one.
typedef struct train_events {
    const int32_t *start;
    const uint16_t *index;
    const float *value;
} train_events;

// Fills start[rows + 1] from the bits of `rows` rows. Returns the number of spikes.
int32_t train_count_events(const uint8_t *bits, int32_t *start, int rows, int row);

// Fills index.
void train_list_events(train_pool *pool, const uint8_t *bits, const int32_t *start, uint16_t *index, int rows,
                       int row);

// Neurons by the steps at which they fire: a window is cut into groups of `width` steps, the last may have fewer; the
// neurons of sample b that fire in group g at step k where bit k of `pattern` is set, and at no other, are
// index[start[l]] .. index[start[l + 1]], ascending, l = (b * groups + g) * 2^width + pattern. All 8 * row bits of a
// step are listed, so that every sample and group has that many.
#define TRAIN_PATTERN 5  // steps of a group, at most
typedef struct train_patterns {
    int32_t *start;   // [batch * groups * 2^width + 1]
    uint16_t *index;  // [batch * groups * 8 * row]
    int32_t width;
} train_patterns;

void train_list_patterns(train_pool *pool, const uint8_t *bits, const train_patterns *patterns, int window,
                         int batch, int row);

// Counts of spikes, as pooling adds them up: bytes [batch][window][row], row a multiple of 64, bytes beyond the layer 0.
// The lists of a window's counts: common[b] has those that most steps share (see train_common), rest each step's
// difference from it. Starts ([batch + 1], [batch * window + 1]) are counted by the first call (index NULL), the lists
// filled by the second.
typedef struct train_tally {
    int32_t *common_start, *rest_start;
    uint16_t *common, *rest;
    float *common_value, *rest_value;
    uint8_t *scratch;  // threads * row bytes
} train_tally;

void train_list_counts(train_pool *pool, const uint8_t *counts, const train_tally *tally, int window,
                       int batch, int row);

// Packs bytes of 0 and 1, (window, batch, count), into bits.
void train_pack(train_pool *pool, const uint8_t *bytes, uint8_t *bits, int window, int batch, int count,
                int row);

// Unpacks bits into bytes of 0 and 1, (window, batch, count).
void train_unpack(train_pool *pool, const uint8_t *bits, uint8_t *bytes, int window, int batch, int count,
                  int row);

/// Forward ///

// Adaptive-threshold neurons (Eq. 6-9, 15-17): u <- tau u + current, fires where u >= theta[age].
typedef struct train_neuron {
    float tau;
    const float *theta;  // by age, 64 floats or more
} train_neuron;

// What the backward pass needs of the neurons that fired: u and theta, of a tile's spikes in the order of steps.
// Each holds batch * units * (16 * window + 16) floats, units = ceil(outputs / 16); what a thread writes lies together,
// and most is never touched. The spikes of sample b in the tile that starts at unit k are count[b * units + k] from
// begin[b * units + k] on.
typedef struct train_saved {
    float *u, *theta;
    int64_t *begin;
    int32_t *count;
} train_saved;

typedef struct train_forward {
    int32_t window, batch, inputs, outputs, row;
    // Where currents come from: events, through weight (inputs, outputs) ...
    train_events in;
    train_events common;         // of every step; where common.index is NULL, none
    train_patterns patterns;     // or by patterns, window <= 8; where patterns.index is NULL, not used
    const float *weight, *bias;  // bias may be NULL
    float scale;                 // on the weights: what one spike is worth
    // ... or, where both have no index, currents: step t of sample b is at t * current_step + b * current_sample.
    const float *currents;
    int64_t current_step, current_sample;
    // Where they go: neurons, or, where neuron.theta is NULL, out (window, batch, outputs).
    train_neuron neuron;
    uint8_t *bits;
    train_saved saved;
    float *out;
    float *scratch;  // threads * train_forward_scratch(inputs) floats
} train_forward;

// Floats of scratch memory that train_forward_run wants a thread.
size_t train_forward_scratch(int inputs);

void train_forward_run(train_pool *pool, const train_forward *job);

/// Backward ///

enum { TRAIN_CONSTANT, TRAIN_RECTANGULAR, TRAIN_LINEAR, TRAIN_EXPONENTIAL, TRAIN_SIGMOID, TRAIN_TIMING };
enum { TRAIN_RESET_ON, TRAIN_RESET_OFF, TRAIN_RESET_THRESHOLD };

// Masked MPD-ED (Eq. 18-21), full recursion: the surrogate's shape, width and factor (scale / width), the reset's part.
// STD-ED (Eq. 10-14) is the same recursion with TRAIN_TIMING, 1 / max(u, width), tau 1 and no reset.
typedef struct train_rule {
    int32_t shape, reset;
    float tau, width, factor;
} train_rule;

// The error difference delta[t] = epsilon[t] - tau epsilon[t+1], nonzero only where a neuron fired, as lists like those
// of events: neurons and their values.
typedef struct train_errors {
    const int32_t *start;
    const uint16_t *index;
    const float *value;
} train_errors;

// The same as the backward pass writes them, a tile at a time. Of sample b and the tile that starts at unit k:
// count[(b * units + k) * window + t] errors a step, those of the last step first, in index and value from
// begin[b * units + k] on; room as in train_saved.
typedef struct train_deltas {
    uint16_t *count, *index;
    float *value;
    int64_t *begin;
} train_deltas;

// Fills start[batch * window + 1]. Returns the number of errors.
int32_t train_count_errors(const train_deltas *deltas, int32_t *start, int window, int batch, int outputs);

// Fills index and value of the lists that start says.
void train_list_errors(train_pool *pool, const train_deltas *deltas, const int32_t *start, uint16_t *index,
                       float *value, int window, int batch, int outputs);

typedef struct train_backward {
    int32_t window, batch, inputs, outputs, row;
    // This layer's window; where bits is NULL there are no neurons, and dL/ds goes to error_out (window, batch, outputs).
    const uint8_t *bits;
    float *error_out;
    train_saved saved;
    train_rule rule;
    // dL/ds: the sum of `bonus` and one of
    //   error, where step t (error_step 0: the same at every step) of sample b is at t * error_step + b * error_sample;
    //   error_place, where not NULL, says where each unit of 16 neurons is from there on;
    //   the errors of the layer above, neurons of leak tau_above, through weight_above (outputs, above);
    //   error_above (window, batch, above), of a linear layer, at error_above + t * error_step, through weight_above.
    float bonus;
    const float *error;
    const int32_t *error_place;
    int64_t error_step, error_sample;
    float error_scale;  // on all of them but the bonus
    // Where not NULL, of what is at the error's place (a pooling's output):
    const uint8_t *kept;  // bits [batch][kept_row]: an error where there is none is 0
    const uint8_t
        *shares;  // counts [batch][window][share_row]: the error is divided by them, 0 where they are
    int32_t kept_row, share_row;
    // Bits like those of this layer: where dL/ds, but for the bonus, counts; NULL: everywhere.
    const uint8_t *winners;
    const float *error_above;
    int32_t above;
    float tau_above;
    const float *weight_above;
    train_errors errors_above;
    // What is wanted; NULL where it is not.
    train_deltas deltas;
    float *epsilon;        // dL/dI (window, batch, outputs)
    float *epsilon_sum;    // the same summed over the window, (batch, outputs)
    float *bias_gradient;  // (outputs)
    float *gradient;       // dL/dW (inputs, outputs), by input events, each worth in_scale
    train_events in;
    float in_scale;
    float *scratch;  // threads * train_backward_scratch(inputs, above, window) floats
} train_backward;

size_t train_backward_scratch(int inputs, int above, int window);

void train_backward_run(train_pool *pool, const train_backward *job);

// The weight gradient by error events, dL/dW = sum of delta[t] (x) trace[t], trace the inputs' low-pass: few errors.
typedef struct train_gradient {
    int32_t window, batch, inputs, outputs, row;
    const uint8_t *bits;    // of the inputs, `row` bytes a step ...
    const uint8_t *counts;  // ... or counts
    float scale;            // what one spike is worth
    const int32_t *place;   // row of the gradient that bit k belongs to, or NULL: row k
    float tau;
    train_errors errors;
    float *gradient;  // (inputs, outputs)
    // Scratch: [outputs + 1], as many as there are errors twice, and threads * train_gradient_scratch floats.
    int32_t *begin, *at;
    float *value;
    float *scratch;
} train_gradient;

size_t train_gradient_scratch(int batch, int window);

void train_gradient_run(train_pool *pool, const train_gradient *job);

// dL/dW (inputs, outputs) and dL/db of a linear readout from its error (window, batch, outputs), outputs <= 64.
typedef struct train_readout {
    int32_t window, batch, inputs, outputs;
    train_events in;
    const float *error;
    int64_t error_step;               // floats from one step to the next; 0: the same at every step
    float *gradient, *bias_gradient;  // bias_gradient may be NULL
    float *scratch;                   // train_readout_scratch(inputs, outputs) floats
} train_readout;

size_t train_readout_scratch(int inputs, int outputs);

void train_readout_run(train_pool *pool, const train_readout *job);

/// Convolutions ///

// Square windows; images are (height, width, channels), a step's row of bits in that order.
typedef struct train_image {
    int32_t height, width, channels;
} train_image;

// out[t][b] = the sum over windows of x W (+ bias), for x given as bits, as values (steps, batch, in), or as errors.
typedef struct train_conv {
    int32_t window, batch, size, padding;
    int32_t stride;  // from window to window
    int32_t
        spread;  // values and errors are those of every spread-th row and column of `in`, all between are 0
    train_image in, out;
    const uint8_t *bits;  // of x, `row` bytes a step ...
    int32_t row;
    const uint8_t *counts;  // ... or counts, likewise ...
    const float *
        values;  // ... or x itself, zeros skipped, of `steps` steps: window, or 1: the same at every step ...
    int32_t steps;
    train_errors errors;  // ... or lists, ascending
    const float
        *weight;  // (size, size, in, out); where `flipped`, of the convolution whose input error this is:
    int32_t
        flipped;  // (size, size, out, in), padding size - 1 less that convolution's, stride 1, spread its stride
    const float *bias;  // (out) or NULL
    float scale;        // factor on x: what one spike is worth
    float leak;         // out[t] += leak * out[t + 1] at the end: input errors from error differences
    // Where the result goes: to neurons, as currents; to their backward pass, as error; or, where both are NULL, to
    // result (steps, batch, out). The backward pass has neither weights above nor gradients.
    const train_forward *neurons;
    const struct train_backward *backward;
    float *result;
    float *packed;     // scratch: train_conv_packed floats
    uint8_t *scratch;  // threads * train_conv_scratch bytes
} train_conv;

size_t train_conv_packed(const train_conv *job);
size_t train_conv_scratch(const train_conv *job);
void train_conv_run(train_pool *pool, const train_conv *job);

typedef struct train_place {
    int32_t channel, at;
} train_place;

// dL/dW of a convolution (size, size, in, out). Either from spikes (bits or counts, each spike worth `scale`) and error
// differences, or, where values is not NULL, from values and the errors of the currents, both of `steps` steps.
typedef struct train_conv_gradient {
    int32_t window, batch, size, padding, stride;
    train_image in, out;
    const uint8_t *bits, *counts;
    int32_t row;
    float tau, scale;
    train_errors errors;
    const float *values, *epsilon;
    int32_t steps;
    float *gradient, *bias_gradient;  // bias_gradient (out), by errors only; may be NULL
    train_place *places;              // scratch, by errors only: one for every neuron of `out`
    float *sums;                      // scratch: train_conv_sums floats
    uint8_t *scratch;                 // threads * train_conv_gradient_scratch bytes
} train_conv_gradient;

size_t train_conv_sums(const train_conv_gradient *job);
size_t train_conv_gradient_scratch(const train_conv_gradient *job);
void train_conv_gradient_run(train_pool *pool, const train_conv_gradient *job);

// Max pooling of spikes, OR: (rows, in) bits to (rows, out) bits; winners (bits like the input's) may be NULL: the first
// spike of each window, in row-major order.
void train_max_pool(train_pool *pool, const uint8_t *bits, uint8_t *out, uint8_t *winners, int rows, int row,
                    int row_out, train_image in, int size);

// Sum pooling of spikes: (rows, in) bits to (rows, out) counts, size <= 15.
void train_sum_pool(train_pool *pool, const uint8_t *bits, uint8_t *counts, int rows, int row, int row_out,
                    train_image in, int size);

// Sums over rows of x (rows, columns), columns <= 4096, in a fixed order. scratch: 64 * columns floats.
void train_column_sums(train_pool *pool, const float *x, float *sums, float *scratch, int64_t rows,
                       int columns);

/// Weight standardization ///

// Of every column of weight (rows, columns): out = gain (weight - mean) / deviation, deviation^2 = the unbiased variance
// + eps. The second run takes mean and deviation from the first, and gives the gradients of weight and gain from the
// error of out. scratch: train_standard_scratch(columns) floats.
typedef struct train_standard {
    int32_t rows, columns;
    float eps;
    const float *weight, *gain;
    float *mean, *deviation, *out;
    const float *error;
    float *gradient, *gain_gradient;
    float *scratch;
} train_standard;

size_t train_standard_scratch(int columns);
void train_standardize_run(train_pool *pool, const train_standard *job);
void train_standardize_error_run(train_pool *pool, const train_standard *job);

/// Updates ///

// Sum of squares of `arrays` arrays, added up in a fixed order; not finite where a number is not.
double train_square_sum(train_pool *pool, const float *const *x, const int64_t *count, int arrays);

// AdamW's update of `arrays` arrays, rounding as pyedge.optim does; g is scaled first. new_* may be the old, or g.
// Returns what of it was not finite.
enum { TRAIN_GRADIENT = 1, TRAIN_WEIGHT = 2 };
typedef struct train_adamw {
    int64_t count;
    const float *p, *g, *m, *v;
    float *new_p, *new_m, *new_v;
    float scale, beta1, rest1, beta2, rest2, decay, size, floor;
} train_adamw;

int train_adamw_run(train_pool *pool, const train_adamw *jobs, int arrays);

/// Losses ///

// error = factor (softmax - one-hot) of every row of logits (rows, classes), classes <= 64, labels in turn. Filled in:
// the sum of all rows' cross-entropies is log product + power log 2 + distance.
typedef struct train_cross_entropy {
    int64_t rows;
    int32_t batch, classes;
    const float *logits;
    const int32_t *labels;  // (batch), in [0, classes)
    float factor;
    float *error;
    float *scratch;  // train_cross_entropy_scratch(rows) floats
    double product, distance;
    int64_t power;
} train_cross_entropy;

size_t train_cross_entropy_scratch(int64_t rows);
void train_cross_entropy_run(train_pool *pool, train_cross_entropy *job);

/// Limits ///

// What one core can do at most, for benchmarks. Adds up `count` floats of x `rounds` times, or, where x is NULL,
// multiplies and adds registers: 10 * train_width() floats a round. Returns a sum, of no meaning.
double train_limit(const float *x, int64_t count, int64_t rounds);
int train_width(void);

/// Instruction sets ///

// "avx512", "avx2" or "plain": what the kernels use on this processor.
const char *train_isa(void);

// Uses another one from now on, for tests. Returns 0, or -1 where this processor lacks it.
int train_use_isa(const char *name);

#endif
