// The rule of non-maximum suppression, in one place for CPU and CUDA.
#pragma once

#include <cstdint>

#include "box.h"

namespace maskrcnn {

// Boxes [N, 4] in the order (group, descending score). Boxes of different groups never meet.
template <typename A>
struct Nms {
  const A* boxes;
  const int64_t* groups;
  int64_t count;
  A threshold;
  A offset;

  MASKRCNN_HOST_DEVICE bool begins_group(int64_t i) const noexcept {
    return i == 0 || groups[i] != groups[i - 1];
  }

  MASKRCNN_HOST_DEVICE bool in_group(int64_t i, int64_t group) const noexcept {
    return i < count && groups[i] == group;
  }

  // Strictly above the threshold: a pair at exactly the threshold stays.
  MASKRCNN_HOST_DEVICE bool suppresses(int64_t better, int64_t worse) const noexcept {
    return box_iou(boxes + 4 * better, boxes + 4 * worse, offset) > threshold;
  }
};

}  // namespace maskrcnn
