// Argument checks and conversions shared by all ops.
#pragma once

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/BFloat16.h>
#include <torch/headeronly/util/Half.h>

#include <array>
#include <cstdint>
#include <sstream>
#include <stdexcept>
#include <string>

namespace maskrcnn {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

// Throws std::runtime_error (RuntimeError in Python) with the message "op: part part ...".
template <typename... Parts>
void check(bool condition, const char* op, const Parts&... parts) {
  if (condition) return;
  std::ostringstream message;
  message << op << ": ";
  (message << ... << parts);
  throw std::runtime_error(message.str());
}

inline std::string shape_of(const Tensor& tensor) {
  std::ostringstream text;
  text << "[";
  for (int64_t d = 0; d < tensor.dim(); ++d) text << (d ? ", " : "") << tensor.size(d);
  text << "]";
  return text.str();
}

inline std::string device_of(const Tensor& tensor) {
  if (tensor.is_cpu()) return "cpu";
  const char* type = tensor.is_cuda() ? "cuda:" : "another device:";
  return type + std::to_string(tensor.get_device_index());
}

inline void check_same_device(const char* op, const char* name, const Tensor& tensor,
                              const Tensor& reference) {
  check(device_of(tensor) == device_of(reference), op, "expected ", name, " on ",
        device_of(reference), ", got ", device_of(tensor));
}

// Calls body(T{}) with the C++ type T of a floating-point `type`.
template <typename Body>
auto dispatch_floating(const char* op, const char* name, ScalarType type, const Body& body) {
  switch (type) {
    case ScalarType::Float:
      return body(float{});
    case ScalarType::Double:
      return body(double{});
    case ScalarType::Half:
      return body(torch::headeronly::Half{});
    case ScalarType::BFloat16:
      return body(torch::headeronly::BFloat16{});
    default:
      throw std::runtime_error(std::string(op) + ": expected " + name +
                               " of a floating type, got " + torch::headeronly::toString(type));
  }
}

inline void check_integer(const char* op, const char* name, const Tensor& tensor) {
  const ScalarType type = tensor.scalar_type();
  check(type == ScalarType::Long || type == ScalarType::Int || type == ScalarType::Short ||
            type == ScalarType::Char || type == ScalarType::Byte || type == ScalarType::Bool,
        op, "expected ", name, " of an integer type, got ", torch::headeronly::toString(type));
}

// The dtype of maskrcnn::Accumulator for the given dtype.
inline ScalarType accumulator_type(ScalarType type) {
  return type == ScalarType::Double ? ScalarType::Double : ScalarType::Float;
}

// The tensor in the given dtype and its own memory format; no copy if it has that dtype.
inline Tensor to_type(const Tensor& tensor, ScalarType type) {
  return tensor.scalar_type() == type ? tensor : torch::stable::to(tensor, type);
}

// The tensor in the given dtype, contiguous; no copy if it already is.
inline Tensor contiguous_as(const Tensor& tensor, ScalarType type) {
  return torch::stable::contiguous(to_type(tensor, type));
}

// A new tensor of zeros on the device of `like`.
inline Tensor zeros(const Tensor& like, torch::headeronly::IntHeaderOnlyArrayRef size,
                    ScalarType type) {
  return torch::stable::new_zeros(like, size, type);
}

// Whether a tensor [N, C, H, W] is in channels_last and not also in contiguous format.
inline bool is_channels_last(const Tensor& tensor) {
  using torch::stable::transpose;
  return !tensor.is_contiguous() && transpose(transpose(tensor, 1, 3), 1, 2).is_contiguous();
}

// The tensor [N, C, H, W] in one of the two memory formats; no copy if it already is.
inline Tensor contiguous_in(const Tensor& tensor, bool channels_last) {
  using torch::headeronly::MemoryFormat;
  return torch::stable::contiguous(
      tensor, channels_last ? MemoryFormat::ChannelsLast : MemoryFormat::Contiguous);
}

inline Tensor written_as_nchw(const Tensor& nhwc) {
  using torch::stable::transpose;
  return transpose(transpose(nhwc, 1, 2), 1, 3);
}

// New tensors [N, C, H, W] on the device of `like` in either format; `empty_in` also in its dtype.
inline Tensor empty_in(const Tensor& like, const std::array<int64_t, 4>& size, bool channels_last) {
  const auto [n, c, h, w] = size;
  if (channels_last) return written_as_nchw(torch::stable::new_empty(like, {n, h, w, c}));
  return torch::stable::new_empty(like, {n, c, h, w});
}

inline Tensor zeros_in(const Tensor& like, const std::array<int64_t, 4>& size, ScalarType type,
                       bool channels_last) {
  const auto [n, c, h, w] = size;
  if (channels_last) return written_as_nchw(zeros(like, {n, h, w, c}, type));
  return zeros(like, {n, c, h, w}, type);
}

inline void check_rois(const char* op, const Tensor& rois, const Tensor& reference) {
  check(rois.dim() == 2 && rois.size(1) == 5, op, "expected rois [R, 5], got ", shape_of(rois));
  check_same_device(op, "rois", rois, reference);
  dispatch_floating(op, "rois", rois.scalar_type(), [](auto) {});
}

inline void check_features(const char* op, const Tensor& input) {
  check(input.dim() == 4, op, "expected input [N, C, H, W], got ", shape_of(input));
  check(input.size(2) > 0 && input.size(3) > 0, op, "expected input with H, W > 0, got ",
        shape_of(input));
}

inline void check_pooled_size(const char* op, int64_t height, int64_t width) {
  check(height > 0 && width > 0, op, "expected output_size > 0, got (", height, ", ", width, ")");
}

// The size [images, C, height, width] of the features that a gradient belongs to.
inline void check_feature_size(const char* op, int64_t images, int64_t height, int64_t width) {
  check(images >= 0 && height > 0 && width > 0, op, "expected images >= 0 and height, width > 0, ",
        "got ", images, ", ", height, ", ", width);
}

inline void check_gradient(const char* op, const Tensor& grad, const Tensor& rois) {
  check_rois(op, rois, grad);
  check(grad.dim() == 4 && grad.size(0) == rois.size(0), op, "expected grad [", rois.size(0),
        ", C, pooled_height, pooled_width], got ", shape_of(grad));
}

// CPU only: on CUDA this would synchronize, so the kernels return NaN instead, as they do where
// CUDA is emulated.
inline bool checks_indices(const Tensor& tensor) {
#if defined(MASKRCNN_EMULATED_CUDA)
  return false;
#endif
  return tensor.is_cpu();
}

template <typename A>
void check_batch_indices(const char* op, const A* rois, int64_t count, int64_t images) {
  for (int64_t k = 0; k < count; ++k) {
    const A image = rois[5 * k];
    check(image >= 0 && image < images, op, "expected rois[:, 0] in [0, ", images, "), got ", image,
          " in row ", k);
  }
}

}  // namespace maskrcnn
