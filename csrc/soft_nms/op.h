// The registered op soft_nms: checks arguments, allocates, and runs the loop of the device.
// Loops has lower(SoftNms<A>, scores), which lowers the scores [N] and marks the picked boxes.
#pragma once

#include <tuple>

#include "../common/checks.h"
#include "../common/grouped_boxes_op.h"
#include "kernel.h"

namespace maskrcnn {

template <typename Loops>
std::tuple<Tensor, Tensor> soft_nms(const Tensor& boxes, const Tensor& scores, const Tensor& groups,
                                    bool gaussian, double parameter, double min_score,
                                    double pixel_offset, int64_t max_keep) {
  check_grouped_boxes("soft_nms", boxes, groups);
  check(scores.dim() == 1 && scores.size(0) == boxes.size(0), "soft_nms", "expected scores [",
        boxes.size(0), "], got ", shape_of(scores));
  check_same_device("soft_nms", "scores", scores, boxes);
  check(max_keep >= 0, "soft_nms", "expected max_keep >= 0 (0 for all), got ", max_keep);
  const ScalarType type = accumulator_type(boxes.scalar_type());
  const Tensor rows = contiguous_as(boxes, type);
  const Tensor ids = contiguous_as(groups, ScalarType::Long);
  Tensor lowered = torch::stable::new_empty(boxes, {boxes.size(0)}, type);
  torch::stable::copy_(lowered, scores);
  Tensor picked = zeros(boxes, {boxes.size(0)}, ScalarType::Bool);
  dispatch_floating("soft_nms", "boxes", boxes.scalar_type(), [&](auto zero) {
    using A = Accumulator<decltype(zero)>;
    const SoftNms<A> op = {.boxes = grouped_boxes<A>(rows, ids, pixel_offset),
                           .scores = lowered.mutable_data_ptr<A>(),
                           .picked = picked.mutable_data_ptr<bool>(),
                           .gaussian = gaussian,
                           .parameter = static_cast<A>(parameter),
                           .min_score = static_cast<A>(min_score),
                           .max_keep = max_keep};
    Loops::lower(op, lowered);
  });
  return {lowered, picked};
}

}  // namespace maskrcnn
