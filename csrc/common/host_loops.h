// The parallel loop on the CPU for bodies that need memory of their own.
#pragma once

#include <atomic>
#include <new>
#include <stdexcept>
#include <string>

#include "loops.h"

namespace maskrcnn {

// Calls body(i) for i in [0, count) on the threads of torch. A body may throw std::bad_alloc, which
// the operator reports after the loop.
template <typename Body>
void for_each_with_memory(const char* op, int64_t count, const Body& body) {
  std::atomic<bool> failed = false;
  for_each_on_cpu(count, 1, [&](int64_t i) noexcept {
    try {
      body(i);
    } catch (const std::bad_alloc&) {
      failed = true;
    }
  });
  if (failed) throw std::runtime_error(std::string(op) + ": out of memory");
}

}  // namespace maskrcnn
