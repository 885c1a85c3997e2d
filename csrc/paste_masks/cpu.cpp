#include <torch/csrc/stable/library.h>

#include "../common/host_loops.h"
#include "../common/mask_rows.h"
#include "op.h"

namespace maskrcnn {
namespace {

void paste_one(const PasteMasks& op, int64_t r) {
  const PasteRule& rule = op.rule;
  uint8_t* plane = op.output + r * rule.height * rule.width;
  const MaskRows rows(rule, op.masks + r * rule.mask_side * rule.mask_side, op.boxes + 4 * r);
  if (rows.empty()) return;
  for (int64_t y = rows.top(); y < rows.bottom(); ++y) {
    uint8_t* out = plane + y * rule.width + rows.left();
    if (rule.threshold < 0) {
      rows.soft(y, out);
    } else {
      rows.inside(y, out);
    }
  }
}

struct CpuLoops {
  static void paste(const PasteMasks& op, const Tensor& output) {
    for_each_with_memory("paste_masks", output.size(0), [&](int64_t r) { paste_one(op, r); });
  }
};

}  // namespace
}  // namespace maskrcnn

STABLE_TORCH_LIBRARY_IMPL(maskrcnn_benchmark, CPU, m) {
  using namespace maskrcnn;
  m.impl("paste_masks", TORCH_BOX(&paste_masks<CpuLoops>));
}
