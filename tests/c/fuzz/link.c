// The link's server under any requests: every byte it takes is somebody else's.
// SPDX-License-Identifier: Apache-2.0
//
// An input of the fuzzer is two bytes of configuration and then records: u8 kind, u8 n, n bytes. A record becomes a frame with the right session, sequence
// and checksum (or a wrong one where its kind says so), an image or state with its checksum repaired, or raw bytes on the line.
#include "edge/store.h"
#include "fuzz.h"
#include "state.h"

enum { COMMANDED, SUCCEEDED, IMAGES, LEARNINGS, FITS, STATES };

tally_t tallies[TALLIES] = {
    [COMMANDED] = {"requests carried out or refused", 0},
    [SUCCEEDED] = {"requests that succeeded", 0},
    [IMAGES] = {"images loaded", 0},
    [LEARNINGS] = {"updates learned", 0},
    [FITS] = {"fits run", 0},
    [STATES] = {"states restored", 0},
};

// What records stand for; a kind below COMMANDS is a request.
#define COMMAND_CODE(name, code) code,
static const uint8_t commands[] = {EDGE_LINK_COMMANDS(COMMAND_CODE)};
#undef COMMAND_CODE

enum { COMMANDS = sizeof commands };
enum { UNKNOWN = COMMANDS, IMAGE, STATE, RAW, REPEAT, OLD, STRANGER, DAMAGED, WORK, GARBLED_IMAGE, KINDS };

enum { FRAME = 520, LINE = FRAME + 8, IMAGE_MEMORY = 2048, SECTORS = 4, SECTOR = 512, TURNS = 64 };

typedef struct {
    edge_link_t link;
    edge_store_t store;
    uint8_t *frames, *images, *work, *buffer, *flash;
    edge_flash_t image_flash;
    uint8_t line[LINE];
    size_t line_length;
    uint32_t session, sequence, payload;
    int silent;    // the transmitter is not read
    bool guarded;  // requests need tags
} bench_t;

/// The world around the server ///

static int flash_read(void *context, uint32_t address, void *bytes, uint32_t size) {
    CHECK(address <= SECTORS * SECTOR && size <= SECTORS * SECTOR - address);
    memcpy(bytes, (uint8_t *)context + address, size);
    return 0;
}

static int flash_program(void *context, uint32_t address, const void *bytes, uint32_t size) {
    CHECK(address <= SECTORS * SECTOR && size <= SECTORS * SECTOR - address);
    for (uint32_t k = 0; k < size; k++) CHECK(((uint8_t *)context)[address + k] == 0xFF);
    memcpy((uint8_t *)context + address, bytes, size);
    return 0;
}

static int flash_erase(void *context, uint32_t address) {
    CHECK(address % SECTOR == 0 && address < SECTORS * SECTOR);
    memset((uint8_t *)context + address, 0xFF, SECTOR);
    return 0;
}

static size_t make_image(uint8_t *image, uint32_t which) {
    return which % 2 ? small_image(image) : stream_image(image);
}

/// The line ///

// COBS between zeros.
static size_t to_line(const uint8_t *frame, size_t n, uint8_t *line) {
    size_t code = 1, at = 2;
    line[0] = 0;
    for (size_t i = 0; i < n; i++) {
        if (frame[i]) line[at++] = frame[i];
        if (frame[i] == 0 || at - code == 255) {
            line[code] = (uint8_t)(at - code);
            code = at++;
        }
    }
    line[code] = (uint8_t)(at - code);
    line[at] = 0;
    return at + 1;
}

// Takes what the server sends: whole frames with bit 7 in their command and a right checksum. Returns the last status, 1 for silence.
static int take_responses(bench_t *b) {
    uint8_t frame[FRAME];
    int byte, status = 1;
    while ((byte = edge_link_send(&b->link)) >= 0) {
        if (b->silent) continue;  // it came in the middle of a frame
        CHECK(byte == 0);
        size_t n = 0;
        int code = edge_link_send(&b->link);
        while (code > 0) {
            for (int k = 1; k < code; k++) {
                byte = edge_link_send(&b->link);
                CHECK(byte > 0 && n < FRAME);
                frame[n++] = (uint8_t)byte;
            }
            const int next = edge_link_send(&b->link);
            CHECK(next >= 0);
            if (next > 0 && code < 255) frame[n++] = 0;
            code = next;
        }
        CHECK(n >= EDGE_LINK_OVERHEAD && n <= b->payload + EDGE_LINK_OVERHEAD &&
              frame[6] & EDGE_LINK_RESPONSE);
        CHECK(crc32_of(frame, n - 4) == (frame[n - 4] | (uint32_t)frame[n - 3] << 8 |
                                         (uint32_t)frame[n - 2] << 16 | (uint32_t)frame[n - 1] << 24));
        status = frame[7] < 128 ? frame[7] : frame[7] - 256;
        CHECK(status == 0 || edge_link_error_text(status)[0]);
    }
    b->silent = 0;
    return status;
}

