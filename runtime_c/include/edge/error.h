// The errors of the runtime: one list gives the codes, the texts and the Python exceptions.
// SPDX-License-Identifier: Apache-2.0
#ifndef EDGE_ERROR_H
#define EDGE_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

// X(name, code, text). Codes never change meaning; a text says what to do.
#define EDGE_ERRORS(X)                                                                                   \
    X(EDGE_ERR_ARGUMENT, -1, "an argument is null or out of its range; see the header of the call")      \
    X(EDGE_ERR_ALIGN, -2, "memory is not 8-byte aligned; align the image, the arena and the weights")    \
    X(EDGE_ERR_TRUNCATED, -3, "the image is shorter than it says; send it again")                        \
    X(EDGE_ERR_MAGIC, -4, "not a pyedge model image; write one with pyedge quantize")                    \
    X(EDGE_ERR_VERSION, -5, "the image format is newer than this runtime; rebuild the firmware")         \
    X(EDGE_ERR_CRC, -6, "the image is damaged; send it again")                                           \
    X(EDGE_ERR_FORMAT, -7, "the image breaks its format; write it again with this version of pyedge")    \
    X(EDGE_ERR_BOUND, -8, "sums of the image could overflow; use smaller weights, biases or windows")    \
    X(EDGE_ERR_MEMORY, -9, "too little memory for this image; edge_model_arena_size says how much")      \
    X(EDGE_ERR_MODE, -10, "the net cannot learn; use EDGE_LEARN and an image that learns")               \
    X(EDGE_ERR_LABEL, -11, "the label is not a class of the model")                                      \
    X(EDGE_ERR_WINDOW, -12, "the window is not complete; step exactly edge_model_window times first")    \
    X(EDGE_ERR_BUSY, -13, "a window is being learned; call edge_net_learn_run until it returns 0")       \
    X(EDGE_ERR_CAPACITY, -14, "more spikes than the image's capacity; nothing was learned")              \
    X(EDGE_ERR_STATE, -15, "the saved state belongs to another model or is damaged; nothing was loaded") \
    X(EDGE_ERR_OVERRUN, -16, "samples were lost because the ring was full; poll more often")             \
    X(EDGE_ERR_ENCODER, -17, "the image has no encoder; step the net with encoded inputs")               \
    X(EDGE_ERR_EMPTY, -18, "nothing is stored for this image; commit a state first")                     \
    X(EDGE_ERR_FLASH, -19, "the flash failed or did not keep what was written; it may be worn out")      \
    X(EDGE_ERR_ROOM, -20, "the flash has no room for two states; see edge_store_sectors")                \
    X(EDGE_ERR_TRIAL, -21, "no state is on trial; write one first")                                      \
    X(EDGE_ERR_SPARE, -22, "the model has no spare class left; make an image with more")

enum edge_error {
#define EDGE_ERROR_ENUM(name, code, text) name = code,
    EDGE_ERRORS(EDGE_ERROR_ENUM)
#undef EDGE_ERROR_ENUM
        EDGE_OK = 0
};

// The name of an error code.
//
// Returns a string such as "EDGE_ERR_CRC", or "" for a number that is not in the list.
const char *edge_error_name(int code);

// The text of an error code.
//
// Returns a constant English sentence; "no error" for codes >= 0, "unknown error" for others.
const char *edge_error_text(int code);

#ifdef __cplusplus
}
#endif
#endif
