// The serial link, board side: frames in, frames out, over any byte stream.
// SPDX-License-Identifier: Apache-2.0
//
// Protocol: docs/link.md. The server allocates nothing, never blocks, and does bounded work a call. Firmware
// is three lines: a received byte goes to edge_link_receive (from an interrupt, if you like), the main loop
// calls edge_link_run, and a ready transmitter takes edge_link_send's byte.
#ifndef EDGE_LINK_H
#define EDGE_LINK_H

#include "edge/edge.h"
#include "edge/flash.h"
#include "edge/kept.h"
#include "edge/stream.h"

#ifdef __cplusplus
extern "C" {
#endif

// A runtime built with EDGE_LINK_SMALL speaks version 1 only: without REMEMBER, PRACTISE, UNDO, ADD_CLASS,
// TRY, BANK, WEAR and tags.
#define EDGE_LINK_PROTOCOL 2       // newest version of docs/link.md that the board speaks; 1 is part of it
#define EDGE_LINK_LESSON 64        // most windows of one REHEARSE
#define EDGE_LINK_OVERHEAD 12      // header and checksum around a payload
#define EDGE_LINK_MIN_PAYLOAD 136  // every fixed request, and one sample of 64 channels, fits
#define EDGE_LINK_TAG 16           // bytes of a tag and of a challenge

/// Commands ///

// X(name, code)
#define EDGE_LINK_COMMANDS(X)      \
    X(EDGE_LINK_HELLO, 0x01)       \
    X(EDGE_LINK_STATUS, 0x02)      \
    X(EDGE_LINK_RESET, 0x03)       \
    X(EDGE_LINK_IMAGE_BEGIN, 0x10) \
    X(EDGE_LINK_IMAGE_CHUNK, 0x11) \
    X(EDGE_LINK_IMAGE_END, 0x12)   \
    X(EDGE_LINK_INFER, 0x20)       \
    X(EDGE_LINK_PUSH, 0x21)        \
    X(EDGE_LINK_KEEP, 0x22)        \
    X(EDGE_LINK_REPLAY, 0x23)      \
    X(EDGE_LINK_LEARN, 0x24)       \
    X(EDGE_LINK_FIT, 0x25)         \
    X(EDGE_LINK_RATE, 0x26)        \
    X(EDGE_LINK_SCORES, 0x27)      \
    X(EDGE_LINK_REHEARSE, 0x28)    \
    X(EDGE_LINK_PRACTISE, 0x29)    \
    X(EDGE_LINK_REMEMBER, 0x2A)    \
    X(EDGE_LINK_UNDO, 0x2B)        \
    X(EDGE_LINK_ADD_CLASS, 0x2C)   \
    X(EDGE_LINK_COMMIT, 0x30)      \
    X(EDGE_LINK_ROLLBACK, 0x31)    \
    X(EDGE_LINK_READ, 0x32)        \
    X(EDGE_LINK_WRITE, 0x33)       \
    X(EDGE_LINK_TRY, 0x34)         \
    X(EDGE_LINK_BANK, 0x35)        \
    X(EDGE_LINK_WEAR, 0x36)        \
    X(EDGE_LINK_STATISTICS, 0x40)

enum edge_link_command {
#define EDGE_LINK_COMMAND_ENUM(name, code) name = code,
    EDGE_LINK_COMMANDS(EDGE_LINK_COMMAND_ENUM)
#undef EDGE_LINK_COMMAND_ENUM
        EDGE_LINK_RESPONSE = 0x80  // set in the command byte of a response
};

/// Errors: a response's status is 0, a code of edge/error.h, or one of these ///

// X(name, code, text). Codes never change meaning; a text says what to do.
#define EDGE_LINK_ERRORS(X)                                                                                  \
    X(EDGE_LINK_ERR_PROTOCOL, -32, "the board speaks another protocol version; update the older side")       \
    X(EDGE_LINK_ERR_SESSION, -33, "the board was reset or another host took over; say hello again")          \
    X(EDGE_LINK_ERR_COMMAND, -34, "the board does not know this command; update its firmware")               \
    X(EDGE_LINK_ERR_LENGTH, -35, "the request has the wrong length for its command")                         \
    X(EDGE_LINK_ERR_SEQUENCE, -36, "a sequence number came back with another request; say hello again")      \
    X(EDGE_LINK_ERR_SIZE, -37, "the image is larger than the board's image memory; use a smaller model")     \
    X(EDGE_LINK_ERR_OFFSET, -38, "the chunk does not continue what the board has; go on from where it says") \
    X(EDGE_LINK_ERR_INCOMPLETE, -39, "parts of the image are missing; send the rest")                        \
    X(EDGE_LINK_ERR_DAMAGED, -40, "the image arrived damaged; send it again from its first byte")            \
    X(EDGE_LINK_ERR_NO_MODEL, -41, "no model is loaded; deploy an image first")                              \
    X(EDGE_LINK_ERR_FULL, -42, "no room for another kept window; fit with what is kept, or clear it")        \
    X(EDGE_LINK_ERR_BANK, -43, "no room for a committed bank; use a smaller ring or model")                  \
    X(EDGE_LINK_ERR_LOADING, -44, "a state is half written; write the rest, or roll back")                   \
    X(EDGE_LINK_ERR_TAG, -45, "the request's tag is missing or wrong; give the board's key")

enum edge_link_error {
#define EDGE_LINK_ERROR_ENUM(name, code, text) name = code,
    EDGE_LINK_ERRORS(EDGE_LINK_ERROR_ENUM)
#undef EDGE_LINK_ERROR_ENUM
        EDGE_LINK_OK = 0
};

// The text of a status: of the link, or else of the runtime (edge_error_text).
//
// Returns a constant English sentence. Firmware that never calls it does not carry the texts.
const char *edge_link_error_text(int status);

// The name of a link error, such as "EDGE_LINK_ERR_SESSION". Returns "" for codes that are not of the link.
const char *edge_link_error_name(int status);

/// Banks: where a commit goes ///

// What a bank has for the model that is loaded.
typedef struct edge_bank_facts {
    uint32_t room;      // bytes of kept windows (label and rows) that a commit can keep
    uint32_t sequence;  // of the last commit, higher with each; 0: there is none
    uint32_t updates;   // of that commit
    uint32_t sectors, sector_size;
} edge_bank_facts_t;

// Keeps what was learned. Where firmware gives none, a commit is a copy in work memory. edge_store_bank
// (edge/store.h) makes one of flash.
typedef struct edge_bank_port {
    void *context;

    // Puts all of the net's state, the alignment (NULL without an encoder) and the kept windows on trial, or
    // nothing. Returns 0 or an error code.
    int (*write)(void *context, const edge_net_t *net, const edge_alignment_t *alignment,
                 const edge_kept_t *kept);

    // Makes what is on trial the last commit. Returns 0 or an error code: then the commit before counts.
    int (*confirm)(void *context);

    // Restores the last commit (trial 0), or what is on trial (1). kept: NULL leaves the windows as they are.
    // Returns 0, EDGE_LINK_ERR_BANK where there is none, or an error code.
    int (*load)(void *context, edge_net_t *net, edge_alignment_t *alignment, edge_kept_t *kept, int trial);

    // Fills in what there is for the net's image.
    void (*facts)(void *context, const edge_net_t *net, edge_bank_facts_t *facts);

    // Erases of a sector. Returns 0, or an error code where it is not known.
    int (*wear)(void *context, uint32_t sector, uint32_t *erases);
} edge_bank_port_t;

/// Guard: who may speak ///

// Authentication of requests (docs/security.md). The key stays with the firmware.
typedef struct edge_link_guard {
    void *context;

    // A challenge that was never given before, not even before a restart.
    void (*challenge)(void *context, uint8_t challenge[EDGE_LINK_TAG]);

    // The tag of two pieces of message, one after the other, under the board's key.
    void (*tag)(void *context, uint8_t tag[EDGE_LINK_TAG], const uint8_t *first, size_t first_size,
                const uint8_t *second, size_t second_size);
} edge_link_guard_t;

/// Server ///

typedef struct edge_link_config {
    const char *board;   // name in the response to hello, at most 64 bytes
    uint8_t *frames;     // two frame buffers: payloads of frames_size / 2 - EDGE_LINK_OVERHEAD bytes
    size_t frames_size;  // 2 * (EDGE_LINK_MIN_PAYLOAD + EDGE_LINK_OVERHEAD) .. 2 * 65535
    uint8_t *image;      // receives images; 8-byte aligned
    size_t image_size;
    const edge_flash_t *image_flash;  // programs the image memory; NULL: it is written as RAM is
    uint8_t *work;  // weights, arena, ring, copies for commit and undo, kept windows; 8-byte aligned
    size_t work_size;
    uint32_t ring;                   // raw samples that wait while the net learns: a power of two, 2 .. 32768
    uint32_t budget;                 // synapses a slice of learning, see edge_net_learn_run; at least 1
    const edge_bank_port_t *bank;    // NULL: the committed bank is a copy in work memory
    const edge_link_guard_t *guard;  // NULL: requests need no tag; else frames_size: + 2 * EDGE_LINK_TAG
} edge_link_config_t;

typedef struct edge_link {
    // Private to the server; fixed size, no allocation. Do not rely on the contents.
    edge_link_config_t config;
    edge_model_t model;
    edge_net_t net;
    edge_stream_t stream;
    edge_fit_t fit;

    // Receiver: only edge_link_receive writes these, but for request_ready, which hands a request over and
    // back.
    uint8_t *request;
    uint32_t capacity;  // bytes of a frame
    uint32_t received;
    uint32_t torn;  // frames that the receiver dropped
    uint32_t request_length;
    volatile uint8_t request_ready;
    uint8_t group;  // code byte of the COBS group under way; 0 before the first
    uint8_t group_left;
    uint8_t skipping;

    // Transmitter.
    uint8_t *response;  // last response, kept to be repeated
    uint32_t response_length;
    uint8_t refusal[EDGE_LINK_OVERHEAD + 1];
    const uint8_t *sending;  // NULL: idle
    uint32_t sending_length;
    uint32_t sending_at;
    uint8_t sending_left;
    uint8_t sending_phase;
    uint8_t sending_full;  // the group is full: no zero follows it

    // Session.
    uint32_t session;  // 0 before the first hello
    uint32_t last_checksum;
    uint32_t dropped;
    uint32_t turns;  // of the sequence in this session
    uint16_t last_sequence;
    uint8_t challenge[EDGE_LINK_TAG];

    // Image transfer: have of length bytes with checksum crc at `at`.
    const uint8_t *image_at;
    uint32_t image_length;
    uint32_t image_crc;
    uint32_t image_have;

    // Work memory of the model that is loaded.
    uint8_t *state;  // room for a saved state's header, then the weights in place
    uint8_t *arena;
    edge_stats_t *counts;
    uint8_t *bank;
    uint8_t *undo;        // the state before the last label
    uint32_t state_size;  // 0: nothing learns
    uint32_t arena_size;
    uint32_t state_have;
    uint32_t committed;  // updates, if has_commit
    uint32_t windows;
    edge_kept_t kept;
    edge_practice_t practice;
    uint32_t fresh_before;              // kept windows that were fresh before the last label
    uint16_t lesson[EDGE_LINK_LESSON];  // kept windows that REHEARSE still learns: from lesson_at on
    uint16_t lesson_at;
    uint16_t lesson_length;

    // TRY: how many kept windows are right with what was learned, and with the last commit.
    uint16_t right[2];
    uint16_t judged;  // with the state at hand
    uint16_t of;
    uint8_t trying;  // 0: what was learned, 1: the last commit
    uint8_t verdict;

    uint8_t has_model;
    uint8_t has_stream;
    uint8_t has_commit;
    uint8_t has_undo;
    uint8_t bank_keeps;  // kept windows are committed too
    uint8_t practising;
    uint8_t stepping;  // INFER may go on
    uint8_t activity;
    int8_t result;
} edge_link_t;

// Prepares a server without a model.
//
// Returns 0, EDGE_ERR_ARGUMENT or EDGE_ERR_ALIGN.
int edge_link_init(edge_link_t *l, const edge_link_config_t *config);

// Opens an image that the firmware brings along, as if the host had sent it. It need not lie in the image
// memory. What was committed for it comes back: weights, alignment, kept windows.
//
// Returns 0, EDGE_ERR_MEMORY, or what edge_model_open returns; on an error no model is loaded.
int edge_link_open(edge_link_t *l, const void *image, size_t size);

// Takes one received byte. Safe from an interrupt; a few instructions.
//
// Bytes that come while a request waits for edge_link_run are dropped: the host repeats an unanswered
// request.
// Returns nothing.
void edge_link_receive(edge_link_t *l, uint8_t byte);

// Does a bounded piece of work: answers a request, runs one window, one candidate of a fit, or one slice of
// learning.
//
// Returns 1 if there is more to do now, or 0: sleep until the next byte.
int edge_link_run(edge_link_t *l);

// The next byte for the transmitter.
//
// Returns 0 .. 255, or -1 if there is nothing to send.
int edge_link_send(edge_link_t *l);

// Frames that were damaged, torn, too long, or old, modulo 2^32. Returns the number.
uint32_t edge_link_dropped(const edge_link_t *l);

// The net at work, for firmware that shows predictions itself. Returns NULL without a model.
edge_net_t *edge_link_net(edge_link_t *l);

// The stream, for firmware whose sensor pushes samples itself. Returns NULL without a model or an encoder.
edge_stream_t *edge_link_stream(edge_link_t *l);

#ifdef __cplusplus
}
#endif
#endif
