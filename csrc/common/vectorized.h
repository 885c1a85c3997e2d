// Function multiversioning: kernels are compiled for several vector widths, and the loader selects
// the widest that the CPU supports.
#pragma once

// Put this before a function or template with hot loops; functions that it calls are vectorized
// only if they are inlined. All versions give identical results, because the build disables
// contraction to fused multiply-adds (-ffp-contract=off) and reordering of sums.
//
// This needs GCC with glibc on x86-64; elsewhere there is one version for the baseline of the
// platform. Building with -DMASKRCNN_VECTORIZED= gives a single version everywhere.
#if !defined(MASKRCNN_VECTORIZED)
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__CUDACC__)
#define MASKRCNN_VECTORIZED __attribute__((target_clones("default", "avx2", "avx512f")))
#else
#define MASKRCNN_VECTORIZED
#endif
#endif
