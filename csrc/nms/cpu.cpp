#include <torch/csrc/stable/library.h>

#include "../common/grouped_boxes_op.h"
#include "kept_boxes.h"
#include "op.h"

namespace maskrcnn {
namespace {

// Number of candidates of a group that all threads compare with the boxes kept so far, before one
// thread selects among them. Small enough for an early exit by `max_keep`, large enough for threads
// to pay off.
constexpr int64_t kBlock = 1024;
constexpr int64_t kCandidatesPerThread = 128;
constexpr int64_t kPairsPerThread = int64_t{1} << 22;  // about a millisecond

// Greedy NMS in the group that begins at `begin`: a box is kept if no kept box suppresses it.
template <typename A>
void suppress_group(const Nms<A>& op, int64_t begin, KeptBoxes<A> kept, bool* keep) noexcept {
  const int64_t group = op.boxes.groups[begin];
  int64_t block = begin;
  while (op.boxes.in_group(block, group) && !op.is_full(kept.count)) {
    int64_t end = block + 1;
    while (end < block + kBlock && op.boxes.in_group(end, group)) ++end;
    const int64_t before = kept.count;
    if (before > 0) {
      for_each_on_cpu(end - block, kCandidatesPerThread, [&](int64_t c) noexcept {
        keep[block + c] = !is_suppressed(op, kept, 0, block + c);
      });
    }
    for (int64_t i = block; i < end; ++i) {
      keep[i] = keep[i] && !op.is_full(kept.count) && !is_suppressed(op, kept, before, i);
      if (keep[i]) kept.add(op.boxes, i);
    }
    block = end;
  }
  for (; op.boxes.in_group(block, group); ++block) keep[block] = false;
}

struct CpuLoops {
  template <typename A>
  static void suppress(const Nms<A>& op, const Tensor& keep) {
    const int64_t count = op.boxes.count;
    bool* kept = keep.mutable_data_ptr<bool>();
    const Tensor columns = torch::stable::new_empty(
        keep, {5, count}, torch::headeronly::CppTypeToScalarType<A>::value);
    const Tensor index = torch::stable::new_empty(keep, {count}, ScalarType::Long);
    A* column = columns.mutable_data_ptr<A>();
    int64_t* indices = index.mutable_data_ptr<int64_t>();
    for_each_group_on_cpu(op.boxes, kPairsPerThread, [&](int64_t begin) noexcept {
      A* first = column + begin;
      suppress_group(op, begin,
                     KeptBoxes<A>{first, first + count, first + 2 * count, first + 3 * count,
                                  first + 4 * count, indices + begin},
                     kept);
    });
  }
};

}  // namespace
}  // namespace maskrcnn

STABLE_TORCH_LIBRARY_IMPL(maskrcnn_benchmark, CPU, m) {
  using namespace maskrcnn;
  m.impl("nms", TORCH_BOX(&nms<CpuLoops>));
}
