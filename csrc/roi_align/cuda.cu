#include <torch/csrc/stable/library.h>

#include "../common/launch.h"
#include "op.h"

namespace maskrcnn {
namespace {

// One thread per element of the pooled tensor.
struct CudaLoops {
  template <typename T>
  static void forward(const RoiAlignForward<T>& forward, const Tensor& like) {
    const auto& op = forward.op;
    for_each_on_cuda(op.count * op.channels * op.bins(), like, forward);
  }

  template <typename T>
  static void backward(const RoiAlignBackward<T>& backward, const Tensor& like) {
    const auto& op = backward.op;
    for_each_on_cuda(op.count * op.channels * op.bins(), like, backward);
  }
};

}  // namespace
}  // namespace maskrcnn

STABLE_TORCH_LIBRARY_IMPL(maskrcnn_benchmark, CUDA, m) {
  using namespace maskrcnn;
  m.impl("roi_align", TORCH_BOX(&roi_align<CudaLoops>));
  m.impl("roi_align_backward", TORCH_BOX(&roi_align_backward<CudaLoops>));
}
