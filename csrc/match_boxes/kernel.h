// The best ground truth of each box by IoU, and the boxes that are the best of a ground truth. The
// arithmetic is that of structures/box_ops.py, to the bit.
#pragma once

#include <cstdint>
#include <limits>

#include "../common/host_device.h"
#include "../common/vectorized.h"

namespace maskrcnn {

constexpr int64_t kBoxesAtOnce = 256;
constexpr int64_t kLanes = 16;

// Coordinates of boxes in arrays of their own.
template <typename A>
struct Columns {
  const A *x1, *y1, *x2, *y2;
};

// Overlap of two intervals. NaN stays NaN; it also makes the area of its box NaN.
template <typename A>
MASKRCNN_HOST_DEVICE A overlap(A low1, A high1, A low2, A high2, A offset) noexcept {
  const A length = smaller(high1, high2) - larger(low1, low2) + offset;
  return length < A(0) ? A(0) : length;
}

template <typename A>
struct BoxMatching {
  Columns<A> gt, boxes;
  int64_t gt_count, count;
  A offset;
  A* best;           // [count], -inf where no IoU is a number
  int64_t* best_gt;  // [count], the first of those that tie
  A* best_of_gt;     // [blocks, gt_count], the best IoU of each ground truth in a block of boxes
  bool* is_best;     // [count]

  MASKRCNN_HOST_DEVICE A area(const Columns<A>& of, int64_t i) const noexcept {
    return (of.x2[i] - of.x1[i] + offset) * (of.y2[i] - of.y1[i] + offset);
  }

  MASKRCNN_HOST_DEVICE A iou(int64_t g, int64_t i) const noexcept {
    const A common = overlap(gt.x1[g], gt.x2[g], boxes.x1[i], boxes.x2[i], offset) *
                     overlap(gt.y1[g], gt.y2[g], boxes.y1[i], boxes.y2[i], offset);
    return common / (area(gt, g) + area(boxes, i) - common);
  }
};

// Fills best, best_gt and best_of_gt of one block of boxes.
template <typename A>
MASKRCNN_VECTORIZED void match_block(const BoxMatching<A>& op, int64_t block) noexcept {
  const int64_t begin = block * kBoxesAtOnce;
  const int64_t size = smaller(kBoxesAtOnce, op.count - begin);
  constexpr A kLowest = -std::numeric_limits<A>::infinity();
  const A *x1 = op.boxes.x1 + begin, *y1 = op.boxes.y1 + begin;
  const A *x2 = op.boxes.x2 + begin, *y2 = op.boxes.y2 + begin;
  A areas[kBoxesAtOnce], best[kBoxesAtOnce], quality[kBoxesAtOnce];
  int32_t best_gt[kBoxesAtOnce];
  for (int64_t b = 0; b < kBoxesAtOnce; ++b) {
    best[b] = quality[b] = kLowest;
    best_gt[b] = 0;
  }
  for (int64_t b = 0; b < size; ++b) areas[b] = op.area(op.boxes, begin + b);
  for (int64_t g = 0; g < op.gt_count; ++g) {
    const A left = op.gt.x1[g], top = op.gt.y1[g], right = op.gt.x2[g], bottom = op.gt.y2[g];
    const A own = op.area(op.gt, g);
    for (int64_t b = 0; b < size; ++b) {
      A width = smaller(right, x2[b]) - larger(left, x1[b]) + op.offset;
      A height = smaller(bottom, y2[b]) - larger(top, y1[b]) + op.offset;
      width = width < A(0) ? A(0) : width;
      height = height < A(0) ? A(0) : height;
      const A common = width * height;
      quality[b] = common / (own + areas[b] - common);
    }
    A lanes[kLanes];
    for (int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] = kLowest;
    for (int64_t b = 0; b < kBoxesAtOnce; b += kLanes) {
      for (int64_t lane = 0; lane < kLanes; ++lane) {
        lanes[lane] = larger(quality[b + lane], lanes[lane]);  // NaN is not larger
      }
    }
    A highest = kLowest;
    for (int64_t lane = 0; lane < kLanes; ++lane) highest = larger(lanes[lane], highest);
    op.best_of_gt[block * op.gt_count + g] = highest;
    const int32_t number = static_cast<int32_t>(g);
    for (int64_t b = 0; b < size; ++b) {
      const bool better = quality[b] > best[b];
      best[b] = better ? quality[b] : best[b];
      best_gt[b] = better ? number : best_gt[b];
    }
  }
  for (int64_t b = 0; b < size; ++b) {
    op.best[begin + b] = best[b];
    op.best_gt[begin + b] = best_gt[b];
  }
}

// Fills is_best of one box from the best IoUs of all ground truths, of which `lowest` is the
// lowest.
template <typename A>
void mark_best(const BoxMatching<A>& op, A lowest, int64_t i) noexcept {
  constexpr A kLowest = -std::numeric_limits<A>::infinity();
  op.is_best[i] = false;
  if (op.best[i] < lowest) return;  // it ties with none
  for (int64_t g = 0; g < op.gt_count && !op.is_best[i]; ++g) {
    op.is_best[i] = op.best_of_gt[g] > kLowest && op.iou(g, i) == op.best_of_gt[g];
  }
}

}  // namespace maskrcnn
