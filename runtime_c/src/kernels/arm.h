// Which kernels of an Arm core apply, and how their assembly is written.
// SPDX-License-Identifier: Apache-2.0
#ifndef EDGE_ARM_H
#define EDGE_ARM_H

#if defined(__ARM_ARCH_PROFILE) && defined(__ARMEL__) && !defined(EDGE_PORTABLE) && !defined(EDGE_SMALL)
#if defined(__ARM_ARCH_6M__)
#define EDGE_ARM_V6M 1  // M0, M0+
#elif __ARM_ARCH_PROFILE == 'M' && defined(__thumb2__)
#define EDGE_ARM_THUMB2 1  // M3, M4, M7, M33, and what comes after them
#if defined(__ARM_FEATURE_DSP)
#define EDGE_ARM_DSP 1  // all but M3 and those built without
#define EDGE_LANES 1    // words of eps hold two lanes
#endif
#if defined(__ARM_FEATURE_MVE) && defined(__ARM_FEATURE_DSP)
#define EDGE_ARM_HELIUM 1  // M55, M85
#endif
#endif
#endif

// clang-format off
#ifdef __ASSEMBLER__
// Fields of edge_firing_t and edge_threshold_t.
#define FIRING_THRESHOLD 8
#define FIRING_T 12
#define FIRING_HISTORY 16
#define FIRING_BYTES 24
#define FIRING_BIT 28
#define FIRING_GATE_WIDTH 32
#define THRESHOLD_ALPHA 12

.macro FUNCTION name
    .section .text.\name, "ax", %progbits
    .global \name
    .type   \name, %function
    .thumb_func
    .balign 4
\name:
.endm

.macro END name
    .size   \name, . - \name
.endm
#endif
// clang-format on

#endif
