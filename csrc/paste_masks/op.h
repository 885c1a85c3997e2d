// paste_masks as the dispatcher sees it: check, allocate, and let the device loop.
// Loops has paste(PasteMasks, like), which writes what is not 0 into its output [R, H, W].
#pragma once

#include "../common/mask_paste_op.h"
#include "kernel.h"

namespace maskrcnn {

template <typename Loops>
Tensor paste_masks(const Tensor& masks, const Tensor& boxes, int64_t height, int64_t width,
                   double threshold, int64_t padding, bool aligned) {
  const PasteRule rule =
      paste_rule("paste_masks", masks, boxes, height, width, threshold, padding, aligned);
  const ScalarType type = rule.threshold < 0 ? ScalarType::Byte : ScalarType::Bool;
  Tensor output = zeros(masks, {masks.size(0), height, width}, type);
  const Tensor cells = contiguous_as(masks, ScalarType::Float);
  const Tensor corners = contiguous_as(boxes, ScalarType::Float);
  const PasteMasks op = {.rule = rule,
                         .masks = cells.const_data_ptr<float>(),
                         .boxes = corners.const_data_ptr<float>(),
                         .output = static_cast<uint8_t*>(output.mutable_data_ptr())};
  Loops::paste(op, output);
  return output;
}

}  // namespace maskrcnn
