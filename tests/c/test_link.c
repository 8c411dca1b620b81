// The link's server under noise: random bytes, and whole frames of random commands, in any mixture.
//
// Built with sanitizers this shows that no host makes the server leave its memory; built without, that it answers only
// whole frames and that hello always puts it right.
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "edge/link.h"
#include "small_image.h"

#ifdef EDGE_LINK_SMALL
#define SPOKEN 1
#else
#define SPOKEN EDGE_LINK_PROTOCOL
#endif

enum { PAYLOAD = 160, FRAME = PAYLOAD + EDGE_LINK_OVERHEAD, LINE = FRAME + 8, ROUNDS = 40000 };

static uint32_t random_state = 1;

// xorshift32: below `limit`, which is not 0.
static uint32_t draw(uint32_t limit) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state % limit;
}

enum { IMAGE = STREAM_IMAGE };

// COBS of a frame of n < 254 bytes, between zeros. Returns the bytes.
static size_t to_line(const uint8_t *frame, size_t n, uint8_t *line) {
    size_t code = 1, at = 2;
    line[0] = 0;
    for (size_t i = 0; i <= n; i++) {
        if (i < n && frame[i]) {
            line[at++] = frame[i];
            continue;
        }
        line[code] = (uint8_t)(at - code);
        code = at++;
    }
    line[code] = 0;
    return code + 1;
}

static size_t request(uint8_t *line, uint32_t session, uint32_t sequence, uint8_t command,
                      const uint8_t *payload, size_t n) {
    uint8_t frame[FRAME];
    put(frame, session, 4);
    put(frame + 4, sequence, 2);
    frame[6] = command;
    frame[7] = 0;
    memcpy(frame + 8, payload, n);
    put(frame + 8 + n, crc32_of(frame, 8 + n), 4);
    return to_line(frame, 12 + n, line);
}

// Takes what the server sends: whole frames with bit 7 in their command. Returns the last one's status, 1 for silence.
static int take_response(edge_link_t *l) {
    uint8_t frame[FRAME];
    int byte, status = 1;
    while ((byte = edge_link_send(l)) >= 0) {
        CHECK(byte == 0);
        size_t n = 0;
        int code = edge_link_send(l);
        while (code > 0) {
            for (int k = 1; k < code; k++) {
                byte = edge_link_send(l);
                CHECK(byte > 0 && n < FRAME);
                frame[n++] = (uint8_t)byte;
            }
            const int next = edge_link_send(l);
            CHECK(next >= 0);
            if (next > 0 && code < 255) frame[n++] = 0;
            code = next;
        }
        CHECK(n >= 12 && frame[6] & EDGE_LINK_RESPONSE);
        uint8_t checksum[4];
        put(checksum, crc32_of(frame, n - 4), 4);
        CHECK(memcmp(checksum, frame + n - 4, 4) == 0);
        status = frame[7] < 128 ? frame[7] : frame[7] - 256;
    }
    return status;
}

static int serve(edge_link_t *l, const uint8_t *line, size_t n) {
    for (size_t i = 0; i < n; i++) edge_link_receive(l, line[i]);
    edge_link_run(l);
    const int status = take_response(l);
    for (uint32_t k = draw(4); k > 0; k--) edge_link_run(l);
    return status;
}

static size_t random_request(uint8_t *line, uint32_t session, uint32_t *sequence) {
#define COMMAND_LIST(name, code) code,
    static const uint8_t commands[] = {EDGE_LINK_COMMANDS(COMMAND_LIST) 0x00, 0x7F};
#undef COMMAND_LIST
    static const uint8_t sizes[] = {0, 1, 1, 2, 2, 4, 4, 8, 8, 12, 12, 16, 24, 40, 73, 100, PAYLOAD};
    uint8_t payload[PAYLOAD];
    const uint8_t command = commands[1 + draw(sizeof commands - 1)];
    const size_t n = draw(8) ? sizes[draw(sizeof sizes)] : draw(PAYLOAD + 1);
    const uint32_t largest = draw(3) ? 4 : 256, zeros = draw(2) ? 1 : 6;
    for (size_t i = 0; i < n; i++) payload[i] = (uint8_t)(i && draw(zeros) ? 0 : draw(largest));
    if (draw(16)) *sequence = (*sequence + 1) % 65536;
    return request(line, session, *sequence, command, payload, n);
}

