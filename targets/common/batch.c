// Test firmware: carries out a file of operations on the runtime and writes what came of each. Not the product.
// SPDX-License-Identifier: Apache-2.0
//
// Reads operations.bin, writes results.bin (and fault.bin after a fault), by semihosting; pyedge/boards/batch.py is the other end. An operation is
// u32 code, u32 a, u32 b, u32 size and `size` bytes, padded to 8; a result is u32 code, i32 status, u32 size, u32 0 and bytes
// likewise. The mark_ functions are addresses for the instruction counter (tools/icount).
#include <string.h>

#include "board.h"
#include "edge/stream.h"
#include "semihosting.h"

// Two instructions a turn; and a stack with no room left.
#if defined(__riscv)
#define TURN "0: addi %0, %0, -1\n\tbnez %0, 0b"
#define LOSE_STACK "la sp, stack_bottom\n\tsw zero, -4(sp)"
#elif defined(__arm__)
#define TURN ".syntax unified\n0: subs %0, #1\n\tbne 0b"
#define LOSE_STACK "ldr r0, =stack_bottom\n\tmsr msp, r0\n\tpush {r0-r7}"
#else
#define TURN ""
#define LOSE_STACK ""
#endif

#define MARK __attribute__((noinline, used)) void

enum operation {
    OPEN = 1,    // a: edge_mode_t; an image. Everything before is forgotten
    WINDOW = 2,  // all inputs of a window -> answer
    LEARN = 3,   // a: label, b: budget
    SAVE = 4,    // -> state
    LOAD = 5,    // a state
    DECAY = 6,   // a: rate decay
    STREAM = 7,  // a: ring; a new stream
    PUSH = 8,    // a: channels; raw samples -> for each window: i32 class, i32 confidence, rows (padded to 8)
    REPLAY = 9,  // rows of a window -> answer
    FIT = 10,    // a: windows, b: repetitions; rows, then labels -> alignment
    ALIGN = 11,  // an alignment
    FAULT = 12,  // a: 0 executes what is no instruction, 1 runs out of stack
    SPIN = 13,   // a: turns of a loop of two instructions, to test the counter with
    STACK = 14,  // -> status: most bytes of stack used since the start
    GROW = 15    // -> status: a spare row of the readout is this class from now on
};

enum { EXIT_FILES = 2, EXIT_OPERATION = 3, EXIT_MEMORY = 4, EXIT_FAULT = 70 };

#define PAINT 0x5AFE57ACu
extern uint32_t stack_bottom[], stack_top[];  // from the linker script

typedef struct {
    uint32_t code, a, b, size;
} request_t;

typedef struct {
    uint32_t code;
    int32_t status;
    uint32_t size, zero;
} result_t;

static edge_model_t model;
static edge_net_t net;
static edge_stream_t stream;
static edge_fit_t fit;
static int32_t results;
static uint8_t *pool;    // next free byte of the pool
static uint8_t *kept;    // where an operation's memory begins
static uint8_t *opened;  // where a stream's memory begins

// One instruction to stand on; the compiler may neither drop nor inline them.
MARK mark_empty(void) { __asm volatile("nop"); }
MARK mark_infer(void) { __asm volatile("nop"); }
MARK mark_learn(void) { __asm volatile("nop"); }
MARK mark_spin(void) { __asm volatile("nop"); }
MARK mark_stream(void) { __asm volatile("nop"); }
MARK mark_end(void) { __asm volatile("nop"); }

void firmware_receive(uint8_t byte) { (void)byte; }

// Files are little-endian: turns words around where the machine is not.
static void little(void *memory, size_t words) {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    uint32_t *word = memory;
    for (size_t k = 0; k < words; k++) word[k] = __builtin_bswap32(word[k]);
#else
    (void)memory;
    (void)words;
#endif
}

static size_t round_up(size_t size) { return (size + 7u) & ~(size_t)7u; }

static void *take(size_t size) {
    if (size > (size_t)(pool_end - pool)) semihosting_exit(EXIT_MEMORY);
    void *memory = pool;
    pool += round_up(size);
    return memory;
}

