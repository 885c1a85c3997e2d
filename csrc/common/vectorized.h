// Kernels that are compiled several times over, for wider and wider vectors; the loader takes the
// widest that the CPU has.
#pragma once

// Put before a function, a template too, whose loops are worth it; what it calls must be inlined
// into it to be a part of the copies. Every copy gives the same bits: the build forbids contraction
// to fused multiply-adds (-ffp-contract=off) and reordered sums, whatever a CPU offers.
//
// GCC with glibc on x86-64 can do that; elsewhere there is one copy, for the baseline of the
// platform. -DMASKRCNN_VECTORIZED= at the build asks for one copy everywhere.
#if !defined(MASKRCNN_VECTORIZED)
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__CUDACC__)
#define MASKRCNN_VECTORIZED __attribute__((target_clones("default", "avx2", "avx512f")))
#else
#define MASKRCNN_VECTORIZED
#endif
#endif
