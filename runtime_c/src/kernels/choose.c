// The kernels of the machine at hand.
// SPDX-License-Identifier: Apache-2.0
#include "kernels.h"

#ifdef EDGE_AVX2
const edge_kernels_t *edge_kernels(void) {
    const int there = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
                      __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
    const int wide = there && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                     __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                     __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2");
    return wide ? edge_avx512_kernels() : there ? edge_avx2_kernels() : edge_portable_kernels();
}
#elif defined(EDGE_ARM_THUMB2)
const edge_kernels_t *edge_kernels(void) { return edge_arm_kernels(); }
#elif defined(EDGE_ARM_V6M)
const edge_kernels_t *edge_kernels(void) { return edge_v6m_kernels(); }
#elif defined(EDGE_RV32)
const edge_kernels_t *edge_kernels(void) { return edge_rv32_kernels(); }
#else
const edge_kernels_t *edge_kernels(void) { return edge_portable_kernels(); }
#endif
