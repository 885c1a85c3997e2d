#include <torch/csrc/stable/library.h>

#include "../common/grouped_boxes_op.h"
#include "op.h"

namespace maskrcnn {
namespace {

constexpr int64_t kPairsPerThread = int64_t{1} << 16;  // about a millisecond

struct CpuLoops {
  template <typename A>
  static void lower(const SoftNms<A>& op, const Tensor&) {
    for_each_group_on_cpu(op.boxes, kPairsPerThread, [&](int64_t begin) noexcept { op(begin); });
  }
};

}  // namespace
}  // namespace maskrcnn

STABLE_TORCH_LIBRARY_IMPL(maskrcnn_benchmark, CPU, m) {
  using namespace maskrcnn;
  m.impl("soft_nms", TORCH_BOX(&soft_nms<CpuLoops>));
}