static void deploy(edge_link_t *l, const uint8_t *image, uint32_t session, uint32_t *sequence) {
    uint8_t line[LINE], payload[PAYLOAD];
    put(payload, IMAGE, 4);
    put(payload + 4, crc32_of(image, IMAGE), 4);
    CHECK(serve(l, line, request(line, session, ++*sequence, EDGE_LINK_IMAGE_BEGIN, payload, 8)) == 0);
    for (uint32_t at = 0; at < IMAGE;) {
        const uint32_t part = IMAGE - at < 132 ? IMAGE - at : 132;
        put(payload, at, 4);
        memcpy(payload + 4, image + at, part);
        const int status =
            serve(l, line, request(line, session, ++*sequence, EDGE_LINK_IMAGE_CHUNK, payload, 4 + part));
        if (status == EDGE_LINK_ERR_OFFSET) break;  // it has the image already
        CHECK(status == 0);
        at += part;
    }
    put(payload, 16, 2);
    CHECK(serve(l, line, request(line, session, ++*sequence, EDGE_LINK_IMAGE_END, payload, 2)) == 0);
}

// A bank of the firmware's own: two places, of which one counts.
typedef struct {
    uint8_t state[2][64];
    edge_alignment_t alignment[2];
    uint32_t windows, sequence, updates[2];
    uint32_t room;
    int good, fails;  // fails: one call in so many
} bank_t;

static bool bank_fails(const bank_t *b) { return b->fails && draw((uint32_t)b->fails) == 0; }

static int bank_write(void *context, const edge_net_t *net, const edge_alignment_t *alignment,
                      const edge_kept_t *kept) {
    bank_t *b = context;
    if (bank_fails(b)) return EDGE_ERR_FLASH;
    const int size = edge_net_save(net, b->state[!b->good], sizeof b->state[0]);
    if (size < 0) return size;
    b->alignment[!b->good] = *alignment;
    b->updates[!b->good] = edge_net_updates(net);
    CHECK(kept ? kept->count <= b->room / 7 : b->room < 7);
    b->windows = kept ? kept->count : 0;
    return 0;
}

static int bank_confirm(void *context) {
    bank_t *b = context;
    if (bank_fails(b)) return EDGE_ERR_FLASH;
    b->good = !b->good;
    b->sequence++;
    return 0;
}

static int bank_load(void *context, edge_net_t *net, edge_alignment_t *alignment, edge_kept_t *kept,
                     int trial) {
    const bank_t *b = context;
    if (!trial && !b->sequence) return EDGE_LINK_ERR_BANK;
    if (bank_fails(b)) return EDGE_ERR_FLASH;
    const int at = trial ? !b->good : b->good;
    if (kept) edge_kept_clear(kept);
    *alignment = b->alignment[at];
    return edge_net_load(net, b->state[at], sizeof b->state[0]);
}

static void bank_facts(void *context, const edge_net_t *net, edge_bank_facts_t *facts) {
    const bank_t *b = context;
    (void)net;
    facts->room = b->room;
    facts->sequence = b->sequence;
    facts->updates = b->updates[b->good];
    facts->sectors = 3;
    facts->sector_size = 64;
}

static int bank_wear(void *context, uint32_t sector, uint32_t *erases) {
    *erases = ((const bank_t *)context)->sequence;
    return sector == 2 ? EDGE_ERR_EMPTY : 0;
}

static void test_noise(const edge_bank_port_t *bank, size_t work_size) {
    // On the heap, each of its exact size, where a sanitizer sees one byte too far.
    uint8_t *image = malloc(IMAGE), *frames = malloc(2 * FRAME), *images = malloc(IMAGE),
            *work = malloc(work_size);
    edge_link_t *l = malloc(sizeof *l);
    CHECK(image && frames && images && work && l);
    stream_image(image);
    memset(work, 0, work_size);
    const edge_link_config_t config = {.board = "noise",
                                       .frames = frames,
                                       .frames_size = 2 * FRAME,
                                       .image = images,
                                       .image_size = IMAGE,
                                       .work = work,
                                       .work_size = work_size,
                                       .ring = 16,
                                       .budget = 1,
                                       .bank = bank};
    CHECK(edge_link_init(l, &config) == 0);

    static const uint8_t hello[2] = {SPOKEN, 0};
    uint8_t line[LINE];
    uint32_t session = 0, sequence = 0, learned = 0;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        if (round % 500 == 0) {
            edge_link_receive(l, 0);
            for (int k = 0; k < 32; k++) {
                edge_link_run(l);
                take_response(l);
            }
            CHECK(serve(l, line,
                        request(line, ++session, sequence = draw(65536), EDGE_LINK_HELLO, hello, 2)) == 0);
            deploy(l, image, session, &sequence);
        }
        size_t n = random_request(line, draw(50) ? session : 0x80000000u + draw(4), &sequence);
        if (draw(8) == 0) line[draw((uint32_t)n)] = (uint8_t)draw(256);
        if (draw(16) == 0) n = draw((uint32_t)n + 1);
        (void)serve(l, line, n);
        if (edge_link_net(l)) learned += edge_net_updates(edge_link_net(l)) > 0;
    }
    CHECK(edge_link_dropped(l) > 0 && learned > 0);
    free(image);
    free(frames);
    free(images);
    free(work);
    free(l);
}

