// ROIAlign (Mask R-CNN, section 3): each bin of a region is the mean of bilinear samples of the
// feature map that the region is pooled from.
#pragma once

#include <cmath>
#include <cstdint>

#include "taps.h"

namespace maskrcnn {

constexpr int kMaxLevels = 8;

// A feature map [N, C, height, width].
template <typename A>
struct RoiLevel {
  int height;
  int width;
  A scale;  // cells per pixel of the image
};

// The location of one region in its feature map.
template <typename A>
struct RoiGrid {
  RoiAxis<A> y;
  RoiAxis<A> x;
  int64_t image;
  int level;
  bool valid;  // false: the result is NaN and there is no gradient
};

// A bin of the output.
struct RoiBin {
  int64_t roi;
  int64_t channel;
  int y;
  int x;
};

template <typename A>
struct RoiAlign {
  const A* rois;          // [R, 5]: image, x1, y1, x2, y2 in pixels of the image
  const int64_t* levels;  // [R]: index of the feature map of each region
  int64_t count;          // R
  int64_t images;
  int64_t channels;
  int level_count;
  RoiLevel<A> level[kMaxLevels];
  int pooled_height;
  int pooled_width;
  int sampling_ratio;  // samples per bin and axis; <= 0: one per cell of the feature map
  bool aligned;        // pixel centers at +0.5; otherwise the legacy rule with sizes of at least 1
  bool channels_last;  // memory format of feature maps and output

  MASKRCNN_HOST_DEVICE int64_t bins() const noexcept {
    return static_cast<int64_t>(pooled_height) * pooled_width;
  }

  MASKRCNN_HOST_DEVICE RoiGrid<A> grid(int64_t roi) const noexcept {
    const A* row = rois + 5 * roi;
    const bool known = levels[roi] >= 0 && levels[roi] < level_count;
    RoiGrid<A> result;
    result.level = known ? static_cast<int>(levels[roi]) : 0;
    const RoiLevel<A>& map = level[result.level];
    result.x = axis(row[1], row[3], map.scale, pooled_width, map.width);
    result.y = axis(row[2], row[4], map.scale, pooled_height, map.height);
    const A limit = A(kMaxSamples);
    result.valid = known && row[0] >= A(0) && row[0] < A(images) && std::isfinite(row[1]) &&
                   std::isfinite(row[2]) && std::isfinite(row[3]) && std::isfinite(row[4]) &&
                   std::fabs(result.x.bin_size) < limit && std::fabs(result.y.bin_size) < limit;
    result.image = result.valid ? static_cast<int64_t>(row[0]) : 0;
    result.x.samples = result.valid ? samples(result.x.bin_size) : 0;
    result.y.samples = result.valid ? samples(result.y.bin_size) : 0;
    return result;
  }

  // The bin of element `index` of the output in memory order.
  MASKRCNN_HOST_DEVICE RoiBin bin(int64_t index) const noexcept {
    RoiBin result;
    if (channels_last) {
      result.channel = index % channels;
      index /= channels;
    }
    result.x = static_cast<int>(index % pooled_width);
    result.y = static_cast<int>(index / pooled_width % pooled_height);
    index /= bins();
    if (!channels_last) {
      result.channel = index % channels;
      index /= channels;
    }
    result.roi = index;
    return result;
  }

  // The stride in memory between neighboring cells of a row.
  MASKRCNN_HOST_DEVICE int64_t cell_stride() const noexcept { return channels_last ? channels : 1; }

  // The first cell of one channel of a feature map.
  MASKRCNN_HOST_DEVICE int64_t plane(const RoiGrid<A>& grid, int64_t channel) const noexcept {
    const RoiLevel<A>& map = level[grid.level];
    const int64_t area = static_cast<int64_t>(map.height) * map.width;
    return grid.image * channels * area + channel * (channels_last ? 1 : area);
  }

 private:
  MASKRCNN_HOST_DEVICE RoiAxis<A> axis(A begin, A end, A scale, int pooled,
                                       int size) const noexcept {
    const A offset = aligned ? A(0.5) : A(0);
    const A start = begin * scale - offset;
    const A length = end * scale - offset - start;
    return {start, (aligned ? length : larger(length, A(1))) / A(pooled), 0, size};
  }

  MASKRCNN_HOST_DEVICE int samples(A bin_size) const noexcept {
    return sampling_ratio > 0 ? sampling_ratio : static_cast<int>(std::ceil(bin_size));
  }
};

// output [R, C, pooled_height, pooled_width], element by element.
template <typename T>
struct RoiAlignForward {
  using A = Accumulator<T>;
  RoiAlign<A> op;
  const T* input[kMaxLevels];
  T* output;

  MASKRCNN_HOST_DEVICE void operator()(int64_t index) const noexcept {
    const RoiBin bin = op.bin(index);
    const RoiGrid<A> grid = op.grid(bin.roi);
    A sum = grid.valid ? A(0) : A(NAN);
    const T* plane = input[grid.level] + op.plane(grid, bin.channel);
    const int64_t stride = op.cell_stride();
    for_each_tap(grid.x, bin.x, [&](const Tap<A>& x) {
      A column = A(0);
      for_each_tap(grid.y, bin.y, [&](const Tap<A>& y) {
        const int64_t cell = static_cast<int64_t>(y.cell) * grid.x.size + x.cell;
        column += y.weight * static_cast<A>(plane[cell * stride]);
      });
      sum += x.weight * column;
    });
    output[index] = static_cast<T>(sum);
  }
};

// Adds the contribution of each element of gradient [R, C, pooled_height, pooled_width].
template <typename T>
struct RoiAlignBackward {
  using A = Accumulator<T>;
  RoiAlign<A> op;
  const T* gradient;
  A* result[kMaxLevels];

  MASKRCNN_HOST_DEVICE void operator()(int64_t index) const noexcept {
    const RoiBin bin = op.bin(index);
    const RoiGrid<A> grid = op.grid(bin.roi);
    A* plane = result[grid.level] + op.plane(grid, bin.channel);
    const int64_t stride = op.cell_stride();
    const A value = static_cast<A>(gradient[index]);
    for_each_tap(grid.x, bin.x, [&](const Tap<A>& x) {
      for_each_tap(grid.y, bin.y, [&](const Tap<A>& y) {
        const int64_t cell = static_cast<int64_t>(y.cell) * grid.x.size + x.cell;
        accumulate(plane + cell * stride, y.weight * (x.weight * value));
      });
    });
  }
};

}  // namespace maskrcnn
