#include <torch/csrc/stable/library.h>

#include "../common/loops.h"
#include "op.h"

namespace maskrcnn {
namespace {

constexpr int64_t kPairsPerThread = int64_t{1} << 18;  // about half a millisecond

struct CpuLoops {
  template <typename A>
  static void match(const BoxMatching<A>& op, int64_t blocks) {
    if (blocks == 0) return;
    const int64_t grain = larger<int64_t>(kPairsPerThread / (kBoxesAtOnce * op.gt_count), 1);
    for_each_on_cpu(blocks, grain, [&](int64_t block) noexcept { match_block(op, block); });
    for (int64_t block = 1; block < blocks; ++block) {
      for (int64_t g = 0; g < op.gt_count; ++g) {
        op.best_of_gt[g] = larger(op.best_of_gt[block * op.gt_count + g], op.best_of_gt[g]);
      }
    }
    A lowest = op.best_of_gt[0];
    for (int64_t g = 1; g < op.gt_count; ++g) lowest = smaller(op.best_of_gt[g], lowest);
    for_each_on_cpu(op.count, grain * kBoxesAtOnce,
                    [&](int64_t i) noexcept { mark_best(op, lowest, i); });
  }
};

}  // namespace
}  // namespace maskrcnn

STABLE_TORCH_LIBRARY_IMPL(maskrcnn_benchmark, CPU, m) {
  using namespace maskrcnn;
  m.impl("match_boxes", TORCH_BOX(&match_boxes<CpuLoops>));
}
