// Wider vectors where the CPU has them, without a build of its own for each CPU.
#pragma once

#include <cstdlib>
#include <cstring>

#if defined(__GNUC__)
#define MASKRCNN_INLINE inline __attribute__((always_inline))
#define MASKRCNN_INLINE_LAMBDA __attribute__((always_inline))
#else
#define MASKRCNN_INLINE inline
#define MASKRCNN_INLINE_LAMBDA
#endif

namespace maskrcnn {

#if defined(__GNUC__) && defined(__x86_64__)

template <typename Body>
__attribute__((target("avx2"))) void with_avx2(const Body& body) noexcept {
  body();
}

// MASKRCNN_BENCHMARK_NO_AVX2=1 stays with what every x86-64 has; the numbers are the same.
inline bool has_avx2() noexcept {
  static const bool result = [] {
    const char* without = std::getenv("MASKRCNN_BENCHMARK_NO_AVX2");
    return __builtin_cpu_supports("avx2") && (!without || std::strcmp(without, "1") != 0);
  }();
  return result;
}

#endif

// Calls body(), compiled for the widest vectors that this CPU has. Mark the body, and every
// function of ours that it calls in a loop, to be inlined: only what is inlined is compiled anew.
// Vectors change no number: a lane computes what a scalar would, and there are no fused
// multiply-adds.
template <typename Body>
void with_widest_vectors(const Body& body) noexcept {
#if defined(__GNUC__) && defined(__x86_64__)
  if (has_avx2()) return with_avx2(body);
#endif
  body();
}

}  // namespace maskrcnn
