#include <torch/csrc/stable/library.h>

#include "../common/launch.h"
#include "op.h"

namespace maskrcnn {
namespace {

struct CudaLoops {
  static void paste(const PasteMasks& op, const Tensor& output) {
    for_each_on_cuda(output.numel(), output, op);
  }
};

}  // namespace
}  // namespace maskrcnn

STABLE_TORCH_LIBRARY_IMPL(maskrcnn_benchmark, CUDA, m) {
  using namespace maskrcnn;
  m.impl("paste_masks", TORCH_BOX(&paste_masks<CudaLoops>));
}
