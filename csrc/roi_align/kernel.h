// ROIAlign (Mask R-CNN, section 3): each bin of a region is the mean of bilinear samples.
#pragma once

#include <cmath>
#include <cstdint>

#include "bilinear.h"

namespace maskrcnn {

// Where the samples of one region lie, in cells of the feature map.
template <typename A>
struct RoiGrid {
  A start_y;
  A start_x;
  A bin_height;
  A bin_width;
  int samples_y;  // per bin
  int samples_x;
  int64_t image;
  bool valid;  // false: the answer is NaN and there is no gradient
};

// A bin of this many samples on an axis only occurs when training has diverged: the answer is NaN.
constexpr int kMaxSamples = 1 << 15;

// Up to this many samples on an axis are tried one by one.
constexpr int kFewSamples = 8;

// Samples [begin, end) of a bin on one axis.
struct SampleRange {
  int begin;
  int end;
};

template <typename A>
struct RoiAlign {
  const A* rois;  // [K, 5]: image, x1, y1, x2, y2 in pixels of the image
  int64_t count;  // K
  int64_t images;
  int64_t channels;
  int height;
  int width;
  int pooled_height;
  int pooled_width;
  A spatial_scale;
  int sampling_ratio;  // samples per bin and axis; <= 0: one per cell of the feature map
  bool aligned;        // pixel centres at +0.5; otherwise the legacy rule, with sizes of at least 1

  int64_t pooled_elements() const noexcept {
    return count * channels * pooled_height * pooled_width;
  }

  MASKRCNN_HOST_DEVICE RoiGrid<A> grid(int64_t roi) const noexcept {
    const A* row = rois + 5 * roi;
    const A offset = aligned ? A(0.5) : A(0);
    RoiGrid<A> result;
    result.start_x = row[1] * spatial_scale - offset;
    result.start_y = row[2] * spatial_scale - offset;
    A roi_width = row[3] * spatial_scale - offset - result.start_x;
    A roi_height = row[4] * spatial_scale - offset - result.start_y;
    if (!aligned) {
      roi_width = larger(roi_width, A(1));
      roi_height = larger(roi_height, A(1));
    }
    result.bin_width = roi_width / A(pooled_width);
    result.bin_height = roi_height / A(pooled_height);
    const A limit = A(kMaxSamples);
    result.valid = row[0] >= A(0) && row[0] < A(images) &&
                   std::isfinite(row[1] + row[2] + row[3] + row[4]) &&
                   std::fabs(result.bin_width) < limit && std::fabs(result.bin_height) < limit;
    result.image = result.valid ? static_cast<int64_t>(row[0]) : 0;
    result.samples_x = samples(result, result.bin_width);
    result.samples_y = samples(result, result.bin_height);
    return result;
  }

  // The mean of the samples of one bin over a plane [height, width] of the right image.
  template <typename T>
  MASKRCNN_HOST_DEVICE A average(const T* plane, const RoiGrid<A>& grid, int bin_y,
                                 int bin_x) const noexcept {
    if (!grid.valid) return A(NAN);
    A sum = A(0);
    const SampleRange rows = near_rows(grid, bin_y);
    const SampleRange columns = near_columns(grid, bin_x);
    for (int i = rows.begin; i < rows.end; ++i) {
      const AxisSample<A> y = sample_y(grid, bin_y, i);
      if (!y.inside) continue;
      for (int j = columns.begin; j < columns.end; ++j) {
        const AxisSample<A> x = sample_x(grid, bin_x, j);
        if (x.inside) sum += interpolate(plane, width, y, x);
      }
    }
    return sum / number_of_samples(grid);
  }

  // The gradient of average: adds gradient * d average / d plane to the plane.
  MASKRCNN_HOST_DEVICE void spread_average(A gradient, A* plane, const RoiGrid<A>& grid, int bin_y,
                                           int bin_x) const noexcept {
    if (!grid.valid) return;
    const A share = gradient / number_of_samples(grid);
    const SampleRange rows = near_rows(grid, bin_y);
    const SampleRange columns = near_columns(grid, bin_x);
    for (int i = rows.begin; i < rows.end; ++i) {
      const AxisSample<A> y = sample_y(grid, bin_y, i);
      if (!y.inside) continue;
      for (int j = columns.begin; j < columns.end; ++j) {
        const AxisSample<A> x = sample_x(grid, bin_x, j);
        if (x.inside) spread(plane, width, y, x, share);
      }
    }
  }

