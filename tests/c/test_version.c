// The library that was linked is the one whose headers were read.
#include "edge/version.h"
#include <string.h>

int main(void) { return strcmp(edge_version(), EDGE_VERSION) == 0 ? 0 : 1; }