// A link over the caller's memory, without a bank.
static edge_link_config_t small_link(const char *board, uint64_t frames[FRAME / 4], void *image,
                                     size_t image_size, uint64_t work[256]) {
    const edge_link_config_t config = {.board = board,
                                       .frames = (uint8_t *)frames,
                                       .frames_size = 2 * FRAME,
                                       .image = image,
                                       .image_size = image_size,
                                       .work = (uint8_t *)work,
                                       .work_size = 256 * sizeof *work,
                                       .ring = 16,
                                       .budget = 1};
    return config;
}

// An image of the firmware's own is used where it lies; one that does not open leaves no model.
static void test_own_image(void) {
    uint64_t frames[FRAME / 4], image[IMAGE / 8], images[1], work[256];
    edge_link_t l;
    const edge_link_config_t config = small_link("own", frames, images, sizeof images, work);
    stream_image((uint8_t *)image);
    CHECK(edge_link_init(&l, &config) == 0);
    CHECK(edge_link_open(&l, image, IMAGE) == 0);
    CHECK(edge_link_net(&l) && edge_link_stream(&l));
    ((uint8_t *)image)[100] ^= 1;
    CHECK(edge_link_open(&l, image, IMAGE) == EDGE_ERR_CRC);
    CHECK(!edge_link_net(&l) && !edge_link_stream(&l));
}

// Flash for images that keeps the rules: whole units but at the end, erased bytes only, one sector a call.
enum { IMAGE_UNIT = 16, IMAGE_SECTOR = 96, IMAGE_SECTORS = (IMAGE + IMAGE_SECTOR - 1) / IMAGE_SECTOR };

typedef struct {
    uint64_t bytes[IMAGE_SECTORS * IMAGE_SECTOR / 8];
    uint32_t programs, failing;  // failing: the program that fails
    bool no_erase, no_sync;
} image_flash_t;

static int image_program(void *context, uint32_t address, const void *bytes, uint32_t size) {
    image_flash_t *f = context;
    uint8_t *at = (uint8_t *)f->bytes + address;
    if (++f->programs == f->failing) return -1;
    CHECK(address % IMAGE_UNIT == 0 && (size % IMAGE_UNIT == 0 || address + size == IMAGE));
    CHECK(address / IMAGE_SECTOR == (address + size - 1) / IMAGE_SECTOR);
    for (uint32_t k = 0; k < size; k++) CHECK(at[k] == 0xFF);
    memcpy(at, bytes, size);
    return 0;
}

static int image_erase(void *context, uint32_t address) {
    image_flash_t *f = context;
    CHECK(address % IMAGE_SECTOR == 0);
    if (f->no_erase) return -1;
    memset((uint8_t *)f->bytes + address, 0xFF, IMAGE_SECTOR);
    return 0;
}

static int image_sync(void *context) { return ((const image_flash_t *)context)->no_sync ? -1 : 0; }

static edge_flash_t image_port(image_flash_t *f) {
    const edge_flash_t port = {.context = f,
                               .program = image_program,
                               .erase = image_erase,
                               .sectors = IMAGE_SECTORS,
                               .sector_size = IMAGE_SECTOR,
                               .unit = IMAGE_UNIT};
    return port;
}

