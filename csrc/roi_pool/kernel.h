// ROIPool (Fast R-CNN, section 2.1): each bin of a region is the maximum of the cells it touches.
#pragma once

#include <cmath>
#include <cstdint>

#include "../common/host_device.h"

namespace maskrcnn {

// A region in integer cells of the feature map.
template <typename A>
struct RoiCells {
  int start_y;
  int start_x;
  A bin_height;
  A bin_width;
  int64_t image;
  bool valid;  // false: the result is NaN and there is no gradient
};

// Cells [begin, end) of one axis.
struct CellRange {
  int begin;
  int end;
};

template <typename A>
struct RoiPool {
  const A* rois;  // [R, 5]: image, x1, y1, x2, y2 in pixels of the image, both ends inclusive
  int64_t count;  // R
  int64_t images;
  int64_t channels;
  int height;
  int width;
  int pooled_height;
  int pooled_width;
  A spatial_scale;

  int64_t pooled_elements() const noexcept {
    return count * channels * pooled_height * pooled_width;
  }

  MASKRCNN_HOST_DEVICE RoiCells<A> cells(int64_t roi) const noexcept {
    const A* row = rois + 5 * roi;
    const A limit = A(1 << 24);  // float is not exact for integers beyond it; NaN fails too
    RoiCells<A> result = {0, 0, A(0), A(0), 0, row[0] >= A(0) && row[0] < A(images)};
    A corner[4];
    for (int i = 0; i < 4; ++i) {
      corner[i] = std::round(row[1 + i] * spatial_scale);  // half away from zero
      result.valid = result.valid && std::fabs(corner[i]) < limit;
    }
    if (!result.valid) return result;
    result.start_x = static_cast<int>(corner[0]);
    result.start_y = static_cast<int>(corner[1]);
    result.bin_width = larger(corner[2] - corner[0] + A(1), A(1)) / A(pooled_width);
    result.bin_height = larger(corner[3] - corner[1] + A(1), A(1)) / A(pooled_height);
    result.image = static_cast<int64_t>(row[0]);
    return result;
  }

  // The flat index in plane [height, width] of the first maximum of a bin; -1 for an empty bin.
  template <typename T>
  MASKRCNN_HOST_DEVICE int first_maximum(const T* plane, const RoiCells<A>& cells, int bin_y,
                                         int bin_x) const noexcept {
    const CellRange ys = range(bin_y, cells.bin_height, cells.start_y, height);
    const CellRange xs = range(bin_x, cells.bin_width, cells.start_x, width);
    int best = -1;
    for (int y = ys.begin; y < ys.end; ++y) {
      for (int x = xs.begin; x < xs.end; ++x) {
        const int here = y * width + x;
        if (best < 0 || static_cast<A>(plane[here]) > static_cast<A>(plane[best])) best = here;
      }
    }
    return best;
  }

 private:
  static MASKRCNN_HOST_DEVICE CellRange range(int bin, A bin_size, int start, int size) noexcept {
    const int begin = start + static_cast<int>(std::floor(A(bin) * bin_size));
    const int end = start + static_cast<int>(std::ceil(A(bin + 1) * bin_size));
    return {smaller(larger(begin, 0), size), smaller(larger(end, 0), size)};
  }
};

// output[index] and argmax[index], both [R, C, pooled_height, pooled_width].
template <typename T>
struct RoiPoolForward {
  using A = Accumulator<T>;
  RoiPool<A> op;
  const T* input;  // [N, C, H, W]
  T* output;
  int32_t* argmax;

  MASKRCNN_HOST_DEVICE void operator()(int64_t index) const noexcept {
    const int x = static_cast<int>(index % op.pooled_width);
    const int y = static_cast<int>(index / op.pooled_width % op.pooled_height);
    const int64_t roi_and_channel = index / op.pooled_width / op.pooled_height;
    const RoiCells<A> cells = op.cells(roi_and_channel / op.channels);
    const int64_t channel = roi_and_channel % op.channels;
    const T* plane = input + (cells.image * op.channels + channel) * op.height * op.width;
    const int best = cells.valid ? op.first_maximum(plane, cells, y, x) : -1;
    argmax[index] = best;
    if (best >= 0) {
      output[index] = plane[best];
    } else {
      output[index] = static_cast<T>(cells.valid ? A(0) : A(NAN));
    }
  }
};

// Adds gradient[index] to the cell of the maximum.
template <typename T>
struct RoiPoolBackward {
  using A = Accumulator<T>;
  const A* rois;
  const T* gradient;      // [R, C, pooled_height, pooled_width]
  const int32_t* argmax;  // as gradient
  A* result;              // [N, C, H, W]
  int64_t count;
  int64_t images;
  int64_t channels;
  int64_t bins;  // pooled_height * pooled_width
  int64_t area;  // H * W

  MASKRCNN_HOST_DEVICE bool in_image(int64_t roi, int64_t image) const noexcept {
    return rois[5 * roi] >= A(image) && rois[5 * roi] < A(image + 1);
  }

  MASKRCNN_HOST_DEVICE void operator()(int64_t index) const noexcept {
    const A image = rois[5 * (index / bins / channels)];
    if (!(image >= A(0) && image < A(images))) return;
    if (argmax[index] < 0 || argmax[index] >= area) return;
    const int64_t plane = static_cast<int64_t>(image) * channels + index / bins % channels;
    accumulate(result + plane * area + argmax[index], static_cast<A>(gradient[index]));
  }
};

}  // namespace maskrcnn
