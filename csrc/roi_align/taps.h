// Bilinear sampling on one axis of a feature map. The grid of samples of a bin is a product of two
// axes, so the mean is separable: a sum over the cells ("taps") of a column, then over columns. The
// weights of samples that fall between the same cells are summed in advance.
#pragma once

#include <cmath>
#include <cstdint>

#include "../common/host_device.h"

namespace maskrcnn {

// A bin with this many samples on an axis only occurs when training has diverged; the result is
// NaN.
constexpr int kMaxSamples = 1 << 15;

// Up to this many samples on an axis are tested individually.
constexpr int kFewSamples = 8;

// A cell of the axis and its weight in a bin.
template <typename A>
struct Tap {
  int cell;
  A weight;
};

// The bins of a region on one axis, in cells of the feature map.
template <typename A>
struct RoiAxis {
  A start;
  A bin_size;   // negative for a reversed region
  int samples;  // per bin
  int size;     // of the feature map
};

// Samples [begin, end) of a bin.
struct SampleRange {
  int begin;
  int end;
};

// A region need not be clipped to the image; if it extends far beyond the feature map, it has
// thousands of samples per bin. Samples outside contribute nothing, so only those that can lie
// inside are visited, and the cost is bounded by the size of the map.
template <typename A>
MASKRCNN_HOST_DEVICE SampleRange samples_near_map(const RoiAxis<A>& axis, int bin) noexcept {
  if (axis.samples <= kFewSamples || !(axis.bin_size > A(0))) return {0, axis.samples};
  const A bin_start = axis.start + A(bin) * axis.bin_size;
  const A step = axis.bin_size / A(axis.samples);
  // two extra samples on either side, to allow for rounding
  const A begin = std::floor((A(-1) - bin_start) / step) - A(2);
  const A end = std::ceil((A(axis.size) - bin_start) / step) + A(2);
  const A limit = A(axis.samples);
  return {static_cast<int>(smaller(larger(begin, A(0)), limit)),
          static_cast<int>(smaller(larger(end, A(0)), limit))};
}

// Calls body(tap) for the cells of a bin, in the order of the samples; a sum of weight * value over
// them is the mean of the samples. A sample more than one cell outside of [0, size - 1] counts as
// 0; a closer one is clamped to the border.
template <typename A, typename Body>
MASKRCNN_HOST_DEVICE void for_each_tap(const RoiAxis<A>& axis, int bin, const Body& body) noexcept {
  // the pair of neighboring cells that samples are being summed into; the second may not exist, and
  // then has no weight
  int cell = -2;
  A low = A(0), high = A(0);
  const A count = A(axis.samples);
  const auto leave = [&](int at, A weight) {
    if (weight != A(0)) body(Tap<A>{at, weight / count});
  };
  const SampleRange range = samples_near_map(axis, bin);
  for (int i = range.begin; i < range.end; ++i) {
    const A position =
        axis.start + A(bin) * axis.bin_size + (A(i) + A(0.5)) * axis.bin_size / count;
    if (position < A(-1) || position > A(axis.size)) continue;
    const A clamped = smaller(larger(position, A(0)), A(axis.size - 1));
    const int here = static_cast<int>(clamped);
    const A fraction = clamped - A(here);
    if (here == cell + 1) {
      leave(cell, low);
      low = high;
      high = A(0);
    } else if (here == cell - 1) {
      leave(cell + 1, high);
      high = low;
      low = A(0);
    } else if (here != cell) {
      leave(cell, low);
      leave(cell + 1, high);
      low = high = A(0);
    }
    cell = here;
    low += A(1) - fraction;
    high += fraction;
  }
  leave(cell, low);
  leave(cell + 1, high);
}

}  // namespace maskrcnn
