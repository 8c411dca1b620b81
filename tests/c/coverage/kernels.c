// The table of kernels under tools/coverage: portable C, or with EDGE_BOARD_TABLE set what boards' tables add to it.
#include <stdlib.h>

#include "kernels/kernels.h"
#include "kernels/spikes.h"

static void restart(const edge_firing_t *f, uint32_t n, uint8_t *spikes) {
    for (uint32_t i = 0; i < n; i += 32) {
        const uint32_t left = n - i;
        const uint32_t fired =
            edge_portable_fire(f->u, f->last, f->threshold, f->t, i, left < 32 ? left : 32);
        edge_store32(spikes + i / 8, fired);
        (void)edge_restart_fired(f, i, fired);
    }
}

const edge_kernels_t *edge_kernels(void) {
    static edge_kernels_t board;
    if (!getenv("EDGE_BOARD_TABLE")) return edge_portable_kernels();
    board = *edge_portable_kernels();
    board.together = 1;
    board.errors = edge_word_errors;
    board.list_spikes = edge_list_spikes;
    board.restart = restart;
    return &board;
}
