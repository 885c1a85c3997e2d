// What the operators on grouped boxes share: the check of the tensors, the view that kernels take,
// and the loop over the groups on the CPU.
#pragma once

#include <vector>

#include "checks.h"
#include "grouped_boxes.h"
#include "loops.h"

namespace maskrcnn {

inline void check_grouped_boxes(const char* op, const Tensor& boxes, const Tensor& groups) {
  check(boxes.dim() == 2 && boxes.size(1) == 4, op, "expected boxes [N, 4], got ", shape_of(boxes));
  check(groups.dim() == 1 && groups.size(0) == boxes.size(0), op, "expected groups [",
        boxes.size(0), "], got ", shape_of(groups));
  check_same_device(op, "groups", groups, boxes);
  check_integer(op, "groups", groups);
}

// A view of contiguous tensors, which must outlive it.
template <typename A>
GroupedBoxes<A> grouped_boxes(const Tensor& boxes, const Tensor& groups, double pixel_offset) {
  return {.boxes = boxes.const_data_ptr<A>(),
          .groups = groups.const_data_ptr<int64_t>(),
          .count = boxes.size(0),
          .offset = static_cast<A>(pixel_offset)};
}

// Calls body(begin) for the first box of each group; a thread has groups of its own.
template <typename A, typename Body>
void for_each_group_on_cpu(const GroupedBoxes<A>& boxes, const Body& body) {
  std::vector<int64_t> begins;
  for (int64_t i = 0; i < boxes.count; ++i) {
    if (boxes.begins_group(i)) begins.push_back(i);
  }
  for_each_on_cpu(static_cast<int64_t>(begins.size()), 1,
                  [&](int64_t g) noexcept { body(begins[g]); });
}

}  // namespace maskrcnn
