#include <torch/csrc/stable/library.h>

#include "../common/host_loops.h"
#include "op.h"

namespace maskrcnn {
namespace {

struct CpuLoops {
  static void encode(const PasteRule& rule, const float* masks, const float* boxes,
                     std::vector<std::string>& texts) {
    const int64_t cells = rule.mask_side * rule.mask_side;
    for_each_with_memory("masks_to_rle", static_cast<int64_t>(texts.size()), [&](int64_t r) {
      texts[r] = mask_to_rle(rule, masks + r * cells, boxes + 4 * r);
    });
  }
};

}  // namespace
}  // namespace maskrcnn

STABLE_TORCH_LIBRARY_IMPL(maskrcnn_benchmark, CPU, m) {
  using namespace maskrcnn;
  m.impl("masks_to_rle", TORCH_BOX(&masks_to_rle<CpuLoops>));
}
