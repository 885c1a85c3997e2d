#include <torch/csrc/stable/library.h>

#include "../common/grouped_boxes_op.h"
#include "op.h"

namespace maskrcnn {
namespace {

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
  static void lower(const SoftNms<A>& op, const Tensor&) {
    for_each_group_on_cpu(op.boxes, [&](int64_t begin) noexcept { lower_group(op, begin); });
  }
};

}  // namespace
}  // namespace maskrcnn

STABLE_TORCH_LIBRARY_IMPL(maskrcnn_benchmark, CPU, m) {
  using namespace maskrcnn;
  m.impl("soft_nms", TORCH_BOX(&soft_nms<CpuLoops>));
}
