// What the test firmware asks of a board, from an operating system.
// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>

#include "board.h"
#include "semihosting.h"

uint8_t pool_start[POOL_SIZE] __attribute__((aligned(8)));
uint32_t stack_bottom[1], stack_top[1];  // the stack is the system's

static FILE *files[4];

const board_fault_t *board_last_fault(void) { return NULL; }

int32_t semihosting_open(const char *path, int32_t mode) {
    for (int32_t k = 0; k < (int32_t)(sizeof files / sizeof files[0]); k++) {
        if (files[k]) continue;
        files[k] = fopen(path, mode == SEMIHOSTING_READ ? "rb" : "wb");
        return files[k] ? k : -1;
    }
    return -1;
}

size_t semihosting_read(int32_t file, void *data, size_t size) { return fread(data, 1, size, files[file]); }

int semihosting_write(int32_t file, const void *data, size_t size) {
    return fwrite(data, 1, size, files[file]) == size;
}

void semihosting_exit(int32_t status) { exit(status); }