 private:
  MASKRCNN_HOST_DEVICE int samples(const RoiGrid<A>& grid, A bin_size) const noexcept {
    if (!grid.valid) return 0;
    return sampling_ratio > 0 ? sampling_ratio : static_cast<int>(std::ceil(bin_size));
  }

  // A region may reach far out of the feature map (it need not be clipped to the image) and then
  // has thousands of samples per bin. Those outside add nothing but to the count, so only those
  // that can lie inside are visited, and the work is bounded by the size of the map.
  static MASKRCNN_HOST_DEVICE SampleRange near(A bin_start, A bin_size, int count,
                                               int size) noexcept {
    if (count <= kFewSamples || !(bin_size > A(0))) return {0, count};
    const A step = bin_size / A(count);
    // two samples more on either side than the position tells, for its rounding
    const A begin = std::floor((A(-1) - bin_start) / step) - A(2);
    const A end = std::ceil((A(size) - bin_start) / step) + A(2);
    const A limit = A(count);
    return {static_cast<int>(smaller(larger(begin, A(0)), limit)),
            static_cast<int>(smaller(larger(end, A(0)), limit))};
  }

  MASKRCNN_HOST_DEVICE SampleRange near_rows(const RoiGrid<A>& grid, int bin) const noexcept {
    return near(grid.start_y + A(bin) * grid.bin_height, grid.bin_height, grid.samples_y, height);
  }

  MASKRCNN_HOST_DEVICE SampleRange near_columns(const RoiGrid<A>& grid, int bin) const noexcept {
    return near(grid.start_x + A(bin) * grid.bin_width, grid.bin_width, grid.samples_x, width);
  }

  MASKRCNN_HOST_DEVICE AxisSample<A> sample_y(const RoiGrid<A>& grid, int bin,
                                              int i) const noexcept {
    return axis_sample(grid.start_y + A(bin) * grid.bin_height +
                           (A(i) + A(0.5)) * grid.bin_height / A(grid.samples_y),
                       height);
  }

  MASKRCNN_HOST_DEVICE AxisSample<A> sample_x(const RoiGrid<A>& grid, int bin,
                                              int i) const noexcept {
    return axis_sample(grid.start_x + A(bin) * grid.bin_width +
                           (A(i) + A(0.5)) * grid.bin_width / A(grid.samples_x),
                       width);
  }

  static MASKRCNN_HOST_DEVICE A number_of_samples(const RoiGrid<A>& grid) noexcept {
    return larger(A(grid.samples_y) * A(grid.samples_x), A(1));
  }
};

// output[index] of output [K, C, pooled_height, pooled_width].
template <typename T>
struct RoiAlignForward {
  using A = Accumulator<T>;
  RoiAlign<A> op;
  const T* input;  // [N, C, H, W]
  T* output;

  MASKRCNN_HOST_DEVICE const T* plane(int64_t image, int64_t channel) const noexcept {
    return input + (image * op.channels + channel) * op.height * op.width;
  }

  MASKRCNN_HOST_DEVICE void operator()(int64_t index) const noexcept {
    const int x = static_cast<int>(index % op.pooled_width);
    const int y = static_cast<int>(index / op.pooled_width % op.pooled_height);
    const int64_t roi_and_channel = index / op.pooled_width / op.pooled_height;
    const RoiGrid<A> grid = op.grid(roi_and_channel / op.channels);
    const T* source = plane(grid.image, roi_and_channel % op.channels);
    output[index] = static_cast<T>(op.average(source, grid, y, x));
  }
};

// Adds what gradient[index] of gradient [K, C, pooled_height, pooled_width] brings.
template <typename T>
struct RoiAlignBackward {
  using A = Accumulator<T>;
  RoiAlign<A> op;
  const T* gradient;
  A* result;  // [N, C, H, W]

  MASKRCNN_HOST_DEVICE A* plane(int64_t image, int64_t channel) const noexcept {
    return result + (image * op.channels + channel) * op.height * op.width;
  }

  MASKRCNN_HOST_DEVICE void operator()(int64_t index) const noexcept {
    const int x = static_cast<int>(index % op.pooled_width);
    const int y = static_cast<int>(index / op.pooled_width % op.pooled_height);
    const int64_t roi_and_channel = index / op.pooled_width / op.pooled_height;
    const RoiGrid<A> grid = op.grid(roi_and_channel / op.channels);
    A* target = plane(grid.image, roi_and_channel % op.channels);
    op.spread_average(static_cast<A>(gradient[index]), target, grid, y, x);
  }
};

}  // namespace maskrcnn
