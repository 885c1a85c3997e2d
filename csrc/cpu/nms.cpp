#include <torch/csrc/stable/library.h>

#include <vector>

#include "../common/for_each.h"
#include "../common/nms_op.h"

namespace maskrcnn {
namespace {

// Calls body(begin) for the first box of each group; a thread has groups of its own.
template <typename A, typename Body>
void for_each_group(const GroupedBoxes<A>& boxes, const Body& body) {
  std::vector<int64_t> begins;
  for (int64_t i = 0; i < boxes.count; ++i) {
    if (boxes.begins_group(i)) begins.push_back(i);
  }
  for_each_on_cpu(static_cast<int64_t>(begins.size()), 1,
                  [&](int64_t g) noexcept { body(begins[g]); });
}

// Greedy, in the group that begins at `begin`: every box still kept strikes out later ones.
template <typename A>
void suppress_group(const Nms<A>& op, int64_t begin, bool* keep) noexcept {
  const int64_t group = op.boxes.groups[begin];
  for (int64_t i = begin; op.boxes.in_group(i, group); ++i) {
    if (!keep[i]) continue;
    for (int64_t j = i + 1; op.boxes.in_group(j, group); ++j) {
      if (keep[j] && op.suppresses(i, j)) keep[j] = false;
    }
  }
}

// Picks in the group that begins at `begin`; the pass that lowers the others finds the next pick.
template <typename A>
void lower_group(const SoftNms<A>& op, int64_t begin) noexcept {
  const int64_t group = op.boxes.groups[begin];
  int64_t best = begin;  // the scores come in descending order
  while (!op.is_last_pick(best)) {
    op.picked[best] = true;
    int64_t next = -1;
    for (int64_t j = begin; op.boxes.in_group(j, group); ++j) {
      if (op.picked[j]) continue;
      op.lower(best, j);
      next = op.better(next, j);
    }
    best = next;
  }
}

struct CpuLoops {
  template <typename A>
  static void suppress(const Nms<A>& op, const Tensor& keep) {
    bool* kept = keep.mutable_data_ptr<bool>();
    for_each_group(op.boxes, [&](int64_t begin) noexcept { suppress_group(op, begin, kept); });
  }

  template <typename A>
  static void lower(const SoftNms<A>& op, const Tensor&) {
    for_each_group(op.boxes, [&](int64_t begin) noexcept { lower_group(op, begin); });
  }
};

}  // namespace
}  // namespace maskrcnn

STABLE_TORCH_LIBRARY_IMPL(maskrcnn_benchmark, CPU, m) {
  using namespace maskrcnn;
  m.impl("nms", TORCH_BOX(&nms<CpuLoops>));
  m.impl("soft_nms", TORCH_BOX(&soft_nms<CpuLoops>));
}
