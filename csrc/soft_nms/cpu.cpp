#include <torch/csrc/stable/library.h>

#include "../common/grouped_boxes_op.h"
#include "op.h"

namespace maskrcnn {
namespace {

struct CpuLoops {
  template <typename A>
  static void lower(const SoftNms<A>& op, const Tensor&) {
    for_each_group_on_cpu(op.boxes, [&](int64_t begin) noexcept { op(begin); });
  }
};

}  // namespace
}  // namespace maskrcnn

STABLE_TORCH_LIBRARY_IMPL(maskrcnn_benchmark, CPU, m) {
  using namespace maskrcnn;
  m.impl("soft_nms", TORCH_BOX(&soft_nms<CpuLoops>));
}
