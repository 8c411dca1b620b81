// The library that was linked is the one whose headers were read.
#include "edge/edge.h"

int main(void) { return edge_version() == EDGE_VERSION ? 0 : 1; }
