// The registered ops roi_align and roi_align_backward: check arguments, allocate, and run the loop
// of the device. Loops has forward(RoiAlignForward<T>, like) and backward(RoiAlignBackward<T>,
// like), where `like` is a tensor on the device.
#pragma once

#include <vector>

#include "../common/checks.h"
#include "kernel.h"

namespace maskrcnn {

inline void check_levels(const char* op, const Tensor& levels, const Tensor& rois) {
  check(levels.dim() == 1 && levels.size(0) == rois.size(0), op, "expected levels [", rois.size(0),
        "], got ", shape_of(levels));
  check(levels.scalar_type() == ScalarType::Long, op, "expected levels of int64, got ",
        torch::headeronly::toString(levels.scalar_type()));
  check_same_device(op, "levels", levels, rois);
}

// Called if checks_indices(), like check_batch_indices.
inline void check_level_indices(const char* op, const int64_t* levels, int64_t count, int known) {
  for (int64_t k = 0; k < count; ++k) {
    check(levels[k] >= 0 && levels[k] < known, op, "expected levels in [0, ", known, "), got ",
          levels[k], " in row ", k);
  }
}

inline void check_pyramid(const char* op, size_t features, size_t scales) {
  check(features > 0 && features <= kMaxLevels, op, "expected 1 to ", kMaxLevels,
        " feature maps, got ", features);
  check(scales == features, op, "expected a scale for each of ", features, " feature maps, got ",
        scales);
}

// Feature maps [N, C, H, W] of one dtype, device, N and C.
inline void check_same_kind(const char* op, const std::vector<Tensor>& features) {
  const Tensor& first = features[0];
  for (size_t l = 0; l < features.size(); ++l) {
    check_features(op, features[l]);
    check(features[l].scalar_type() == first.scalar_type(), op, "expected feature maps of ",
          torch::headeronly::toString(first.scalar_type()), ", got ",
          torch::headeronly::toString(features[l].scalar_type()), " for number ", l);
    check(features[l].size(0) == first.size(0) && features[l].size(1) == first.size(1), op,
          "expected feature maps [", first.size(0), ", ", first.size(1), ", H, W], got ",
          shape_of(features[l]), " for number ", l);
    check_same_device(op, "feature maps", features[l], first);
  }
}

// Checks the options of both ops.
template <typename A>
RoiAlign<A> make_roi_align(const char* name, const Tensor& rois, const Tensor& levels,
                           const std::vector<double>& scales, int64_t sampling_ratio) {
  check(sampling_ratio <= kMaxSamples, name, "expected sampling_ratio <= ", kMaxSamples, ", got ",
        sampling_ratio);
  RoiAlign<A> op = {.rois = rois.const_data_ptr<A>(),
                    .levels = levels.const_data_ptr<int64_t>(),
                    .count = rois.size(0),
                    .level_count = static_cast<int>(scales.size()),
                    .sampling_ratio = sampling_ratio > 0 ? static_cast<int>(sampling_ratio) : 0};
  for (size_t l = 0; l < scales.size(); ++l) op.level[l].scale = static_cast<A>(scales[l]);
  return op;
}

template <typename Loops>
Tensor roi_align(const std::vector<Tensor>& features, const Tensor& rois, const Tensor& levels,
                 const std::vector<double>& spatial_scales, int64_t pooled_height,
                 int64_t pooled_width, int64_t sampling_ratio, bool aligned) {
  const char* name = "roi_align";
  check_pyramid(name, features.size(), spatial_scales.size());
  check_same_kind(name, features);
  const Tensor& first = features[0];
  const ScalarType type = first.scalar_type();
  check_rois(name, rois, first);
  check_levels(name, levels, rois);
  check_pooled_size(name, pooled_height, pooled_width);
  const bool channels_last = is_channels_last(first);
  const Tensor regions = contiguous_as(rois, accumulator_type(type));
  const Tensor numbers = torch::stable::contiguous(levels);
  std::vector<Tensor> maps;
  for (const Tensor& map : features) maps.push_back(contiguous_in(map, channels_last));
  Tensor output =
      empty_in(first, {rois.size(0), first.size(1), pooled_height, pooled_width}, channels_last);
  dispatch_floating(name, "features", type, [&](auto zero) {
    using T = decltype(zero);
    using A = Accumulator<T>;
    auto op = make_roi_align<A>(name, regions, numbers, spatial_scales, sampling_ratio);
    op.images = first.size(0);
    op.channels = first.size(1);
    op.pooled_height = static_cast<int>(pooled_height);
    op.pooled_width = static_cast<int>(pooled_width);
    op.aligned = aligned;
    op.channels_last = channels_last;
    RoiAlignForward<T> forward = {op, {}, output.mutable_data_ptr<T>()};
    for (size_t l = 0; l < maps.size(); ++l) {
      forward.op.level[l].height = static_cast<int>(maps[l].size(2));
      forward.op.level[l].width = static_cast<int>(maps[l].size(3));
      forward.input[l] = maps[l].template const_data_ptr<T>();
    }
    if (checks_indices(first)) {
      check_batch_indices(name, op.rois, op.count, op.images);
      check_level_indices(name, op.levels, op.count, op.level_count);
    }
    Loops::forward(forward, output);
  });
  return output;
}

// Sums in the dtype of the accumulator and rounds once.
template <typename Loops>
std::vector<Tensor> roi_align_backward(const Tensor& grad, const Tensor& rois, const Tensor& levels,
                                       const std::vector<double>& spatial_scales,
                                       int64_t sampling_ratio, bool aligned, int64_t images,
                                       const std::vector<int64_t>& heights,
                                       const std::vector<int64_t>& widths, bool channels_last) {
  const char* name = "roi_align_backward";
  check_gradient(name, grad, rois);
  check_levels(name, levels, rois);
  check_pyramid(name, heights.size(), spatial_scales.size());
  check(widths.size() == heights.size(), name, "expected ", heights.size(), " widths, got ",
        widths.size());
  for (size_t l = 0; l < heights.size(); ++l) {
    check_feature_size(name, images, heights[l], widths[l]);
  }
  const ScalarType type = grad.scalar_type();
  const Tensor gradient = contiguous_in(grad, channels_last);
  const Tensor regions = contiguous_as(rois, accumulator_type(type));
  const Tensor numbers = torch::stable::contiguous(levels);
  std::vector<Tensor> result;
  for (size_t l = 0; l < heights.size(); ++l) {
    result.push_back(zeros_in(grad, {images, grad.size(1), heights[l], widths[l]},
                              accumulator_type(type), channels_last));
  }
  dispatch_floating(name, "grad", type, [&](auto zero) {
    using T = decltype(zero);
    using A = Accumulator<T>;
    auto op = make_roi_align<A>(name, regions, numbers, spatial_scales, sampling_ratio);
    op.images = images;
    op.channels = grad.size(1);
    op.pooled_height = static_cast<int>(grad.size(2));
    op.pooled_width = static_cast<int>(grad.size(3));
    op.aligned = aligned;
    op.channels_last = channels_last;
    RoiAlignBackward<T> backward = {op, gradient.const_data_ptr<T>(), {}};
    for (size_t l = 0; l < result.size(); ++l) {
      backward.op.level[l].height = static_cast<int>(heights[l]);
      backward.op.level[l].width = static_cast<int>(widths[l]);
      backward.result[l] = result[l].template mutable_data_ptr<A>();
    }
    Loops::backward(backward, gradient);
  });
  for (Tensor& map : result) map = to_type(map, type);
  return result;
}

}  // namespace maskrcnn
