// The firmware: the serial link's server on a UART, asleep when there is nothing to do.
// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "board.h"
#include "edge/link.h"
#include "edge/store.h"
#ifdef EDGE_KEY
#include "guard.h"
#endif

enum { IMAGE_MAGIC = 0x45474445, IMAGE_SIZE_AT = 8 };  // docs/image.md section 1
enum { NAME_SIZE = 65 };
#ifdef EDGE_KEY
enum { TAG = EDGE_LINK_TAG };
#else
enum { TAG = 0 };
#endif

static edge_link_t server;
static uint8_t frames[2 * (BOARD_PAYLOAD + TAG + EDGE_LINK_OVERHEAD)] __attribute__((aligned(8)));
static edge_store_t store;
static uint8_t store_buffer[EDGE_STORE_MAX_UNIT];
static edge_bank_port_t bank;
static edge_flash_t image_flash;
static char name[NAME_SIZE];

void firmware_receive(uint8_t byte) { edge_link_receive(&server, byte); }

static char *append(char *at, const char *text) {
    while (*text != 0 && at < name + NAME_SIZE - 1) *at++ = *text++;
    return at;
}

static char *append_hex(char *at, uint32_t value) {
    for (int shift = 28; shift >= 0; shift -= 4) {
        const char digit[2] = {"0123456789abcdef"[(value >> shift) & 15u], 0};
        at = append(at, digit);
    }
    return at;
}

// After a fault the board tells in its name where it was: hello is the first thing a host asks.
static void set_name(void) {
    char *at = append(name, board_name);
    const board_fault_t *fault = board_last_fault();
    if (fault == NULL) return;
    at = append(at, " (fault at ");
    at = append_hex(at, fault->pc);
    at = append(at, ", status ");
    at = append_hex(at, fault->status);
    (void)append(at, ")");
}

static uint32_t load32(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

// The bank of the board's flash. Returns NULL where it has none.
static const edge_bank_port_t *open_store(void) {
    edge_flash_t flash;
    board_flash(&flash);
    if (edge_store_init(&store, &flash, store_buffer, sizeof store_buffer)) return NULL;
    edge_store_bank(&store, &bank);
    return &bank;
}

// An image that was there before a reset is used again, with what was committed for it; edge_link_open refuses what is not whole.
static void open_kept_image(void) {
    size_t room = (size_t)(bank_end - bank_start);
    size_t size = load32(bank_start + IMAGE_SIZE_AT);
    if (load32(bank_start) == IMAGE_MAGIC && size <= room) (void)edge_link_open(&server, bank_start, size);
}

// Moves bytes from the server to the UART. Returns 1 if the UART is full and more are waiting.
static int transmit(void) {
    while (board_transmit_room() > 0) {
        int byte = edge_link_send(&server);
        if (byte < 0) return 0;
        (void)board_transmit((uint8_t)byte);
    }
    return 1;
}

int main(void) {
    set_name();
    const edge_link_config_t config = {
        .board = name,
        .frames = frames,
        .frames_size = sizeof frames,
        .image = bank_start,
        .image_size = (size_t)(bank_end - bank_start),
        .image_flash = board_image_flash(&image_flash) ? &image_flash : NULL,
        .work = pool_start,
        .work_size = (size_t)(pool_end - pool_start),
        .ring = BOARD_RING,
        .budget = BOARD_BUDGET,
        .bank = open_store(),
#ifdef EDGE_KEY
        .guard = &guard,
#endif
    };
    if (edge_link_init(&server, &config) < 0) return 1;
    open_kept_image();
    board_init();
    for (;;) {
        uint32_t seen = board_events();
        board_alive();
        int more = edge_link_run(&server);
        (void)transmit();
        if (!more) board_wait(seen);
    }
}
