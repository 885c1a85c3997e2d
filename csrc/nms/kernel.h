// The rule of non-maximum suppression, in one place for CPU and CUDA.
#pragma once

#include "../common/grouped_boxes.h"

namespace maskrcnn {

template <typename A>
struct Nms {
  GroupedBoxes<A> boxes;
  A threshold;

  // Strictly above the threshold: a pair at exactly the threshold stays.
  MASKRCNN_HOST_DEVICE bool suppresses(int64_t better, int64_t worse) const noexcept {
    return boxes.iou(better, worse) > threshold;
  }
};

}  // namespace maskrcnn