static int turn(bench_t *b, const uint8_t *line, size_t n) {
    for (size_t i = 0; i < n; i++) edge_link_receive(&b->link, line[i]);
    (void)edge_link_run(&b->link);
    return take_responses(b);
}

static void challenge(void *context, uint8_t bytes[EDGE_LINK_TAG]) {
    (void)context;
    memset(bytes, 0x5A, EDGE_LINK_TAG);
}

// Stands in for a MAC: whoever knows how can make it.
static void make_tag(void *context, uint8_t tag[EDGE_LINK_TAG], const uint8_t *first, size_t first_size,
                     const uint8_t *second, size_t second_size) {
    (void)context;
    memset(tag, 0, EDGE_LINK_TAG);
    put(tag, crc32_of(first, first_size), 4);
    put(tag + 4, crc32_of(second, second_size), 4);
}

static const edge_link_guard_t guard = {NULL, challenge, make_tag};

static int ask(bench_t *b, uint32_t session, uint32_t sequence, uint8_t command, const uint8_t *payload,
               size_t n) {
    uint8_t frame[FRAME];
    const bool tagged = b->guarded && command != EDGE_LINK_HELLO;
    if (n > b->payload - (tagged ? EDGE_LINK_TAG : 0)) n = b->payload - (tagged ? EDGE_LINK_TAG : 0);
    put(frame, session, 4);
    put(frame + 4, sequence, 2);
    frame[6] = command;
    frame[7] = 0;
    if (n) memcpy(frame + 8, payload, n);
    if (tagged) {
        uint8_t head[EDGE_LINK_TAG + 4] = {0};
        challenge(NULL, head);
        make_tag(NULL, frame + 8 + n, head, sizeof head, frame, 8 + n);
        n += EDGE_LINK_TAG;
    }
    put(frame + 8 + n, crc32_of(frame, 8 + n), 4);
    b->line_length = to_line(frame, 12 + n, b->line);
    const int status = turn(b, b->line, b->line_length);
    tallies[COMMANDED].count++;
    tallies[SUCCEEDED].count += status == 0;
    return status;
}

static int request(bench_t *b, uint8_t command, const uint8_t *payload, size_t n) {
    return ask(b, b->session, ++b->sequence, command, payload, n);
}

static int hello(bench_t *b) {
    const uint8_t payload[2] = {EDGE_LINK_PROTOCOL, 0};
    b->sequence = 0;
    return ask(b, ++b->session, 0, EDGE_LINK_HELLO, payload, 2);
}

// Overwrites single bytes: pairs of u16 position and u8 value, modulo the size.
static void change(uint8_t *bytes, size_t size, const uint8_t *pairs, size_t n) {
    for (; n >= 3 && size; n -= 3, pairs += 3) bytes[(pairs[0] | (size_t)pairs[1] << 8) % size] = pairs[2];
}

// Sends an image with changed bytes and right checksums.
static void send_image(bench_t *b, const uint8_t *in, size_t n, bool sealed) {
    uint8_t image[1024], payload[260];
    if (n < 2) return;
    const size_t size = make_image(image, in[0]);
    change(image, size, in + 2, n - 2);
    if (sealed) seal(image, size);
    put(payload, (uint32_t)size, 4);
    put(payload + 4, crc32_of(image, size) ^ (in[1] >= 250), 4);
    (void)request(b, EDGE_LINK_IMAGE_BEGIN, payload, 8);
    for (size_t at = 0; at < size;) {
        const size_t most = b->payload - 4 < 256 ? b->payload - 4 : 256,
                     part = size - at < most ? size - at : most;
        put(payload, (uint32_t)at, 4);
        memcpy(payload + 4, image + at, part);
        (void)request(b, EDGE_LINK_IMAGE_CHUNK, payload, 4 + part);
        at += part;
    }
    put(payload, in[1] < 16 ? 1u << in[1] : in[1] & 1u, 2);
    tallies[IMAGES].count += request(b, EDGE_LINK_IMAGE_END, payload, 2) == 0;
}

