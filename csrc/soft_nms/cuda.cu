#include <torch/csrc/stable/library.h>

#include "../common/launch.h"
#include "op.h"

namespace maskrcnn {
namespace {

// The best of what the threads bring, for all of them.
template <typename A>
__device__ int64_t best_of_block(const SoftNms<A>& op, int64_t mine) {
  __shared__ int64_t found[kThreadsPerBlock];
  found[threadIdx.x] = mine;
  for (unsigned int half = blockDim.x / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) {
      found[threadIdx.x] = op.better(found[threadIdx.x], found[threadIdx.x + half]);
    }
  }
  __syncthreads();
  const int64_t best = found[0];
  __syncthreads();  // all have read it before the next round writes
  return best;
}

// One block a group: the block of the first box of a group does the whole group, the others leave.
// A thread has every 256th box of the group as its own: it alone lowers and picks them, the others
// read a score only when the barriers of best_of_block are behind it.
template <typename A>
__global__ void lower_group(const SoftNms<A> op) {
  const int64_t begin = blockIdx.x;
  if (!op.boxes.begins_group(begin)) return;
  const int64_t group = op.boxes.groups[begin];
  const int64_t first = begin + threadIdx.x;
  int64_t best = begin;  // the scores come in descending order
  while (!op.is_last_pick(best)) {
    int64_t next = -1;
    for (int64_t j = first; op.boxes.in_group(j, group); j += blockDim.x) {
      if (j == best) op.picked[j] = true;
      if (op.picked[j]) continue;
      op.lower(best, j);
      next = op.better(next, j);
    }
    best = best_of_block(op, next);
  }
}

struct CudaLoops {
  template <typename A>
  static void lower(const SoftNms<A>& op, const Tensor& scores) {
    if (op.boxes.count == 0) return;
    launch(lower_group<A>, op.boxes.count, scores, op);
  }
};

}  // namespace
}  // namespace maskrcnn

STABLE_TORCH_LIBRARY_IMPL(maskrcnn_benchmark, CUDA, m) {
  using namespace maskrcnn;
  m.impl("soft_nms", TORCH_BOX(&soft_nms<CudaLoops>));
}
