// The table of kernels under tools/coverage: portable C, or with EDGE_TOGETHER set what other tables add to it.
#include <stdlib.h>

#include "kernels/kernels.h"
#include "kernels/spikes.h"

const edge_kernels_t *edge_kernels(void) {
    static edge_kernels_t others;
    const char *together = getenv("EDGE_TOGETHER");
    if (!together) return edge_portable_kernels();
    others = *edge_portable_kernels();
    others.together = (uint32_t)atoi(together);
    others.errors = edge_word_errors;
    others.list_spikes = edge_list_spikes;
    return &others;
}
