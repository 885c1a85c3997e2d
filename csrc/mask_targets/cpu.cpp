#include <torch/csrc/stable/library.h>

#include "../common/host_loops.h"
#include "op.h"

namespace maskrcnn {
namespace {

struct CpuLoops {
  static void compute(const MaskTargets& targets, int64_t count) {
    for_each_with_memory("mask_targets", count, [&](int64_t r) {
      Rasterizer rasterizer;
      targets.compute(r, rasterizer);
    });
  }
};

}  // namespace
}  // namespace maskrcnn

STABLE_TORCH_LIBRARY_IMPL(maskrcnn_benchmark, CPU, m) {
  using namespace maskrcnn;
  m.impl("mask_targets", TORCH_BOX(&mask_targets<CpuLoops>));
}
