// mask_targets as the dispatcher sees it: check, allocate, and let the host loop.
// Loops has compute(MaskTargets, count).
#pragma once

#include <tuple>

#include "../common/checks.h"
#include "kernel.h"

namespace maskrcnn {

constexpr int64_t kMaxSide = 1 << 15;

// int64 [N], of a tensor of whole numbers.
inline Tensor whole_numbers(const char* name, const Tensor& tensor) {
  const ScalarType type = tensor.scalar_type();
  check(type == ScalarType::Long || type == ScalarType::Int, "mask_targets", "expected ", name,
        " of the type int64 or int32, got ", torch::headeronly::toString(type));
  return contiguous_as(tensor, ScalarType::Long);
}

// Starts go from 0 to `count`, in steps of at least `least`, which are even unless that is 0.
inline void check_starts(const char* name, const Tensor& starts, int64_t count, int64_t least) {
  const char* op = "mask_targets";
  check(starts.dim() == 1 && starts.size(0) > 0, op, "expected ", name, " [N + 1], got ",
        shape_of(starts));
  const int64_t* values = starts.const_data_ptr<int64_t>();
  const int64_t last = starts.size(0) - 1;
  check(values[0] == 0 && values[last] == count, op, "expected ", name, " from 0 to ", count,
        ", got ", values[0], " to ", values[last]);
  for (int64_t i = 0; i < last; ++i) {
    const int64_t step = values[i + 1] - values[i];
    check(step >= least && (least == 0 || step % 2 == 0), op, "expected ", name,
          least ? " in even steps of 6 or more" : " in steps of 0 or more", ", got ", step, " at ",
          i);
  }
}

template <typename Loops>
std::tuple<Tensor, Tensor> mask_targets(const Tensor& coordinates, const Tensor& polygon_starts,
                                        const Tensor& instance_starts, const Tensor& boxes,
                                        const Tensor& matched, int64_t side, int64_t height,
                                        int64_t width) {
  const char* op = "mask_targets";
  check(coordinates.dim() == 1, op, "expected coordinates [C], got ", shape_of(coordinates));
  check(boxes.dim() == 2 && boxes.size(1) == 4, op, "expected boxes [R, 4], got ", shape_of(boxes));
  check(matched.dim() == 1 && matched.size(0) == boxes.size(0), op, "expected matched [",
        boxes.size(0), "], got ", shape_of(matched));
  check(side > 0 && side <= kMaxSide, op, "expected side in [1, ", kMaxSide, "], got ", side);
  check(height > 0 && width > 0, op, "expected an image of at least a pixel, got height ", height,
        " and width ", width);
  dispatch_floating(op, "coordinates", coordinates.scalar_type(), [](auto) {});
  dispatch_floating(op, "boxes", boxes.scalar_type(), [](auto) {});
  const Tensor points = contiguous_as(coordinates, ScalarType::Float);
  const Tensor corners = contiguous_as(boxes, ScalarType::Float);
  const Tensor of_polygons = whole_numbers("polygon_starts", polygon_starts);
  const Tensor of_instances = whole_numbers("instance_starts", instance_starts);
  const Tensor instances = whole_numbers("matched", matched);
  check_starts("polygon_starts", of_polygons, points.size(0), 6);
  check_starts("instance_starts", of_instances, of_polygons.size(0) - 1, 0);
  const int64_t* ids = instances.const_data_ptr<int64_t>();
  for (int64_t r = 0; r < instances.size(0); ++r) {
    check(ids[r] >= 0 && ids[r] < of_instances.size(0) - 1, op, "expected matched in [0, ",
          of_instances.size(0) - 1, "), got ", ids[r], " in row ", r);
  }
  Tensor masks = zeros(boxes, {boxes.size(0), side, side}, ScalarType::Byte);
  Tensor areas = torch::stable::new_empty(boxes, {boxes.size(0), 2}, ScalarType::Long);
  Loops::compute({.polygons = {.coordinates = points.const_data_ptr<float>(),
                               .polygon_starts = of_polygons.const_data_ptr<int64_t>(),
                               .instance_starts = of_instances.const_data_ptr<int64_t>()},
                  .boxes = corners.const_data_ptr<float>(),
                  .matched = ids,
                  .side = side,
                  .height = height,
                  .width = width,
                  .masks = masks.mutable_data_ptr<uint8_t>(),
                  .areas = areas.mutable_data_ptr<int64_t>()},
                 boxes.size(0));
  return {masks, areas};
}

}  // namespace maskrcnn
