#include <torch/csrc/stable/library.h>

#include "../common/launch.h"
#include "op.h"

namespace maskrcnn {
namespace {

// One block a group: the block of the first box of a group does the whole group, the others leave.
// The threads share out the later boxes of each kept one and meet before the next, so no memory
// beyond `keep` is needed and nothing waits for the host.
template <typename A>
__global__ void suppress_group(const Nms<A> op, bool* keep) {
  const int64_t begin = blockIdx.x;
  if (!op.boxes.begins_group(begin)) return;
  const int64_t group = op.boxes.groups[begin];
  for (int64_t i = begin; op.boxes.in_group(i, group); ++i) {
    if (keep[i]) {
      for (int64_t j = i + 1 + threadIdx.x; op.boxes.in_group(j, group); j += blockDim.x) {
        if (keep[j] && op.suppresses(i, j)) keep[j] = false;
      }
    }
    __syncthreads();
  }
}

struct CudaLoops {
  template <typename A>
  static void suppress(const Nms<A>& op, const Tensor& keep) {
    if (op.boxes.count == 0) return;
    launch(suppress_group<A>, op.boxes.count, keep, op, keep.mutable_data_ptr<bool>());
  }
};

}  // namespace
}  // namespace maskrcnn

STABLE_TORCH_LIBRARY_IMPL(maskrcnn_benchmark, CUDA, m) {
  using namespace maskrcnn;
  m.impl("nms", TORCH_BOX(&nms<CudaLoops>));
}
