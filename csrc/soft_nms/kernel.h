// The rule of Soft-NMS (Bodla et al., ICCV 2017), in one place for CPU and CUDA.
#pragma once

#include <cmath>

#include "../common/grouped_boxes.h"

namespace maskrcnn {

// In each group the box of the highest score is picked and lowers the scores of those that are not
// picked yet, again and again, until the highest is below min_score.
template <typename A>
struct SoftNms {
  GroupedBoxes<A> boxes;
  A* scores;     // [N]: at first those of the detector, at last the lowered ones
  bool* picked;  // [N]
  bool gaussian;
  A parameter;  // sigma of the Gaussian, or the overlap from which on the linear rule acts
  A min_score;

  // The better of two boxes, each -1 for none; of equal scores the one that comes first. A score
  // of NaN is worse than any.
  MASKRCNN_HOST_DEVICE int64_t better(int64_t i, int64_t j) const noexcept {
    if (i < 0 || j < 0) return i < 0 ? j : i;
    const bool i_has_score = scores[i] == scores[i];
    const bool j_has_score = scores[j] == scores[j];
    if (i_has_score != j_has_score) return i_has_score ? i : j;
    if (scores[i] != scores[j] && i_has_score) return scores[i] > scores[j] ? i : j;
    return i < j ? i : j;
  }

  MASKRCNN_HOST_DEVICE bool is_last_pick(int64_t best) const noexcept {
    return best < 0 || !(scores[best] >= min_score);  // NaN ends it too
  }

  MASKRCNN_HOST_DEVICE void lower(int64_t best, int64_t other) const noexcept {
    const A iou = boxes.iou(best, other);
    if (gaussian && iou > A(0)) {  // NaN, of boxes without area, lowers nothing
      scores[other] *= std::exp(-iou * iou / parameter);
    } else if (!gaussian && iou >= parameter) {
      scores[other] *= A(1) - iou;
    }
  }
};

}  // namespace maskrcnn
