#include <torch/csrc/stable/library.h>

#include "../common/grouped_boxes_op.h"
#include "op.h"

namespace maskrcnn {
namespace {

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

struct CpuLoops {
  template <typename A>
  static void suppress(const Nms<A>& op, const Tensor& keep) {
    bool* kept = keep.mutable_data_ptr<bool>();
    for_each_group_on_cpu(op.boxes,
                          [&](int64_t begin) noexcept { suppress_group(op, begin, kept); });
  }
};

}  // namespace
}  // namespace maskrcnn

STABLE_TORCH_LIBRARY_IMPL(maskrcnn_benchmark, CPU, m) {
  using namespace maskrcnn;
  m.impl("nms", TORCH_BOX(&nms<CpuLoops>));
}
