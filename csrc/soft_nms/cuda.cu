#include <torch/csrc/stable/library.h>

#include "../common/launch.h"
#include "op.h"

namespace maskrcnn {
namespace {

struct CudaLoops {
  template <typename A>
  static void lower(const SoftNms<A>& op, const Tensor& scores) {
    for_each_on_cuda(op.boxes.count, scores, op);
  }
};

}  // namespace
}  // namespace maskrcnn

STABLE_TORCH_LIBRARY_IMPL(maskrcnn_benchmark, CUDA, m) {
  using namespace maskrcnn;
  m.impl("soft_nms", TORCH_BOX(&soft_nms<CudaLoops>));
}
