// Sums over cells for many channels, or many cells of a row, at once.
#pragma once

#include <cstdint>
#include <span>

#include "taps.h"

// A function that is inlined into each version of its caller, see common/vectorized.h.
#if defined(__GNUC__)
#define MASKRCNN_INLINE inline __attribute__((always_inline))
#else
#define MASKRCNN_INLINE inline
#endif

namespace maskrcnn {

// sums[i] = weights[0] * values[0][i] + weights[1] * values[1][i] + ..., in this order.
template <int kTerms, typename T, typename A>
MASKRCNN_INLINE void weighted_sums(A* __restrict sums, const T* const (&values)[kTerms],
                                   const A (&weights)[kTerms], int64_t count) noexcept {
  for (int64_t i = 0; i < count; ++i) {
    A sum = weights[0] * static_cast<A>(values[0][i]);
    for (int k = 1; k < kTerms; ++k) sum += weights[k] * static_cast<A>(values[k][i]);
    sums[i] = sum;
  }
}

// sums[i] += weight * values[i]
template <typename T, typename A>
MASKRCNN_INLINE void add_weighted(A* __restrict sums, const T* __restrict values, A weight,
                                  int64_t count) noexcept {
  for (int64_t i = 0; i < count; ++i) sums[i] += weight * static_cast<A>(values[i]);
}

template <int kTerms, typename T, typename A>
MASKRCNN_INLINE void weighted_sums(A* __restrict sums, const T* values, int64_t stride,
                                   const Tap<A>* taps, int64_t count) noexcept {
  const T* pointers[kTerms];
  A weights[kTerms];
  for (int k = 0; k < kTerms; ++k) {
    pointers[k] = values + taps[k].cell * stride;
    weights[k] = taps[k].weight;
  }
  weighted_sums<kTerms>(sums, pointers, weights, count);
}

// sums[i] = the sum of tap.weight * values[tap.cell * stride + i] over the taps.
template <typename T, typename A>
MASKRCNN_INLINE void sum_taps(A* __restrict sums, const T* values, int64_t stride,
                              std::span<const Tap<A>> taps, int64_t count) noexcept {
  switch (taps.size()) {
    case 0:
      for (int64_t i = 0; i < count; ++i) sums[i] = A(0);
      return;
    case 1:
      return weighted_sums<1>(sums, values, stride, taps.data(), count);
    case 2:
      return weighted_sums<2>(sums, values, stride, taps.data(), count);
    case 3:
      return weighted_sums<3>(sums, values, stride, taps.data(), count);
    default:
      weighted_sums<4>(sums, values, stride, taps.data(), count);
  }
  for (const Tap<A>& tap : taps.subspan(4)) {
    add_weighted(sums, values + tap.cell * stride, tap.weight, count);
  }
}

// values[tap.cell * stride + i] += tap.weight * sums[i] for the taps: the transpose of sum_taps.
template <typename A>
MASKRCNN_INLINE void spread_taps(const A* sums, A* values, int64_t stride,
                                 std::span<const Tap<A>> taps, int64_t count) noexcept {
  for (const Tap<A>& tap : taps) {
    add_weighted(values + tap.cell * stride, sums, tap.weight, count);
  }
}

}  // namespace maskrcnn
