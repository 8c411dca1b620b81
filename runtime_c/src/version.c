// Says which runtime was linked, which may differ from the header a program was compiled with.
#include "edge/edge.h"

uint32_t edge_version(void) { return EDGE_VERSION; }
