// nms as the dispatcher sees it: check, allocate, and let the device loop.
// Loops has suppress(Nms<A>, keep), which strikes out boxes in keep [N] bool.
#pragma once

#include "../kernels/nms.h"
#include "checks.h"

namespace maskrcnn {

template <typename Loops>
Tensor nms(const Tensor& boxes, const Tensor& groups, double threshold, double pixel_offset) {
  check(boxes.dim() == 2 && boxes.size(1) == 4, "nms", "expected boxes [N, 4], got ",
        shape_of(boxes));
  check(groups.dim() == 1 && groups.size(0) == boxes.size(0), "nms", "expected groups [",
        boxes.size(0), "], got ", shape_of(groups));
  check_same_device("nms", "groups", groups, boxes);
  Tensor keep = torch::stable::new_empty(boxes, {boxes.size(0)}, ScalarType::Bool);
  torch::stable::fill_(keep, 1);
  const ScalarType type = accumulator_type(boxes.scalar_type());
  const Tensor rows = contiguous_as(boxes, type);
  const Tensor ids = contiguous_as(groups, ScalarType::Long);
  dispatch_floating("nms", "boxes", boxes.scalar_type(), [&](auto zero) {
    using A = Accumulator<decltype(zero)>;
    const Nms<A> op = {.boxes = rows.const_data_ptr<A>(),
                       .groups = ids.const_data_ptr<int64_t>(),
                       .count = boxes.size(0),
                       .threshold = static_cast<A>(threshold),
                       .offset = static_cast<A>(pixel_offset)};
    Loops::suppress(op, keep);
  });
  return keep;
}

}  // namespace maskrcnn
