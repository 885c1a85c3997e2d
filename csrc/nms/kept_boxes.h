// The boxes kept so far in a group, for the CPU: a candidate is compared with a vector of them at
// once.
#pragma once

#include "../common/vectorized.h"
#include "kernel.h"

namespace maskrcnn {

// Stores one array per coordinate in memory with room for the whole group. Uses no torch and
// allocates nothing.
template <typename A>
struct KeptBoxes {
  A *x1, *y1, *x2, *y2, *area;
  int64_t* index;
  int64_t count = 0;

  void add(const GroupedBoxes<A>& boxes, int64_t i) noexcept {
    const A* box = boxes.boxes + 4 * i;
    x1[count] = box[0];
    y1[count] = box[1];
    x2[count] = box[2];
    y2[count] = box[3];
    area[count] = box_area(box, boxes.offset);
    index[count++] = i;
  }
};

// Whether a kept box among [begin, end) may suppress the candidate. There are no false negatives:
// rounding is monotone, so common / all > threshold > 0 implies that common is not below the
// rounded threshold * all. Without division, and in a form that compilers vectorize.
template <typename A>
[[gnu::always_inline]] inline bool may_suppress(const KeptBoxes<A>& kept, int64_t begin,
                                                int64_t end, const A* box, A area, A offset,
                                                A threshold) noexcept {
  const A left = box[0], top = box[1], right = box[2], bottom = box[3];
  int found = 0;
  for (int64_t k = begin; k < end; ++k) {
    const A width = smaller(kept.x2[k], right) - larger(kept.x1[k], left) + offset;
    const A height = smaller(kept.y2[k], bottom) - larger(kept.y1[k], top) + offset;
    const A common = larger(width, A(0)) * larger(height, A(0));
    found |= common >= threshold * (kept.area[k] + area - common);
  }
  return found != 0;
}

constexpr int64_t kChunk = 64;

// Whether a kept box from `begin` on suppresses box i. The exact rule is evaluated only if the
// vectorized test above is positive.
template <typename A>
MASKRCNN_VECTORIZED bool is_suppressed(const Nms<A>& op, const KeptBoxes<A>& kept, int64_t begin,
                                       int64_t i) noexcept {
  const A* box = op.boxes.boxes + 4 * i;
  const A area = box_area(box, op.boxes.offset);
  for (int64_t chunk = begin; chunk < kept.count; chunk += kChunk) {
    const int64_t end = smaller(chunk + kChunk, kept.count);
    if (!may_suppress(kept, chunk, end, box, area, op.boxes.offset, op.threshold)) continue;
    for (int64_t k = chunk; k < end; ++k) {
      if (op.suppresses(kept.index[k], i)) return true;
    }
  }
  return false;
}

}  // namespace maskrcnn
