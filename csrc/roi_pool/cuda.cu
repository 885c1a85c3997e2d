#include <torch/csrc/stable/library.h>

#include "../common/launch.h"
#include "op.h"

namespace maskrcnn {
namespace {

// One thread per element of the pooled tensor.
struct CudaLoops {
  template <typename T>
  static void forward(const RoiPoolForward<T>& forward, const Tensor& like) {
    for_each_on_cuda(forward.op.pooled_elements(), like, forward);
  }

  template <typename T>
  static void backward(const RoiPoolBackward<T>& backward, const Tensor& like) {
    for_each_on_cuda(backward.count * backward.channels * backward.bins, like, backward);
  }
};

}  // namespace
}  // namespace maskrcnn

STABLE_TORCH_LIBRARY_IMPL(maskrcnn_benchmark, CUDA, m) {
  using namespace maskrcnn;
  m.impl("roi_pool", TORCH_BOX(&roi_pool<CudaLoops>));
  m.impl("roi_pool_backward", TORCH_BOX(&roi_pool_backward<CudaLoops>));
}
