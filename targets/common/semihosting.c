// Semihosting calls of Arm's specification 2.0 and their RISC-V binding, as far as the test firmware needs them.
// SPDX-License-Identifier: Apache-2.0
#include "semihosting.h"

#include <string.h>

enum { SYS_OPEN = 0x01, SYS_WRITE = 0x05, SYS_READ = 0x06, SYS_EXIT_EXTENDED = 0x20 };
enum { APPLICATION_EXIT = 0x20026 };

#if defined(__riscv)
static int32_t call(int32_t operation, const uintptr_t *block) {
    register int32_t a0 __asm("a0") = operation;
    register const uintptr_t *a1 __asm("a1") = block;
    __asm volatile(".option push\n\t.option norvc\n\t.balign 16\n\t"
                   "slli x0, x0, 0x1f\n\tebreak\n\tsrai x0, x0, 7\n\t.option pop"
                   : "+r"(a0)
                   : "r"(a1)
                   : "memory");
    return a0;
}
#else
static int32_t call(int32_t operation, const uintptr_t *block) {
    register int32_t r0 __asm("r0") = operation;
    register const uintptr_t *r1 __asm("r1") = block;
    __asm volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}
#endif

int32_t semihosting_open(const char *path, int32_t mode) {
    const uintptr_t block[3] = {(uintptr_t)path, (uintptr_t)mode, strlen(path)};
    return call(SYS_OPEN, block);
}

size_t semihosting_read(int32_t file, void *data, size_t size) {
    const uintptr_t block[3] = {(uintptr_t)file, (uintptr_t)data, size};
    int32_t left = call(SYS_READ, block);
    return left < 0 || (size_t)left > size ? 0 : size - (size_t)left;
}

int semihosting_write(int32_t file, const void *data, size_t size) {
    const uintptr_t block[3] = {(uintptr_t)file, (uintptr_t)data, size};
    return call(SYS_WRITE, block) == 0;
}

void semihosting_exit(int32_t status) {
    const uintptr_t block[2] = {APPLICATION_EXIT, (uintptr_t)status};
    for (;;) (void)call(SYS_EXIT_EXTENDED, block);
}
