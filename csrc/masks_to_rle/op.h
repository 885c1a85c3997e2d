// masks_to_rle as the dispatcher sees it: check, allocate, and join the texts of the masks.
// Loops has encode(rule, masks, boxes, texts), which writes the text of each mask.
#pragma once

#include <cstring>
#include <string>
#include <tuple>
#include <vector>

#include "../common/mask_paste_op.h"
#include "kernel.h"

namespace maskrcnn {

template <typename Loops>
std::tuple<Tensor, Tensor> masks_to_rle(const Tensor& masks, const Tensor& boxes, int64_t height,
                                        int64_t width, double threshold, int64_t padding,
                                        bool aligned) {
  const PasteRule rule =
      paste_rule("masks_to_rle", masks, boxes, height, width, threshold, padding, aligned);
  check(rule.threshold >= 0, "masks_to_rle", "expected threshold >= 0, got ", threshold,
        ": soft masks have no RLE");
  const Tensor cells = contiguous_as(masks, ScalarType::Float);
  const Tensor corners = contiguous_as(boxes, ScalarType::Float);
  std::vector<std::string> texts(masks.size(0));
  Loops::encode(rule, cells.const_data_ptr<float>(), corners.const_data_ptr<float>(), texts);

  Tensor offsets = torch::stable::new_empty(masks, {masks.size(0) + 1}, ScalarType::Long);
  int64_t* ends = offsets.mutable_data_ptr<int64_t>();
  ends[0] = 0;
  for (size_t r = 0; r < texts.size(); ++r) {
    ends[r + 1] = ends[r] + static_cast<int64_t>(texts[r].size());
  }
  Tensor counts = torch::stable::new_empty(masks, {ends[texts.size()]}, ScalarType::Byte);
  uint8_t* bytes = counts.mutable_data_ptr<uint8_t>();
  for (size_t r = 0; r < texts.size(); ++r) {
    std::memcpy(bytes + ends[r], texts[r].data(), texts[r].size());
  }
  return {counts, offsets};
}

}  // namespace maskrcnn
