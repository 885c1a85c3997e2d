// Definitions that let g++ and nvcc share headers.
#pragma once

#include <type_traits>

#if defined(__CUDACC__)
#define MASKRCNN_HOST_DEVICE __host__ __device__ inline
#else
#define MASKRCNN_HOST_DEVICE inline
#endif

namespace maskrcnn {

// The type in which values of type T are computed and summed: double for double, float otherwise.
template <typename T>
using Accumulator = std::conditional_t<std::is_same_v<T, double>, double, float>;

// *target += value; atomic on the device, where several threads may write to the same target. On
// the host each target belongs to one thread.
template <typename A>
MASKRCNN_HOST_DEVICE void accumulate(A* target, A value) noexcept {
#if defined(__CUDA_ARCH__)
  atomicAdd(target, value);
#else
  *target += value;
#endif
}

template <typename A>
MASKRCNN_HOST_DEVICE A larger(A a, A b) noexcept {
  return a > b ? a : b;
}

template <typename A>
MASKRCNN_HOST_DEVICE A smaller(A a, A b) noexcept {
  return a < b ? a : b;
}

}  // namespace maskrcnn
