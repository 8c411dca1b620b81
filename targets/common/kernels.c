// Test firmware: the board's kernels against portable C, case by case (tests/c/test_kernels.c). Not the product.
// SPDX-License-Identifier: Apache-2.0
#include <stdbool.h>
#include <string.h>

#include "board.h"
#include "semihosting.h"

bool test_kernels(void);
void failed(const char *condition, int line, int number) __attribute__((noreturn));

enum { EXIT_FAILED = 1, EXIT_PORTABLE = 2, EXIT_FAULT = 70 };

void firmware_receive(uint8_t byte) { (void)byte; }

// failure.bin: i32 line, i32 case, and the condition.
void failed(const char *condition, int line, int number) {
    const int32_t where[2] = {line, number};
    const int32_t file = semihosting_open("failure.bin", SEMIHOSTING_WRITE);
    (void)semihosting_write(file, where, sizeof where);
    (void)semihosting_write(file, condition, strlen(condition));
    semihosting_exit(EXIT_FAILED);
}

int main(void) {
    if (board_last_fault()) semihosting_exit(EXIT_FAULT);
    semihosting_exit(test_kernels() ? 0 : EXIT_PORTABLE);
}
