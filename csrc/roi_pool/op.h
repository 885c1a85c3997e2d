// The registered ops roi_pool and roi_pool_backward: check arguments, allocate, and run the loop of
// the device. Loops has forward(RoiPoolForward<T>, like) and backward(RoiPoolBackward<T>, like),
// where `like` is a tensor on the device.
#pragma once

#include <tuple>

#include "../common/checks.h"
#include "kernel.h"

namespace maskrcnn {

template <typename Loops>
std::tuple<Tensor, Tensor> roi_pool(const Tensor& input, const Tensor& rois, double spatial_scale,
                                    int64_t pooled_height, int64_t pooled_width) {
  check_features("roi_pool", input);
  check_rois("roi_pool", rois, input);
  check_pooled_size("roi_pool", pooled_height, pooled_width);
  const Tensor features = torch::stable::contiguous(input);
  const Tensor regions = contiguous_as(rois, accumulator_type(input.scalar_type()));
  const int64_t count = rois.size(0), channels = input.size(1);
  Tensor output = torch::stable::new_empty(input, {count, channels, pooled_height, pooled_width});
  Tensor argmax = torch::stable::new_empty(input, {count, channels, pooled_height, pooled_width},
                                           ScalarType::Int);
  dispatch_floating("roi_pool", "input", input.scalar_type(), [&](auto zero) {
    using T = decltype(zero);
    using A = Accumulator<T>;
    const RoiPool<A> op = {.rois = regions.const_data_ptr<A>(),
                           .count = count,
                           .images = input.size(0),
                           .channels = channels,
                           .height = static_cast<int>(input.size(2)),
                           .width = static_cast<int>(input.size(3)),
                           .pooled_height = static_cast<int>(pooled_height),
                           .pooled_width = static_cast<int>(pooled_width),
                           .spatial_scale = static_cast<A>(spatial_scale)};
    if (checks_indices(input)) check_batch_indices("roi_pool", op.rois, op.count, op.images);
    Loops::forward(RoiPoolForward<T>{op, features.const_data_ptr<T>(), output.mutable_data_ptr<T>(),
                                     argmax.mutable_data_ptr<int32_t>()},
                   output);
  });
  return {output, argmax};
}

// Sums in the dtype of the accumulator and rounds once.
template <typename Loops>
Tensor roi_pool_backward(const Tensor& grad, const Tensor& rois, const Tensor& argmax,
                         int64_t images, int64_t height, int64_t width) {
  check_gradient("roi_pool_backward", grad, rois);
  check_feature_size("roi_pool_backward", images, height, width);
  check(shape_of(argmax) == shape_of(grad), "roi_pool_backward", "expected argmax ", shape_of(grad),
        ", got ", shape_of(argmax));
  check_same_device("roi_pool_backward", "argmax", argmax, grad);
  check_integer("roi_pool_backward", "argmax", argmax);
  const ScalarType type = grad.scalar_type();
  const Tensor gradient = torch::stable::contiguous(grad);
  const Tensor positions = contiguous_as(argmax, ScalarType::Int);
  const Tensor regions = contiguous_as(rois, accumulator_type(type));
  Tensor result = zeros(grad, {images, grad.size(1), height, width}, accumulator_type(type));
  dispatch_floating("roi_pool_backward", "grad", type, [&](auto zero) {
    using T = decltype(zero);
    using A = Accumulator<T>;
    const RoiPoolBackward<T> backward = {.rois = regions.const_data_ptr<A>(),
                                         .gradient = gradient.const_data_ptr<T>(),
                                         .argmax = positions.const_data_ptr<int32_t>(),
                                         .result = result.mutable_data_ptr<A>(),
                                         .count = rois.size(0),
                                         .images = images,
                                         .channels = grad.size(1),
                                         .bins = grad.size(2) * grad.size(3),
                                         .area = height * width};
    Loops::backward(backward, result);
  });
  return contiguous_as(result, type);
}

}  // namespace maskrcnn
