// Boxes x1, y1, x2, y2 in pixels, of width x2 - x1 + offset. The offset is 1 for inclusive boxes
// (the legacy convention) and 0 for continuous coordinates.
#pragma once

#include "host_device.h"

namespace maskrcnn {

template <typename A>
MASKRCNN_HOST_DEVICE A box_area(const A* box, A offset) noexcept {
  return (box[2] - box[0] + offset) * (box[3] - box[1] + offset);
}

template <typename A>
MASKRCNN_HOST_DEVICE A box_iou(const A* a, const A* b, A offset) noexcept {
  const A width = smaller(a[2], b[2]) - larger(a[0], b[0]) + offset;
  const A height = smaller(a[3], b[3]) - larger(a[1], b[1]) + offset;
  const A common = larger(width, A(0)) * larger(height, A(0));
  return common / (box_area(a, offset) + box_area(b, offset) - common);
}

}  // namespace maskrcnn
