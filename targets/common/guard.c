// Tags of requests by Monocypher: BLAKE2b under the key that the build was given.
// SPDX-License-Identifier: Apache-2.0
#include "guard.h"

#include <string.h>

#include "board.h"
#include "monocypher.h"

enum { KEY_SIZE = 32 };

static const char hexadecimal[] = EDGE_KEY;
_Static_assert(sizeof hexadecimal == 2 * KEY_SIZE + 1, "EDGE_KEY is 64 hexadecimal digits");

static uint8_t digit(char c) { return (uint8_t)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10); }

static void start(crypto_blake2b_ctx *hash) {
    uint8_t key[KEY_SIZE];
    for (size_t k = 0; k < KEY_SIZE; k++)
        key[k] = (uint8_t)(digit(hexadecimal[2 * k]) << 4 | digit(hexadecimal[2 * k + 1]));
    crypto_blake2b_keyed_init(hash, EDGE_LINK_TAG, key, KEY_SIZE);
    crypto_wipe(key, KEY_SIZE);
}

static void tag(void *context, uint8_t *to, const uint8_t *first, size_t first_size, const uint8_t *second,
                size_t second_size) {
    crypto_blake2b_ctx hash;
    (void)context;
    start(&hash);
    crypto_blake2b_update(&hash, first, first_size);
    crypto_blake2b_update(&hash, second, second_size);
    crypto_blake2b_final(&hash, to);
}

static void challenge(void *context, uint8_t *to) {
    (void)context;
    board_fresh(to);
}

const edge_link_guard_t guard = {NULL, challenge, tag};
