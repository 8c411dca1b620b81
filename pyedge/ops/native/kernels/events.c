// Lists of events from bits; compiled once per instruction set.
#include "simd.h"
#include "table.h"

int32_t ISA(count_bits)(const uint8_t *bits, int32_t *start, int rows, int row);
void ISA(list_bits)(const uint8_t *bits, uint16_t *index, const uint16_t *end, int rows, int row);

static uint64_t word(const uint8_t *bytes) {
    uint64_t x;
    memcpy(&x, bytes, sizeof x);
    return x;
}

int32_t ISA(count_bits)(const uint8_t *bits, int32_t *start, int rows, int row) {
    int32_t total = 0;
    for (int r = 0; r < rows; r++, bits += row) {
        start[r] = total;
        for (int n = 0; n < row; n += 8) {
            total += __builtin_popcountll(word(bits + n));
        }
    }
    start[rows] = total;
    return total;
}

void ISA(list_bits)(const uint8_t *bits, uint16_t *index, const uint16_t *end, int rows, int row) {
    for (int r = 0; r < rows; r++, bits += row) {
        for (int n = 0; n < row; n += 8) {
            uint64_t w = word(bits + n);
#if WIDTH == 16
            // Without a branch by the number of bits; what is written too much, the next overwrites.
            if (w && end - index >= 64) {
                for (int k = 0; k < 64; k += 16, w >>= 16) {
                    store_lanes(index, (mask)(w & 0xFFFFU), n * 8 + k);
                    index += count_bits((mask)(w & 0xFFFFU));
                }
            }
#endif
            for (; w; w &= w - 1) {
                *index++ = (uint16_t)(n * 8 + __builtin_ctzll(w));
            }
        }
    }
    (void)end;
}
