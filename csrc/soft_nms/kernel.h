// The rule of Soft-NMS (Bodla et al., ICCV 2017), shared by CPU and CUDA.
#pragma once

#include <cmath>

#include "../common/grouped_boxes.h"

namespace maskrcnn {

// In each group the box with the highest score is picked and lowers the scores of the remaining
// ones, repeatedly, until the highest score is below min_score. A call processes the group that
// begins at `begin`, if any: each pick depends on the previous one, so a group has one thread.
template <typename A>
struct SoftNms {
  GroupedBoxes<A> boxes;
  A* scores;     // [N]: the original scores on entry, the lowered ones on return
  bool* picked;  // [N], all false on entry
  bool gaussian;
  A parameter;  // sigma of the Gaussian, or the IoU threshold of the linear rule
  A min_score;
  int64_t max_keep;  // per group; 0 for no limit

  MASKRCNN_HOST_DEVICE void operator()(int64_t begin) const noexcept {
    if (!boxes.begins_group(begin)) return;
    const int64_t group = boxes.groups[begin];
    int64_t best = begin;  // scores are initially in descending order
    for (int64_t left = max_keep; best >= 0 && scores[best] >= min_score; --left) {
      picked[best] = true;
      if (left == 1) return;
      int64_t next = -1;
      for (int64_t j = begin; boxes.in_group(j, group); ++j) {
        if (picked[j]) continue;
        lower(best, j);
        next = better(next, j);
      }
      best = next;
    }
  }

  // The better of two boxes; the first may be -1 for none, and wins ties. NaN is the lowest score.
  MASKRCNN_HOST_DEVICE int64_t better(int64_t i, int64_t j) const noexcept {
    const bool i_has_score = i >= 0 && scores[i] == scores[i];
    return i >= 0 && (scores[i] >= scores[j] || (i_has_score && scores[j] != scores[j])) ? i : j;
  }

  MASKRCNN_HOST_DEVICE void lower(int64_t best, int64_t other) const noexcept {
    const A iou = boxes.iou(best, other);
    if (gaussian && iou > A(0)) {  // an IoU of NaN, from boxes without area, lowers nothing
      scores[other] *= std::exp(-iou * iou / parameter);
    } else if (!gaussian && iou >= parameter) {
      scores[other] *= A(1) - iou;
    }
  }
};

}  // namespace maskrcnn