static void answer(uint32_t code, int32_t status, const void *data, size_t size) {
    static const uint8_t padding[8];
    result_t r = {code, status, size, 0};
    little(&r, sizeof r / 4);
    int ok = semihosting_write(results, &r, sizeof r);
    if (size > 0) ok = ok && semihosting_write(results, data, size);
    if (round_up(size) > size) ok = ok && semihosting_write(results, padding, round_up(size) - size);
    if (!ok) semihosting_exit(EXIT_FILES);
}

// Confidence, then scores and likelihoods of every class; the status is the predicted class.
static void answer_window(uint32_t code) {
    uint32_t classes = edge_net_classes(&net);
    int32_t *values = take((1 + 2 * classes) * sizeof *values);
    int32_t status = edge_net_predict(&net, values);
    (void)edge_net_scores(&net, values + 1);
    for (uint32_t k = 0; k < classes; k++)
        (void)edge_net_likelihood(&net, (int32_t)k, &values[1 + classes + k]);
    little(values, 1 + 2 * classes);
    answer(code, status, values, (1 + 2 * classes) * sizeof *values);
}

static int32_t open_image(const request_t *r, const uint8_t *image) {
    int32_t status = edge_model_open(&model, image, r->size);
    if (status < 0) return status;
    edge_mode_t mode = (edge_mode_t)r->a;
    size_t arena = edge_model_arena_size(&model, mode);
    void *weights = mode == EDGE_LEARN ? take(edge_model_weights_size(&model)) : NULL;
    status = edge_net_init(&net, &model, weights, take(arena), arena, mode);
    opened = kept = pool;
    return status;
}

static void replay(const request_t *r, const uint8_t *rows) {
    int32_t status = edge_stream_replay(&stream, rows, r->size);
    if (status < 0)
        answer(r->code, status, NULL, 0);
    else
        answer_window(r->code);
}

static void run_window(const request_t *r, const uint8_t *inputs) {
    uint32_t steps = edge_model_window(&model);
    size_t bytes = edge_model_input_kind(&model) == EDGE_INPUT_STATIC ? 0 : r->size / steps;
    mark_infer();
    int32_t status = edge_net_begin(&net);
    for (uint32_t t = 0; t < steps && status >= 0; t++) status = edge_net_step(&net, inputs + t * bytes);
    int32_t confidence;
    if (status >= 0) status = edge_net_predict(&net, &confidence);
    mark_end();
    if (status < 0)
        answer(r->code, status, NULL, 0);
    else
        answer_window(r->code);
}

static int32_t learn(const request_t *r) {
    mark_learn();
    int32_t status = edge_net_learn_begin(&net, (int32_t)r->a);
    if (status >= 0) {
        do status = edge_net_learn_run(&net, r->b);
        while (status > 0);
    }
    mark_end();
    return status;
}

// Polls after every sample, so the ring never fills. A finished window is answered at once: the next one replaces its rows.
static void push(const request_t *r, const uint8_t *samples) {
    size_t rows = edge_stream_window_size(&model);
    size_t step = r->a * sizeof(int16_t);
    uint8_t *answers = pool;
    int32_t status = step > 0 ? 0 : EDGE_ERR_ARGUMENT;
    for (size_t at = 0; status >= 0 && at + step <= r->size; at += step) {
        int16_t sample[EDGE_MAX_CHANNELS];
        for (size_t c = 0; c < r->a; c++) {
            const uint8_t *low = samples + at + 2 * c;
            sample[c] = (int16_t)(low[0] | low[1] << 8);
        }
        mark_stream();
        status = edge_stream_push(&stream, sample);
        if (status >= 0) status = edge_stream_poll(&stream);
        mark_end();
        if (status == 1) {
            int32_t *head = take(2 * sizeof *head);
            head[0] = edge_net_predict(&net, &head[1]);
            little(head, 2);
            status = edge_stream_keep(&stream, take(rows), rows);
        }
    }
    answer(r->code, status, answers, (size_t)(pool - answers));
}

static int32_t run_fit(const request_t *r, const uint8_t *rows) {
    const uint8_t *labels = rows + r->a * edge_stream_window_size(&model);
    int32_t status = edge_fit_begin(&fit, &stream, rows, labels, r->a, r->b);
    if (status >= 0) {
        do status = edge_fit_run(&fit);
        while (status > 0);
    }
    return status;
}