// An image arrives in flash in chunks of any size; where the flash fails, the next transfer begins anew.
static void test_image_in_flash(void) {
    static image_flash_t f;
    uint64_t frames[FRAME / 4], image[IMAGE / 8], work[256];
    const edge_flash_t flash = image_port(&f);
    edge_link_t l;
    edge_link_config_t config = small_link("flash", frames, f.bytes, sizeof f.bytes, work);
    config.image_flash = &flash;
    static const uint8_t hello[2] = {SPOKEN, 0};
    uint8_t line[LINE], payload[PAYLOAD];
    uint32_t session = 7, sequence = 0;
    stream_image((uint8_t *)image);
    for (uint32_t most = 1; most <= 132; most++) {
        f.failing = most % 3 ? 0 : f.programs + 2;
        CHECK(edge_link_init(&l, &config) == 0);
        CHECK(serve(&l, line, request(line, ++session, sequence = 0, EDGE_LINK_HELLO, hello, 2)) == 0);
        while (l.image_have < IMAGE) {
            size_t n = 8;
            put(payload, IMAGE, 4);
            put(payload + 4, crc32_of((uint8_t *)image, IMAGE), 4);
            CHECK(serve(&l, line, request(line, session, ++sequence, EDGE_LINK_IMAGE_BEGIN, payload, n)) ==
                  0);
            const uint32_t at = l.image_have, left = IMAGE - at, part = left < most ? left : most;
            put(payload, at, 4);
            memcpy(payload + 4, (uint8_t *)image + at, part);
            n = request(line, session, ++sequence, EDGE_LINK_IMAGE_CHUNK, payload, 4 + part);
            const int status = serve(&l, line, n);
            CHECK(status == 0 || (status == EDGE_ERR_FLASH && f.programs == f.failing && l.image_have == 0));
            CHECK(status != 0 || l.image_have > at || part < IMAGE_UNIT);
            if (l.image_have == at && status == 0) break;  // less than a unit: nothing can be taken
        }
        CHECK((l.image_have == IMAGE) == (most >= IMAGE_UNIT));
        put(payload, 16, 2);
        const int end = serve(&l, line, request(line, session, ++sequence, EDGE_LINK_IMAGE_END, payload, 2));
        CHECK(end == (most >= IMAGE_UNIT ? 0 : EDGE_LINK_ERR_INCOMPLETE));
    }
}

// Flash that does not erase, or does not finish, takes no byte, and says so.
static void test_image_in_broken_flash(void) {
    static image_flash_t f;
    uint64_t frames[FRAME / 4], image[IMAGE / 8], work[256];
    edge_flash_t flash = image_port(&f);
    flash.sync = image_sync;
    edge_link_t l;
    edge_link_config_t config = small_link("broken", frames, f.bytes, sizeof f.bytes, work);
    config.image_flash = &flash;
    static const uint8_t hello[2] = {SPOKEN, 0};
    uint8_t line[LINE], payload[PAYLOAD];
    stream_image((uint8_t *)image);
    for (uint32_t broken = 0; broken < 3; broken++) {
        uint32_t sequence = 0;
        f.no_erase = broken == 1;
        f.no_sync = broken == 2;
        CHECK(edge_link_init(&l, &config) == 0);
        CHECK(serve(&l, line, request(line, 7, 0, EDGE_LINK_HELLO, hello, 2)) == 0);
        put(payload, IMAGE, 4);
        put(payload + 4, 1, 4);
        CHECK(serve(&l, line, request(line, 7, ++sequence, EDGE_LINK_IMAGE_BEGIN, payload, 8)) == 0);
        put(payload, 0, 4);
        memcpy(payload + 4, image, 96);
        const size_t n = request(line, 7, ++sequence, EDGE_LINK_IMAGE_CHUNK, payload, 100);
        CHECK(serve(&l, line, n) == (broken ? EDGE_ERR_FLASH : 0));
        CHECK(l.image_have == (broken ? 0 : 96));
    }
}

// Frames that are whole but are no requests are dropped, each counted, without an answer.
static void test_frames_that_are_no_requests(void) {
    uint64_t frames[FRAME / 4], images[IMAGE / 8], work[256];
    edge_link_t l;
    const edge_link_config_t config = small_link("", frames, images, sizeof images, work);
    static const struct {
        uint32_t session;
        uint8_t command, status;
    } bad[] = {
        {0, EDGE_LINK_HELLO, 0}, {1, EDGE_LINK_HELLO | EDGE_LINK_RESPONSE, 0}, {1, EDGE_LINK_HELLO, 1}};
    uint8_t line[LINE], frame[16];
    CHECK(edge_link_init(&l, &config) == 0);
    for (uint32_t k = 0; k < 3; k++) {
        memset(frame, 0, sizeof frame);
        put(frame, bad[k].session, 4);
        frame[6] = bad[k].command;
        frame[7] = bad[k].status;
        frame[8] = SPOKEN;
        put(frame + 10, crc32_of(frame, 10), 4);
        CHECK(serve(&l, line, to_line(frame, 14, line)) == 1);
        CHECK(edge_link_dropped(&l) == k + 1);
    }
}

