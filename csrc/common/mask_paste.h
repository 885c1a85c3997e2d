// Where the cells of a mask [M, M] lie in an image, and what a pixel gets of them. Two rules:
// the legacy one pads the mask with zeros, expands the box alike, truncates it to whole pixels
// (both ends included) and resizes the mask bilinearly into it; the aligned one samples the mask at
// the center of each pixel, with the box as it is and zeros around it. Values are interpolated
// along x first, then along y, in float and without fused multiply-adds.
#pragma once

#include <cmath>
#include <cstdint>

#include "host_device.h"

namespace maskrcnn {

// A box with a coordinate beyond it, infinite or NaN has no pixels.
constexpr float kMaxBoxCoordinate = 1 << 30;

// Two cells of one axis and their weights. A cell outside [0, M) is a zero.
struct CellPair {
  int64_t low, high;
  float low_weight, high_weight;
};

// The pixels [first, last) of one axis of the image that a mask may reach, and their place in it.
struct PasteAxis {
  int64_t first, last;
  int64_t begin;        // legacy: the first pixel of the box, which may lie outside of the image
  float corner, side;   // aligned: of the box
  float cells_a_pixel;  // legacy: padded cells
};

struct PasteRule {
  int64_t mask_side;
  int64_t padding;  // of the legacy rule
  int64_t height, width;
  float threshold;
  bool aligned;

  MASKRCNN_HOST_DEVICE static bool is_finite(const float* box) noexcept {
    for (int i = 0; i < 4; ++i) {
      if (!(box[i] <= kMaxBoxCoordinate && box[i] >= -kMaxBoxCoordinate)) return false;
    }
    return true;
  }

  // `size` pixels of the image on the axis on which a box reaches from `low` to `high`.
  MASKRCNN_HOST_DEVICE PasteAxis axis(float low, float high, int64_t size) const noexcept {
    return aligned ? aligned_axis(low, high, size) : legacy_axis(low, high, size);
  }

  MASKRCNN_HOST_DEVICE PasteAxis legacy_axis(float low, float high, int64_t size) const noexcept {
    const int64_t cells = mask_side + 2 * padding;
    const float scale = static_cast<float>(static_cast<double>(cells) / mask_side);
    const float center = (low + high) * 0.5f;
    const float half = (high - low) * 0.5f * scale;
    const int64_t begin = static_cast<int64_t>(center - half);  // towards zero
    const int64_t pixels =
        larger<int64_t>(static_cast<int64_t>(center + half) - begin + 1, int64_t{1});
    return {.first = larger<int64_t>(begin, 0),
            .last = smaller<int64_t>(begin + pixels, size),
            .begin = begin,
            .corner = 0,
            .side = 0,
            .cells_a_pixel = static_cast<float>(cells) / static_cast<float>(pixels)};
  }

  // A sample is not zero up to half a cell beyond the box.
  MASKRCNN_HOST_DEVICE PasteAxis aligned_axis(float low, float high, int64_t size) const noexcept {
    const float side = high - low;
    if (!(side > 0))
      return {.first = 0, .last = 0, .begin = 0, .corner = 0, .side = 0, .cells_a_pixel = 0};
    const float reach = side / static_cast<float>(2 * mask_side);
    const float first = larger(std::floor(low - reach), 0.0f);
    const float last = smaller(std::ceil(high + reach), static_cast<float>(size));
    return {.first = static_cast<int64_t>(first),
            .last = static_cast<int64_t>(last),
            .begin = 0,
            .corner = low,
            .side = side,
            .cells_a_pixel = 0};
  }

  MASKRCNN_HOST_DEVICE CellPair cells_at(const PasteAxis& axis, int64_t pixel) const noexcept {
    return aligned ? aligned_cells(axis, pixel) : legacy_cells(axis, pixel);
  }

  MASKRCNN_HOST_DEVICE CellPair legacy_cells(const PasteAxis& axis, int64_t pixel) const noexcept {
    const int64_t cells = mask_side + 2 * padding;
    const float position =
        larger(axis.cells_a_pixel * (static_cast<float>(pixel - axis.begin) + 0.5f) - 0.5f, 0.0f);
    const int64_t low = smaller<int64_t>(static_cast<int64_t>(position), cells - 1);
    const int64_t high = smaller<int64_t>(low + 1, cells - 1);
    const float weight = smaller(larger(position - static_cast<float>(low), 0.0f), 1.0f);
    return {.low = low - padding,
            .high = high - padding,
            .low_weight = 1.0f - weight,
            .high_weight = weight};
  }

  MASKRCNN_HOST_DEVICE CellPair aligned_cells(const PasteAxis& axis, int64_t pixel) const noexcept {
    const float in_box = (static_cast<float>(pixel) + 0.5f - axis.corner) / axis.side * 2.0f - 1.0f;
    const float position = (in_box + 1.0f) * (static_cast<float>(mask_side) * 0.5f) - 0.5f;
    const float limit = static_cast<float>(mask_side);
    const float near = smaller(larger(position, -2.0f), limit);  // zeros there, and beyond
    const float low = std::floor(near);
    const float weight = near - low;
    return {.low = static_cast<int64_t>(low),
            .high = static_cast<int64_t>(low) + 1,
            .low_weight = 1.0f - weight,
            .high_weight = weight};
  }

  MASKRCNN_HOST_DEVICE static float mix(float low, float high, float low_weight,
                                        float high_weight) noexcept {
    return low * low_weight + high * high_weight;
  }

  MASKRCNN_HOST_DEVICE bool inside(float value) const noexcept {
    return aligned ? value >= threshold : value > threshold;
  }

  // The soft mask of a pixel as uint8.
  MASKRCNN_HOST_DEVICE static uint8_t soft(float value) noexcept {
    return static_cast<uint8_t>(smaller(larger(value * 255.0f, 0.0f), 255.0f));
  }
};

}  // namespace maskrcnn
