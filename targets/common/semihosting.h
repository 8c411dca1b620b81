// Files of the host for test firmware under an emulator or a debug probe. The product never includes this.
// SPDX-License-Identifier: Apache-2.0
#ifndef SEMIHOSTING_H
#define SEMIHOSTING_H

#include <stddef.h>
#include <stdint.h>

enum { SEMIHOSTING_READ = 1, SEMIHOSTING_WRITE = 5 };  // "rb", "wb"

// Opens a file of the host's working directory. Returns a handle, or -1.
int32_t semihosting_open(const char *path, int32_t mode);

// Reads up to size bytes. Returns the bytes read, less than size only at the end of the file.
size_t semihosting_read(int32_t file, void *data, size_t size);

// Writes size bytes. Returns 1, or 0 if not all were written.
int semihosting_write(int32_t file, const void *data, size_t size);

// Ends the emulator with an exit status.
void semihosting_exit(int32_t status) __attribute__((noreturn));

#endif
