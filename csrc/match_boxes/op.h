// match_boxes as the dispatcher sees it: checks, allocates, and runs the loops of the CPU.
// Loops has match(BoxMatching, blocks).
#pragma once

#include <tuple>

#include "../common/checks.h"
#include "kernel.h"

namespace maskrcnn {

// The columns of boxes [4, N].
template <typename A>
Columns<A> columns_of(const Tensor& transposed) {
  const A* first = transposed.const_data_ptr<A>();
  const int64_t count = transposed.size(1);
  return {first, first + count, first + 2 * count, first + 3 * count};
}

template <typename Loops>
std::tuple<Tensor, Tensor, Tensor> match_boxes(const Tensor& gt_boxes, const Tensor& boxes,
                                               double pixel_offset) {
  const char* op = "match_boxes";
  check(gt_boxes.dim() == 2 && gt_boxes.size(1) == 4 && gt_boxes.size(0) > 0, op,
        "expected gt_boxes [G, 4] with G > 0, got ", shape_of(gt_boxes));
  check(boxes.dim() == 2 && boxes.size(1) == 4, op, "expected boxes [N, 4], got ", shape_of(boxes));
  check_same_device(op, "gt_boxes", gt_boxes, boxes);
  dispatch_floating(op, "boxes", boxes.scalar_type(), [](auto) {});
  check(gt_boxes.scalar_type() == boxes.scalar_type(), op, "expected gt_boxes of ",
        torch::headeronly::toString(boxes.scalar_type()), ", got ",
        torch::headeronly::toString(gt_boxes.scalar_type()));
  const ScalarType type = accumulator_type(boxes.scalar_type());
  const Tensor gt = contiguous_as(torch::stable::transpose(gt_boxes, 0, 1), type);
  const Tensor columns = contiguous_as(torch::stable::transpose(boxes, 0, 1), type);
  const int64_t count = boxes.size(0), gt_count = gt_boxes.size(0);
  const int64_t blocks = (count + kBoxesAtOnce - 1) / kBoxesAtOnce;
  Tensor best = torch::stable::new_empty(boxes, {count}, type);
  Tensor best_gt = torch::stable::new_empty(boxes, {count}, ScalarType::Long);
  Tensor is_best = torch::stable::new_empty(boxes, {count}, ScalarType::Bool);
  const Tensor best_of_gt = torch::stable::new_empty(boxes, {blocks, gt_count}, type);
  dispatch_floating(op, "boxes", boxes.scalar_type(), [&](auto zero) {
    using A = Accumulator<decltype(zero)>;
    Loops::match(BoxMatching<A>{.gt = columns_of<A>(gt),
                                .boxes = columns_of<A>(columns),
                                .gt_count = gt_count,
                                .count = count,
                                .offset = static_cast<A>(pixel_offset),
                                .best = best.mutable_data_ptr<A>(),
                                .best_gt = best_gt.mutable_data_ptr<int64_t>(),
                                .best_of_gt = best_of_gt.mutable_data_ptr<A>(),
                                .is_best = is_best.mutable_data_ptr<bool>()},
                 blocks);
  });
  return {best, best_gt, is_best};
}

}  // namespace maskrcnn
