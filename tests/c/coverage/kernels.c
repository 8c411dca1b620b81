// The table of kernels under tools/coverage: portable C, or with EDGE_BOARD_TABLE set what boards' tables add to it.
#include <stdlib.h>

#include "kernels/kernels.h"
#include "kernels/spikes.h"

const edge_kernels_t *edge_kernels(void) {
    static edge_kernels_t board;
    if (!getenv("EDGE_BOARD_TABLE")) return edge_portable_kernels();
    board = *edge_portable_kernels();
    board.together = 1;
    board.errors = edge_word_errors;
    board.list_spikes = edge_list_spikes;
    return &board;
}
