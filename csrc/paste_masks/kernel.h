// One pixel of a pasted mask, for devices that have a thread for each.
#pragma once

#include "../common/mask_paste.h"

namespace maskrcnn {

struct PasteMasks {
  PasteRule rule;
  const float* masks;  // [R, M, M]
  const float* boxes;  // [R, 4]
  uint8_t* output;     // [R, H, W]

  MASKRCNN_HOST_DEVICE float cell(const float* mask, int64_t row, int64_t column) const noexcept {
    const int64_t side = rule.mask_side;
    const bool outside = row < 0 || row >= side || column < 0 || column >= side;
    return outside ? 0.0f : mask[row * side + column];
  }

  MASKRCNN_HOST_DEVICE float along_x(const float* mask, int64_t row,
                                     const CellPair& columns) const noexcept {
    return PasteRule::mix(cell(mask, row, columns.low), cell(mask, row, columns.high),
                          columns.low_weight, columns.high_weight);
  }

  MASKRCNN_HOST_DEVICE void operator()(int64_t i) const noexcept { output[i] = pixel(i); }

  // Pixel `i` of [R, H, W]: whether it belongs to the mask, or the soft mask.
  MASKRCNN_HOST_DEVICE uint8_t pixel(int64_t i) const noexcept {
    const int64_t x = i % rule.width, y = i / rule.width % rule.height;
    const int64_t r = i / rule.width / rule.height;
    const float* box = boxes + 4 * r;
    if (!PasteRule::is_finite(box)) return 0;
    const PasteAxis columns = rule.axis(box[0], box[2], rule.width);
    const PasteAxis rows = rule.axis(box[1], box[3], rule.height);
    if (x < columns.first || x >= columns.last || y < rows.first || y >= rows.last) return 0;
    const float* mask = masks + r * rule.mask_side * rule.mask_side;
    const CellPair in_x = rule.cells_at(columns, x), in_y = rule.cells_at(rows, y);
    const float value =
        PasteRule::mix(along_x(mask, in_y.low, in_x), along_x(mask, in_y.high, in_x),
                       in_y.low_weight, in_y.high_weight);
    if (rule.threshold < 0) return PasteRule::soft(value);
    return rule.inside(value) ? 1 : 0;
  }
};

}  // namespace maskrcnn