// Writes back the net's own state with changed bytes and a right checksum.
static void send_state(bench_t *b, const uint8_t *in, size_t n) {
    uint8_t state[2048], payload[264];
    const edge_net_t *net = edge_link_net(&b->link);
    if (!net || net->mode != EDGE_LEARN || net->stage || edge_net_state_size(net) > sizeof state || n < 1)
        return;
    const size_t size = edge_net_state_size(net);
    CHECK(edge_net_save(net, state, size) == (int)size);
    change(state, size, in + 1, n - 1);
    put(state + 12, crc32_of(state + 16, size - 16), 4);
    const size_t part = 1 + in[0] % (b->payload - 8 < 255 ? b->payload - 8 : 255);
    int status = 0;
    for (size_t at = 0; at < size && (status == 0 || in[0] & 1); at += part) {
        const size_t length = size - at < part ? size - at : part;
        memset(payload, 0, 8);
        payload[0] = 1;
        put(payload + 4, (uint32_t)at, 4);
        memcpy(payload + 8, state + at, length);
        status = request(b, EDGE_LINK_WRITE, payload, 8 + length);
    }
    tallies[STATES].count += status == 0;
}

static void record(bench_t *b, uint8_t kind, const uint8_t *in, size_t n) {
    kind %= KINDS;
    if (kind < COMMANDS) {
        const int status = request(b, commands[kind], in, n);
        tallies[LEARNINGS].count += status == 0 && commands[kind] == EDGE_LINK_LEARN;
        tallies[FITS].count += status == 0 && commands[kind] == EDGE_LINK_FIT;
    } else if (kind == UNKNOWN) {
        (void)request(b, n ? in[0] : 0, in, n);
    } else if (kind == IMAGE || kind == GARBLED_IMAGE) {
        send_image(b, in, n, kind == IMAGE);
    } else if (kind == STATE) {
        send_state(b, in, n);
    } else if (kind == RAW) {
        (void)turn(b, in, n);
    } else if (kind == REPEAT) {
        (void)turn(b, b->line, b->line_length);
    } else if (kind == OLD) {
        (void)ask(b, b->session, b->sequence - (n ? in[0] % 3 : 0), EDGE_LINK_STATUS, in, n);
    } else if (kind == STRANGER) {
        if (n && in[0] & 1)
            (void)hello(b);
        else
            (void)ask(b, b->session + 7, 0, n > 1 ? in[1] : EDGE_LINK_HELLO, in, n);
    } else if (kind == DAMAGED) {
        for (size_t k = 0; k + 1 < n; k += 2) b->line[in[k] % (b->line_length + 1)] ^= in[k + 1];
        (void)turn(b, b->line, b->line_length);
    } else {
        for (uint32_t k = 0; k < (n ? in[0] : TURNS); k++) {
            (void)edge_link_run(&b->link);
            if (n > 1 && in[1] & 1) {
                b->silent = 1;
                for (uint32_t byte = 0; byte < in[1]; byte++) (void)edge_link_send(&b->link);
            }
        }
        (void)take_responses(b);
    }
}

