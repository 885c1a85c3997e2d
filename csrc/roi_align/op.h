// roi_align as the dispatcher sees it: check, allocate, and let the device loop.
// Loops has forward(RoiAlignForward<T>, like) and backward(RoiAlignBackward<T>, like), where `like`
// is a tensor of the device.
#pragma once

#include "../common/checks.h"
#include "kernel.h"

namespace maskrcnn {

template <typename Loops>
Tensor roi_align(const Tensor& input, const Tensor& rois, double spatial_scale,
                 int64_t pooled_height, int64_t pooled_width, int64_t sampling_ratio,
                 bool aligned) {
  check_features("roi_align", input);
  check_rois("roi_align", rois, input);
  check_pooled_size("roi_align", pooled_height, pooled_width);
  const Tensor features = torch::stable::contiguous(input);
  const Tensor regions = contiguous_as(rois, accumulator_type(input.scalar_type()));
  Tensor output =
      torch::stable::new_empty(input, {rois.size(0), input.size(1), pooled_height, pooled_width});
  dispatch_floating("roi_align", "input", input.scalar_type(), [&](auto zero) {
    using T = decltype(zero);
    using A = Accumulator<T>;
    const RoiAlign<A> op = {.rois = regions.const_data_ptr<A>(),
                            .count = rois.size(0),
                            .images = input.size(0),
                            .channels = input.size(1),
                            .height = static_cast<int>(input.size(2)),
                            .width = static_cast<int>(input.size(3)),
                            .pooled_height = static_cast<int>(pooled_height),
                            .pooled_width = static_cast<int>(pooled_width),
                            .spatial_scale = static_cast<A>(spatial_scale),
                            .sampling_ratio = static_cast<int>(sampling_ratio),
                            .aligned = aligned};
    if (input.is_cpu()) check_batch_indices("roi_align", op.rois, op.count, op.images);
    const T* source = features.const_data_ptr<T>();
    Loops::forward(RoiAlignForward<T>{op, source, output.mutable_data_ptr<T>()}, output);
  });
  return output;
}

// The sum is kept in the accumulator's dtype and rounded once.
template <typename Loops>
Tensor roi_align_backward(const Tensor& grad, const Tensor& rois, double spatial_scale,
                          int64_t sampling_ratio, bool aligned, int64_t images, int64_t height,
                          int64_t width) {
  check_gradient("roi_align_backward", grad, rois);
  check_feature_size("roi_align_backward", images, height, width);
  const ScalarType type = grad.scalar_type();
  const Tensor gradient = torch::stable::contiguous(grad);
  const Tensor regions = contiguous_as(rois, accumulator_type(type));
  Tensor result = zeros(grad, {images, grad.size(1), height, width}, accumulator_type(type));
  dispatch_floating("roi_align_backward", "grad", type, [&](auto zero) {
    using T = decltype(zero);
    using A = Accumulator<T>;
    const RoiAlign<A> op = {.rois = regions.const_data_ptr<A>(),
                            .count = rois.size(0),
                            .images = images,
                            .channels = grad.size(1),
                            .height = static_cast<int>(height),
                            .width = static_cast<int>(width),
                            .pooled_height = static_cast<int>(grad.size(2)),
                            .pooled_width = static_cast<int>(grad.size(3)),
                            .spatial_scale = static_cast<A>(spatial_scale),
                            .sampling_ratio = static_cast<int>(sampling_ratio),
                            .aligned = aligned};
    const T* source = gradient.const_data_ptr<T>();
    Loops::backward(RoiAlignBackward<T>{op, source, result.mutable_data_ptr<A>()}, result);
  });
  return contiguous_as(result, type);
}

}  // namespace maskrcnn
