// nms and soft_nms as the dispatcher sees them: check, allocate, and let the device loop.
// Loops has suppress(Nms<A>, keep), which strikes out boxes in keep [N] bool, and
// lower(SoftNms<A>, scores), which lowers the scores [N].
#pragma once

#include "../kernels/nms.h"
#include "../kernels/soft_nms.h"
#include "checks.h"

namespace maskrcnn {

inline void check_grouped_boxes(const char* op, const Tensor& boxes, const Tensor& groups) {
  check(boxes.dim() == 2 && boxes.size(1) == 4, op, "expected boxes [N, 4], got ", shape_of(boxes));
  check(groups.dim() == 1 && groups.size(0) == boxes.size(0), op, "expected groups [",
        boxes.size(0), "], got ", shape_of(groups));
  check_same_device(op, "groups", groups, boxes);
}

// A view of contiguous tensors, which must outlive it.
template <typename A>
GroupedBoxes<A> grouped_boxes(const Tensor& boxes, const Tensor& groups, double pixel_offset) {
  return {.boxes = boxes.const_data_ptr<A>(),
          .groups = groups.const_data_ptr<int64_t>(),
          .count = boxes.size(0),
          .offset = static_cast<A>(pixel_offset)};
}

template <typename Loops>
Tensor nms(const Tensor& boxes, const Tensor& groups, double threshold, double pixel_offset) {
  check_grouped_boxes("nms", boxes, groups);
  Tensor keep = torch::stable::new_empty(boxes, {boxes.size(0)}, ScalarType::Bool);
  torch::stable::fill_(keep, 1);
  const Tensor rows = contiguous_as(boxes, accumulator_type(boxes.scalar_type()));
  const Tensor ids = contiguous_as(groups, ScalarType::Long);
  dispatch_floating("nms", "boxes", boxes.scalar_type(), [&](auto zero) {
    using A = Accumulator<decltype(zero)>;
    const Nms<A> op = {.boxes = grouped_boxes<A>(rows, ids, pixel_offset),
                       .threshold = static_cast<A>(threshold)};
    Loops::suppress(op, keep);
  });
  return keep;
}

template <typename Loops>
Tensor soft_nms(const Tensor& boxes, const Tensor& scores, const Tensor& groups, bool gaussian,
                double parameter, double min_score, double pixel_offset) {
  check_grouped_boxes("soft_nms", boxes, groups);
  check(scores.dim() == 1 && scores.size(0) == boxes.size(0), "soft_nms", "expected scores [",
        boxes.size(0), "], got ", shape_of(scores));
  check_same_device("soft_nms", "scores", scores, boxes);
  const ScalarType type = accumulator_type(boxes.scalar_type());
  const Tensor rows = contiguous_as(boxes, type);
  const Tensor ids = contiguous_as(groups, ScalarType::Long);
  Tensor lowered = torch::stable::new_empty(boxes, {boxes.size(0)}, type);
  torch::stable::copy_(lowered, scores);
  const Tensor picked = zeros(boxes, {boxes.size(0)}, ScalarType::Bool);
  dispatch_floating("soft_nms", "boxes", boxes.scalar_type(), [&](auto zero) {
    using A = Accumulator<decltype(zero)>;
    const SoftNms<A> op = {.boxes = grouped_boxes<A>(rows, ids, pixel_offset),
                           .scores = lowered.mutable_data_ptr<A>(),
                           .picked = picked.mutable_data_ptr<bool>(),
                           .gaussian = gaussian,
                           .parameter = static_cast<A>(parameter),
                           .min_score = static_cast<A>(min_score)};
    Loops::lower(op, lowered);
  });
  return lowered;
}

}  // namespace maskrcnn
