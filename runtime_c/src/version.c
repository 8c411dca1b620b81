// Says which runtime was linked.
#include "edge/version.h"

const char *edge_version(void) { return EDGE_VERSION; }
