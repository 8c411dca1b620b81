// The names and texts of the errors.
// SPDX-License-Identifier: Apache-2.0
#include "edge/error.h"

const char *edge_error_name(int code) {
    switch (code) {
#define EDGE_ERROR_CASE(name, number, text) \
    case number: return #name;
        EDGE_ERRORS(EDGE_ERROR_CASE)
#undef EDGE_ERROR_CASE
    default: return "";
    }
}

const char *edge_error_text(int code) {
    if (code >= 0) return "no error";
    switch (code) {
#define EDGE_ERROR_CASE(name, number, text) \
    case number: return text;
        EDGE_ERRORS(EDGE_ERROR_CASE)
#undef EDGE_ERROR_CASE
    default: return "unknown error";
    }
}
