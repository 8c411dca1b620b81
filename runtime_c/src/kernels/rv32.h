// Whether the kernels of RV32IM apply.
// SPDX-License-Identifier: Apache-2.0
#ifndef EDGE_RV32_H
#define EDGE_RV32_H

#if defined(__riscv) && __riscv_xlen == 32 && defined(__riscv_mul) && !defined(__riscv_32e) && \
    !defined(EDGE_PORTABLE) && !defined(EDGE_SMALL)
#define EDGE_RV32 1
#endif

#endif
