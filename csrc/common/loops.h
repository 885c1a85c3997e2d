// The parallel loop on the CPU.
#pragma once

#include <torch/csrc/stable/ops.h>

#include <cstdint>
#include <type_traits>

namespace maskrcnn {

// Calls body(begin, end) for parts of [0, count), a thread each, of at least `grain` indices.
// A body writes to nothing that another index touches, so the result does not depend on the number
// of threads, and it never throws: an exception may not leave a parallel region.
template <typename Body>
void for_each_range_on_cpu(int64_t count, int64_t grain, const Body& body) {
  static_assert(std::is_nothrow_invocable_v<const Body&, int64_t, int64_t>,
                "mark the body noexcept");
  torch::stable::parallel_for(0, count, grain,
                              [&body](int64_t begin, int64_t end) { body(begin, end); });
}

// Calls body(i) for i in [0, count) in the same way.
template <typename Body>
void for_each_on_cpu(int64_t count, int64_t grain, const Body& body) {
  static_assert(std::is_nothrow_invocable_v<const Body&, int64_t>, "mark the body noexcept");
  for_each_range_on_cpu(count, grain, [&body](int64_t begin, int64_t end) noexcept {
    for (int64_t i = begin; i < end; ++i) body(i);
  });
}

}  // namespace maskrcnn
