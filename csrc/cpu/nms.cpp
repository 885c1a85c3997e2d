#include <torch/csrc/stable/library.h>

#include <vector>

#include "../common/for_each.h"
#include "../common/nms_op.h"

namespace maskrcnn {
namespace {

// Greedy, in the group that begins at `begin`: every box still kept strikes out later ones.
template <typename A>
void suppress_group(const Nms<A>& op, int64_t begin, bool* keep) noexcept {
  const int64_t group = op.groups[begin];
  for (int64_t i = begin; op.in_group(i, group); ++i) {
    if (!keep[i]) continue;
    for (int64_t j = i + 1; op.in_group(j, group); ++j) {
      if (keep[j] && op.suppresses(i, j)) keep[j] = false;
    }
  }
}

// A thread has groups of its own.
struct CpuLoops {
  template <typename A>
  static void suppress(const Nms<A>& op, const Tensor& keep) {
    std::vector<int64_t> begins;
    for (int64_t i = 0; i < op.count; ++i) {
      if (op.begins_group(i)) begins.push_back(i);
    }
    bool* kept = keep.mutable_data_ptr<bool>();
    for_each_on_cpu(static_cast<int64_t>(begins.size()), 1,
                    [&](int64_t g) noexcept { suppress_group(op, begins[g], kept); });
  }
};

}  // namespace
}  // namespace maskrcnn

STABLE_TORCH_LIBRARY_IMPL(maskrcnn_benchmark, CPU, m) {
  using namespace maskrcnn;
  m.impl("nms", TORCH_BOX(&nms<CpuLoops>));
}
