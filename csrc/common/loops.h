// Parallel loops on the CPU.
#pragma once

#include <torch/csrc/stable/ops.h>

#include <cstdint>
#include <type_traits>

namespace maskrcnn {

// Calls body(begin, end) for chunks of [0, count) of at least `grain` indices, one thread per
// chunk. Different indices must not write to the same memory, so that the result does not depend on
// the number of threads. The body must not throw, because exceptions may not leave a parallel
// region.
template <typename Body>
void for_each_range_on_cpu(int64_t count, int64_t grain, const Body& body) {
  static_assert(std::is_nothrow_invocable_v<const Body&, int64_t, int64_t>,
                "mark the body noexcept");
  torch::stable::parallel_for(0, count, grain,
                              [&body](int64_t begin, int64_t end) { body(begin, end); });
}

// Calls body(i) for i in [0, count), in parallel chunks as above.
template <typename Body>
void for_each_on_cpu(int64_t count, int64_t grain, const Body& body) {
  static_assert(std::is_nothrow_invocable_v<const Body&, int64_t>, "mark the body noexcept");
  for_each_range_on_cpu(count, grain, [&body](int64_t begin, int64_t end) noexcept {
    for (int64_t i = begin; i < end; ++i) body(i);
  });
}

}  // namespace maskrcnn
