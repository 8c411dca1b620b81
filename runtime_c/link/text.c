// Texts of the link's errors, in a file of their own so that firmware without them stays small.
// SPDX-License-Identifier: Apache-2.0
#include "edge/link.h"

const char *edge_link_error_text(int status) {
    switch (status) {
#define EDGE_LINK_ERROR_TEXT(name, code, text) \
    case code: return text;
        EDGE_LINK_ERRORS(EDGE_LINK_ERROR_TEXT)
#undef EDGE_LINK_ERROR_TEXT
    default: return edge_error_text(status);
    }
}

const char *edge_link_error_name(int status) {
    switch (status) {
#define EDGE_LINK_ERROR_NAME(name, code, text) \
    case code: return #name;
        EDGE_LINK_ERRORS(EDGE_LINK_ERROR_NAME)
#undef EDGE_LINK_ERROR_NAME
    default: return "";
    }
}
