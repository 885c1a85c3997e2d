// Boxes of several groups (classes, levels, images) in one array.
#pragma once

#include <cstdint>

#include "box.h"

namespace maskrcnn {

// Boxes [N, 4] sorted by group and descending score. Boxes of different groups never interact.
template <typename A>
struct GroupedBoxes {
  const A* boxes;
  const int64_t* groups;
  int64_t count;
  A offset;

  MASKRCNN_HOST_DEVICE bool begins_group(int64_t i) const noexcept {
    return i == 0 || groups[i] != groups[i - 1];
  }

  MASKRCNN_HOST_DEVICE bool in_group(int64_t i, int64_t group) const noexcept {
    return i < count && groups[i] == group;
  }

  MASKRCNN_HOST_DEVICE A iou(int64_t i, int64_t j) const noexcept {
    return box_iou(boxes + 4 * i, boxes + 4 * j, offset);
  }
};

}  // namespace maskrcnn
