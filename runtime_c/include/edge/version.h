// The version of the runtime: the one place where it is written down.
#ifndef EDGE_VERSION_H
#define EDGE_VERSION_H

#define EDGE_VERSION "0.1.0"

#ifdef __cplusplus
extern "C" {
#endif

// The version this library was built from, which may differ from the header a program was compiled with.
//
// Returns a string such as "0.1.0" with static storage.
const char *edge_version(void);

#ifdef __cplusplus
}
#endif

#endif