static int32_t new_stream(uint32_t ring) {
    pool = opened;
    size_t size = edge_stream_size(&model, ring);
    int32_t status = edge_stream_init(&stream, &net, take(size), size, ring);
    kept = pool;
    return status;
}

static void save(uint32_t code) {
    size_t size = edge_net_state_size(&net);
    void *state = take(size);
    int32_t status = edge_net_save(&net, state, size);
    answer(code, status, state, status < 0 ? 0 : size);
}

static int32_t set_alignment(const request_t *r, const uint8_t *bytes) {
    edge_alignment_t alignment;
    if (r->size != sizeof alignment) return EDGE_ERR_ARGUMENT;
    memcpy(&alignment, bytes, sizeof alignment);
    edge_stream_align(&stream, &alignment);
    return 0;
}

static void spin(uint32_t turns) {
    mark_spin();
    __asm volatile(TURN : "+l"(turns)::"cc");
    mark_end();
}

// What was never used still has the paint.
static void paint_stack(void) {
    uint32_t *here = __builtin_frame_address(0);
    if (here > stack_top) return;  // under an operating system
    for (volatile uint32_t *p = stack_bottom; p < here - 16; p++) *p = PAINT;
}

static int32_t stack_used(void) {
    const volatile uint32_t *p = stack_bottom;
    while (*p == PAINT) p++;
    return (int32_t)((const volatile uint8_t *)stack_top - (const volatile uint8_t *)p);
}

// For the test of the fault handler.
static void fault(uint32_t how) {
    if (how == 1) __asm volatile(LOSE_STACK);
    __builtin_trap();
}

// A fault resets the board: the second start tells what happened and ends the emulator.
static void report_fault(void) {
    const board_fault_t *f = board_last_fault();
    if (f == NULL) return;
    int32_t file = semihosting_open("fault.bin", SEMIHOSTING_WRITE);
    (void)semihosting_write(file, f, sizeof *f);
    semihosting_exit(EXIT_FAULT);
}

static void carry_out(const request_t *r, const uint8_t *payload) {
    switch (r->code) {
    case OPEN: answer(r->code, open_image(r, payload), NULL, 0); break;
    case WINDOW: run_window(r, payload); break;
    case LEARN: answer(r->code, learn(r), NULL, 0); break;
    case SAVE: save(r->code); break;
    case LOAD: answer(r->code, edge_net_load(&net, payload, r->size), NULL, 0); break;
    case DECAY: answer(r->code, edge_net_rate_decay(&net, r->a), NULL, 0); break;
    case STREAM: answer(r->code, new_stream(r->a), NULL, 0); break;
    case PUSH: push(r, payload); break;
    case REPLAY: replay(r, payload); break;
    case FIT: {
        int32_t status = run_fit(r, payload);
        answer(r->code, status, edge_stream_alignment(&stream), sizeof(edge_alignment_t));
        break;
    }
    case ALIGN: answer(r->code, set_alignment(r, payload), NULL, 0); break;
    case FAULT: fault(r->a); break;
    case SPIN:
        spin(r->a);
        answer(r->code, 0, NULL, 0);
        break;
    case STACK: answer(r->code, stack_used(), NULL, 0); break;
    case GROW: answer(r->code, edge_net_add_class(&net), NULL, 0); break;
    default: semihosting_exit(EXIT_OPERATION);
    }
}

int main(void) {
    report_fault();
    paint_stack();
    int32_t operations = semihosting_open("operations.bin", SEMIHOSTING_READ);
    results = semihosting_open("results.bin", SEMIHOSTING_WRITE);
    if (operations < 0 || results < 0) semihosting_exit(EXIT_FILES);
    mark_empty();
    mark_end();
    kept = pool_start;
    request_t r;
    while (semihosting_read(operations, &r, sizeof r) == sizeof r) {
        little(&r, sizeof r / 4);
        pool = r.code == OPEN ? pool_start : kept;
        uint8_t *payload = take(r.size);
        size_t whole = round_up(r.size);
        if (semihosting_read(operations, payload, whole) != whole) semihosting_exit(EXIT_FILES);
        carry_out(&r, payload);
    }
    semihosting_exit(0);
}