static void start(bench_t *b, uint8_t how, uint8_t more, edge_bank_port_t *port) {
    static const uint32_t work_sizes[4] = {256, 1200, 4096, 16384};
    const bool guarded = (more & 3) == 3;
    const size_t capacity =
        how & 4 ? FRAME : EDGE_LINK_MIN_PAYLOAD + EDGE_LINK_OVERHEAD + (guarded ? EDGE_LINK_TAG : 0);
    memset(b, 0, sizeof *b);
    b->guarded = guarded;
    b->payload = (uint32_t)capacity - EDGE_LINK_OVERHEAD;
    b->frames = block(2 * capacity);
    b->images = block(IMAGE_MEMORY);
    b->work = block(work_sizes[how & 3]);
    b->buffer = block(64);
    b->flash = block(SECTORS * SECTOR);
    memset(b->flash, 0xFF, SECTORS * SECTOR);
    const edge_flash_t flash = {b->flash, flash_read, flash_program, flash_erase, NULL, SECTORS, SECTOR, 8};
    // The image memory may be flash too.
    b->image_flash =
        (edge_flash_t){b->images, flash_read, flash_program, flash_erase, NULL, SECTORS, SECTOR, 8};
    CHECK(edge_store_init(&b->store, &flash, b->buffer, 64) == 0);
    edge_store_bank(&b->store, port);
    const edge_link_config_t config = {.board = "fuzz",
                                       .frames = b->frames,
                                       .frames_size = 2 * capacity,
                                       .image = b->images,
                                       .image_size = IMAGE_MEMORY,
                                       .image_flash = more & 4 ? &b->image_flash : NULL,
                                       .work = b->work,
                                       .work_size = work_sizes[how & 3],
                                       .ring = how & 8 ? 64 : 4,
                                       .budget = how & 16 ? 100000 : 3,
                                       .bank = how & 32 ? port : NULL,
                                       .guard = guarded ? &guard : NULL};
    edge_link_config_t wrong[4] = {config, config, config, config};
    wrong[0].frames = NULL;
    wrong[1].budget = 0;
    wrong[2].ring = 3;
    wrong[3].work_size = (size_t)INT32_MAX + 1;
    for (int k = 0; k < 4; k++) CHECK(edge_link_init(&b->link, &wrong[k]) == EDGE_ERR_ARGUMENT);
    CHECK(edge_link_init(&b->link, &config) == 0);
    if (how & 64) {
        const size_t size = make_image(b->images, how >> 7);
        const int opened = edge_link_open(&b->link, b->images, size);
        CHECK(opened == 0 || opened == EDGE_ERR_MEMORY);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static bench_t b;
    edge_bank_port_t port;
    if (size < 2) return 0;
    start(&b, data[0], data[1], &port);
    CHECK(hello(&b) == 0);
    for (size_t at = 2; at + 2 <= size;) {
        const size_t left = size - at - 2, n = data[at + 1] < left ? data[at + 1] : left;
        record(&b, data[at], data + at + 2, n);
        at += 2 + n;
    }
    // Whatever came, the server serves: its line is put right by a zero, and hello opens a session.
    const uint8_t zeros[2] = {0, 0};
    for (int k = 0; k < 3; k++) (void)turn(&b, zeros, 2);
    b.session = 0xFEDCBA00;
    CHECK(hello(&b) == 0);
    CHECK(request(&b, EDGE_LINK_STATUS, NULL, 0) == 0);
    (void)edge_link_dropped(&b.link);
    free(b.frames);
    free(b.images);
    free(b.work);
    free(b.buffer);
    free(b.flash);
    return 0;
}

/// Mutation: of records, so that those behind a change stay what they were ///

static size_t record_size(const uint8_t *data, size_t size, size_t at) {
    if (at + 2 > size) return 0;
    return data[at + 1] < size - at - 2 ? 2u + data[at + 1] : size - at;
}

// Where a record starts, drawn among all; `size` if there is none.
static size_t some_record(const uint8_t *data, size_t size, uint32_t *random) {
    size_t found = size, seen = 0;
    for (size_t at = 2, n; (n = record_size(data, size, at)) > 0; at += n)
        if (draw(random, (uint32_t)++seen) == 0) found = at;
    return found;
}

static size_t put_record(uint8_t *to, uint32_t kind, const uint8_t *bytes, uint32_t n) {
    to[0] = (uint8_t)kind;
    to[1] = (uint8_t)n;
    if (bytes) memcpy(to + 2, bytes, n);
    return 2 + (size_t)n;
}

static uint32_t kind_of(uint8_t command) {
    uint32_t kind = 0;
    while (commands[kind] != command) kind++;
    return kind;
}

// A record that says something: right lengths for its command, small numbers.
static size_t new_record(uint8_t *to, uint32_t *random) {
    static const uint8_t sizes[][2] = {
        {EDGE_LINK_HELLO, 2},        {EDGE_LINK_RESET, 1},     {EDGE_LINK_IMAGE_BEGIN, 8},
        {EDGE_LINK_IMAGE_CHUNK, 20}, {EDGE_LINK_IMAGE_END, 2}, {EDGE_LINK_KEEP, 1},
        {EDGE_LINK_REPLAY, 2},       {EDGE_LINK_LEARN, 1},     {EDGE_LINK_FIT, 1},
        {EDGE_LINK_RATE, 1},         {EDGE_LINK_SCORES, 2},    {EDGE_LINK_REHEARSE, 4},
        {EDGE_LINK_READ, 8},         {EDGE_LINK_WRITE, 73},    {EDGE_LINK_PRACTISE, 4},
        {EDGE_LINK_REMEMBER, 1},     {EDGE_LINK_WEAR, 2},      {EDGE_LINK_STATISTICS, 1}};
    const uint32_t kind = draw(random, KINDS);
    uint32_t n = kind < COMMANDS ? 0 : draw(random, 12);
    for (uint32_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
        if (kind < COMMANDS && commands[kind] == sizes[k][0]) n = sizes[k][1];
    if (kind < COMMANDS && commands[kind] == EDGE_LINK_INFER) n = 4 + 2 * (1 + draw(random, 10));
    if (kind < COMMANDS && commands[kind] == EDGE_LINK_PUSH) n = 4 * draw(random, 24);
    (void)put_record(to, kind, NULL, n);
    for (uint32_t k = 0; k < n; k++)
        to[2 + k] = (uint8_t)(draw(random, 3) ? draw(random, 4) : draw(random, 256));
    if (kind < COMMANDS && commands[kind] == EDGE_LINK_INFER) put(to + 4, (n - 4) / 2, 2);
    if (kind < COMMANDS && commands[kind] == EDGE_LINK_WRITE && draw(random, 2)) {
        memset(to + 2, 0, 8);
        to[2] = 2;
    }
    if ((kind == IMAGE || kind == STATE) && draw(random, 3)) to[1] = 2;
    if (kind == RAW && draw(random, 4) == 0) {  // a frame too long
        to[1] = 255;
        memset(to + 2, 0xFF, 255);
    }
    return 2 + (size_t)to[1];
}

// A wearer's visit: an image, a window from samples or from inputs, and what is done with it.
static size_t new_visit(uint8_t *to, uint32_t *random) {
    static const uint8_t after[][2] = {
        {EDGE_LINK_LEARN, 1},   {EDGE_LINK_REHEARSE, 2}, {EDGE_LINK_FIT, 1},      {EDGE_LINK_REPLAY, 2},
        {EDGE_LINK_COMMIT, 0},  {EDGE_LINK_ROLLBACK, 0}, {EDGE_LINK_READ, 8},     {EDGE_LINK_SCORES, 2},
        {EDGE_LINK_UNDO, 0},    {EDGE_LINK_TRY, 0},      {EDGE_LINK_PRACTISE, 4}, {EDGE_LINK_BANK, 0},
        {EDGE_LINK_REMEMBER, 1}};
    uint8_t bytes[64] = {(uint8_t)draw(random, 2), draw(random, 20) ? 4 : 255};
    size_t n = put_record(to, IMAGE, bytes, 2);
    if (bytes[0] == 0) {
        for (uint32_t k = 0; k < sizeof bytes; k++) bytes[k] = (uint8_t)draw(random, 256);
        n += put_record(to + n, kind_of(EDGE_LINK_PUSH), bytes, 12);
        bytes[0] = (uint8_t)draw(random, 2);
        n += put_record(to + n, kind_of(EDGE_LINK_KEEP), bytes, 1);
    } else {
        for (uint32_t k = 0; k < sizeof bytes; k++) bytes[k] = (uint8_t)draw(random, 256);
        put(bytes, 1, 2);
        put(bytes + 2, 10, 2);
        n += put_record(to + n, kind_of(EDGE_LINK_INFER), bytes, 24);
    }
    for (uint32_t k = 1 + draw(random, 4); k; k--) {
        const uint8_t *chosen = after[draw(random, sizeof after / sizeof *after)], command = chosen[0];
        const bool fit = command == EDGE_LINK_FIT || command == EDGE_LINK_PRACTISE,
                   state = command == EDGE_LINK_READ;
        const uint32_t length = chosen[1];
        memset(bytes, 0, 8);
        bytes[0] = fit || state ? (uint8_t)(1 + draw(random, 2)) : 0;
        if (state) put(bytes + 2, draw(random, 100), 2);
        n += put_record(to + n, kind_of(command), bytes, length);
        bytes[0] = (uint8_t)draw(random, 40);
        if (draw(random, 2)) n += put_record(to + n, WORK, bytes, 1);
    }
    return n;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t largest, unsigned int seed) {
    uint8_t made[512];
    uint32_t random = seed;
    if (size < 2 || largest < 600) return LLVMFuzzerMutate(data, size, largest);
    for (uint32_t n = 1 + draw(&random, 4); n; n--) {
        const uint32_t how = draw(&random, 8);
        const size_t at = some_record(data, size, &random), length = record_size(data, size, at);
        if (how < 3) {  // one more
            const size_t more = draw(&random, 3) ? new_record(made, &random) : new_visit(made, &random);
            if (size + more > largest) continue;
            memmove(data + at + more, data + at, size - at);
            memcpy(data + at, made, more);
            size += more;
        } else if (how == 3 && length) {  // one less
            memmove(data + at, data + at + length, size - at - length);
            size -= length;
        } else if (how == 4 && length && size + length <= largest) {  // once more, at the end
            memmove(data + size, data + at, length);
            size += length;
        } else if (how == 5 && length > 2) {  // other bytes of the same length
            (void)LLVMFuzzerMutate(data + at + 2, length - 2, length - 2);
        } else if (how == 6 && length) {
            data[at] = (uint8_t)draw(&random, KINDS);
        } else if (how == 7) {
            data[draw(&random, 2)] = (uint8_t)draw(&random, 256);
        }
    }
    return draw(&random, 20) ? size : LLVMFuzzerMutate(data, size, largest);
}
