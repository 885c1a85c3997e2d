// Shared code of the operators on grouped boxes: argument checks, the view that kernels take, and
// the CPU loop over groups.
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

// A view of contiguous tensors, which must outlive the view.
template <typename A>
GroupedBoxes<A> grouped_boxes(const Tensor& boxes, const Tensor& groups, double pixel_offset) {
  return {.boxes = boxes.const_data_ptr<A>(),
          .groups = groups.const_data_ptr<int64_t>(),
          .count = boxes.size(0),
          .offset = static_cast<A>(pixel_offset)};
}

// Calls body(begin) for the first box of each group. Each thread processes whole groups with about
// pairs_per_thread pairs of boxes. A parallel loop in the body uses all threads if there is one
// group, and is sequential otherwise.
template <typename A, typename Body>
void for_each_group_on_cpu(const GroupedBoxes<A>& boxes, int64_t pairs_per_thread,
                           const Body& body) {
  std::vector<int64_t> begins;
  int64_t pairs = 0;
  for (int64_t i = 0; i < boxes.count; ++i) {
    if (boxes.begins_group(i)) begins.push_back(i);
    pairs += i - begins.back();
  }
  const int64_t groups = static_cast<int64_t>(begins.size());
  if (groups == 1) return body(0);
  const int64_t grain = groups * pairs_per_thread / larger<int64_t>(pairs, 1);
  for_each_on_cpu(groups, larger<int64_t>(grain, 1), [&](int64_t g) noexcept { body(begins[g]); });
}

}  // namespace maskrcnn
