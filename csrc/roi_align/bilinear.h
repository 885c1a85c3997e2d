// Bilinear interpolation on a feature map, one axis at a time.
#pragma once

#include "../common/host_device.h"

namespace maskrcnn {

// The two neighbouring cells of a position on one axis, and their weights.
template <typename A>
struct AxisSample {
  int low;
  int high;
  A weight_low;
  A weight_high;
  bool inside;
};

// A position more than one cell outside [0, size - 1] is outside and counts as 0; a nearer one is
// moved to the border.
template <typename A>
MASKRCNN_HOST_DEVICE AxisSample<A> axis_sample(A position, int size) noexcept {
  if (position < A(-1) || position > A(size)) return {0, 0, A(0), A(0), false};
  const A clamped = larger(position, A(0));
  const int low = static_cast<int>(clamped);
  if (low >= size - 1) return {size - 1, size - 1, A(1), A(0), true};
  const A fraction = clamped - A(low);
  return {low, low + 1, A(1) - fraction, fraction, true};
}

// The value of plane [*, width] at (y, x), both inside.
template <typename T, typename A>
MASKRCNN_HOST_DEVICE A interpolate(const T* plane, int width, const AxisSample<A>& y,
                                   const AxisSample<A>& x) noexcept {
  const T* low = plane + static_cast<int64_t>(y.low) * width;
  const T* high = plane + static_cast<int64_t>(y.high) * width;
  return y.weight_low * x.weight_low * static_cast<A>(low[x.low]) +
         y.weight_low * x.weight_high * static_cast<A>(low[x.high]) +
         y.weight_high * x.weight_low * static_cast<A>(high[x.low]) +
         y.weight_high * x.weight_high * static_cast<A>(high[x.high]);
}

// The transpose of interpolate: spreads `value` over the four cells.
template <typename A>
MASKRCNN_HOST_DEVICE void spread(A* plane, int width, const AxisSample<A>& y,
                                 const AxisSample<A>& x, A value) noexcept {
  A* low = plane + static_cast<int64_t>(y.low) * width;
  A* high = plane + static_cast<int64_t>(y.high) * width;
  accumulate(low + x.low, y.weight_low * x.weight_low * value);
  accumulate(low + x.high, y.weight_low * x.weight_high * value);
  accumulate(high + x.low, y.weight_high * x.weight_low * value);
  accumulate(high + x.high, y.weight_high * x.weight_high * value);
}

}  // namespace maskrcnn
