// The registered op nms: checks arguments, allocates, and runs the loop of the device.
// Loops has suppress(Nms<A>, keep), which clears suppressed boxes in keep [N] bool.
#pragma once

#include "../common/checks.h"
#include "../common/grouped_boxes_op.h"
#include "kernel.h"

namespace maskrcnn {

template <typename Loops>
Tensor nms(const Tensor& boxes, const Tensor& groups, double threshold, double pixel_offset,
           int64_t max_keep) {
  check_grouped_boxes("nms", boxes, groups);
  check(threshold == threshold, "nms", "expected threshold to be a number, got nan");
  check(max_keep >= 0, "nms", "expected max_keep >= 0 (0 for all), got ", max_keep);
  Tensor keep = torch::stable::new_empty(boxes, {boxes.size(0)}, ScalarType::Bool);
  torch::stable::fill_(keep, 1);
  const Tensor rows = contiguous_as(boxes, accumulator_type(boxes.scalar_type()));
  const Tensor ids = contiguous_as(groups, ScalarType::Long);
  dispatch_floating("nms", "boxes", boxes.scalar_type(), [&](auto zero) {
    using A = Accumulator<decltype(zero)>;
    const Nms<A> op = {.boxes = grouped_boxes<A>(rows, ids, pixel_offset),
                       .threshold = static_cast<A>(threshold),
                       .max_keep = max_keep};
    Loops::suppress(op, keep);
  });
  return keep;
}

}  // namespace maskrcnn
