// The pixels of one pasted mask on the CPU, a row of the image after the other.
#pragma once

#include <cstdint>
#include <vector>

#include "mask_paste.h"
#include "vectorized.h"

namespace maskrcnn {

// Two rows of cells and their weights.
struct Mix {
  const float *low, *high;
  float low_weight, high_weight;
  int64_t count;

  float operator[](int64_t i) const noexcept {
    return PasteRule::mix(low[i], high[i], low_weight, high_weight);
  }
};

template <bool aligned>
MASKRCNN_VECTORIZED static void compare_row(const Mix& mix, float threshold,
                                            uint8_t* out) noexcept {
  const Mix row = mix;  // whose members `out` cannot alias
  for (int64_t i = 0; i < row.count; ++i) {
    out[i] = aligned ? row[i] >= threshold : row[i] > threshold;
  }
}

// The mask is interpolated along x once, for all its rows; a row of the image is then a mix of two
// of them. May throw std::bad_alloc while it is made, and never after.
class MaskRows {
 public:
  // Keeps `rule` and the values of `mask` [M, M], not the pointers.
  MaskRows(const PasteRule& rule, const float* mask, const float* box) : rule_(rule) {
    if (!PasteRule::is_finite(box)) return;
    columns_ = rule.axis(box[0], box[2], rule.width);
    rows_ = rule.axis(box[1], box[3], rule.height);
    if (empty()) return;
    interpolate_along_x(mask);
  }

  bool empty() const { return columns_.last <= columns_.first || rows_.last <= rows_.first; }
  int64_t left() const { return columns_.first; }
  int64_t top() const { return rows_.first; }
  int64_t bottom() const { return rows_.last; }
  int64_t width() const { return columns_.last - columns_.first; }

  // out[i] = 1 where pixel left() + i of row y belongs to the mask, else 0.
  void inside(int64_t y, uint8_t* out) const noexcept {
    const Mix mix = rows_of(y);
    if (rule_.aligned) {
      compare_row<true>(mix, rule_.threshold, out);
    } else {
      compare_row<false>(mix, rule_.threshold, out);
    }
  }

  // out[i]: the soft mask there.
  void soft(int64_t y, uint8_t* out) const noexcept {
    const Mix mix = rows_of(y);
    for (int64_t i = 0; i < mix.count; ++i) out[i] = PasteRule::soft(mix[i]);
  }

 private:
  Mix rows_of(int64_t y) const noexcept {
    const CellPair cells = rule_.cells_at(rows_, y);
    return {row(cells.low), row(cells.high), cells.low_weight, cells.high_weight, width()};
  }

  // Row -1 and row M stand for all zeros around the mask.
  const float* row(int64_t cell) const noexcept {
    return values_.data() + (larger<int64_t>(smaller(cell, rule_.mask_side), -1) + 1) * width();
  }

  void interpolate_along_x(const float* mask) {
    const int64_t side = rule_.mask_side, count = width();
    values_.assign((side + 2) * count, 0.0f);
    std::vector<float> padded(side + 2, 0.0f);
    std::vector<CellPair> cells(count);
    for (int64_t i = 0; i < count; ++i) {
      cells[i] = rule_.cells_at(columns_, columns_.first + i);
      cells[i].low = larger<int64_t>(smaller(cells[i].low, side), -1) + 1;
      cells[i].high = larger<int64_t>(smaller(cells[i].high, side), -1) + 1;
    }
    for (int64_t r = 0; r < side; ++r) {
      for (int64_t c = 0; c < side; ++c) padded[c + 1] = mask[r * side + c];
      float* out = values_.data() + (r + 1) * count;
      for (int64_t i = 0; i < count; ++i) {
        out[i] = PasteRule::mix(padded[cells[i].low], padded[cells[i].high], cells[i].low_weight,
                                cells[i].high_weight);
      }
    }
  }

  PasteRule rule_;
  PasteAxis columns_ = {}, rows_ = {};
  std::vector<float> values_;  // [M + 2, width()]
};

}  // namespace maskrcnn