static void no_challenge(void *context, uint8_t *to) {
    (void)context;
    memset(to, 0, EDGE_LINK_TAG);
}

static void no_tag(void *context, uint8_t *to, const uint8_t *first, size_t first_size, const uint8_t *second,
                   size_t second_size) {
    (void)context, (void)first, (void)first_size, (void)second, (void)second_size;
    memset(to, 0, EDGE_LINK_TAG);
}

// What a firmware engineer can get wrong is named before a byte arrives.
static void test_configurations(void) {
    static uint64_t frames[2 * 65536 / 8 + 8], images[8], work[8];
    static const edge_link_guard_t guard = {NULL, no_challenge, no_tag};
    const edge_link_config_t good = {.board = "good",
                                     .frames = (uint8_t *)frames,
                                     .frames_size = 2 * (EDGE_LINK_MIN_PAYLOAD + EDGE_LINK_OVERHEAD),
                                     .image = (uint8_t *)images,
                                     .image_size = sizeof images,
                                     .work = (uint8_t *)work,
                                     .work_size = sizeof work,
                                     .ring = 2,
                                     .budget = 1};
    edge_link_t l;
    static const uint8_t greeting[2] = {SPOKEN, 0};
    uint8_t first[LINE];
    edge_link_config_t named = good;
    named.board = "a name that is longer than what the smallest frame has room for is cut, and nothing "
                  "behind it is written";
    CHECK(edge_link_init(&l, &named) == 0);
    CHECK(serve(&l, first, request(first, 1, 0, EDGE_LINK_HELLO, greeting, 2)) == 0);
    CHECK(edge_link_init(&l, &good) == 0);
    CHECK(edge_link_init(NULL, &good) == EDGE_ERR_ARGUMENT && edge_link_init(&l, NULL) == EDGE_ERR_ARGUMENT);
    edge_link_config_t bad[16];
    for (int k = 0; k < 16; k++) bad[k] = good;
    bad[0].board = NULL;
    bad[1].frames = NULL;
    bad[2].image = NULL;
    bad[3].work = NULL;
    bad[4].frames_size -= 2;
    bad[5].frames_size = 2 * 65536;
    bad[6].budget = 0;
    bad[7].ring = 1;
    bad[8].ring = 65536;
    bad[9].ring = 24;
    bad[10].image_size = (size_t)INT32_MAX + 1;
    bad[11].work_size = (size_t)INT32_MAX + 1;
    bad[12].guard = &guard;
    for (int k = 0; k < 13; k++) CHECK(edge_link_init(&l, &bad[k]) == EDGE_ERR_ARGUMENT);
    bad[13].image++;
    bad[14].work++;
    CHECK(edge_link_init(&l, &bad[13]) == EDGE_ERR_ALIGN && edge_link_init(&l, &bad[14]) == EDGE_ERR_ALIGN);
#ifndef EDGE_LINK_SMALL
    bad[12].frames_size += 2 * EDGE_LINK_TAG;
    CHECK(edge_link_init(&l, &bad[12]) == 0);
    CHECK(serve(&l, first, request(first, 1, 0, EDGE_LINK_HELLO, greeting, 2)) == 0);
    // No room for a tag is no tag.
    CHECK(serve(&l, first, request(first, 1, 1, EDGE_LINK_STATUS, greeting, 0)) == EDGE_LINK_ERR_TAG);
#endif
}

int main(void) {
    bank_t kept = {.room = 7 * 7}, broken = {.room = 7 * 7, .fails = 3}, narrow = {.room = 6},
           wide = {.room = UINT32_MAX};
    const edge_bank_port_t port = {&kept, bank_write, bank_confirm, bank_load, bank_facts, bank_wear};
    const edge_bank_port_t bad = {&broken, bank_write, bank_confirm, bank_load, bank_facts, bank_wear};
    const edge_bank_port_t none = {&narrow, bank_write, bank_confirm, bank_load, bank_facts, bank_wear};
    const edge_bank_port_t all = {&wide, bank_write, bank_confirm, bank_load, bank_facts, bank_wear};
    test_noise(NULL, 2048);
    test_noise(NULL, 900);
    test_noise(&port, 2048);
    test_noise(&bad, 2048);
    test_noise(&none, 2048);
    test_noise(&all, 2048);
    test_own_image();
    test_image_in_flash();
    test_image_in_broken_flash();
    test_frames_that_are_no_requests();
    test_configurations();
    return 0;
}
