#include <torch/csrc/stable/library.h>

#include "../common/loops.h"
#include "op.h"

namespace maskrcnn {
namespace {

constexpr int64_t kPlanesPerThread = 16;

// The bins of one region in one channel.
template <typename T>
void pool_plane(const RoiAlignForward<T>& forward, int64_t roi_and_channel) noexcept {
  const auto& op = forward.op;
  const auto grid = op.grid(roi_and_channel / op.channels);
  const T* plane = forward.plane(grid.image, roi_and_channel % op.channels);
  T* output = forward.output + roi_and_channel * op.pooled_height * op.pooled_width;
  for (int y = 0; y < op.pooled_height; ++y) {
    for (int x = 0; x < op.pooled_width; ++x) {
      *output++ = static_cast<T>(op.average(plane, grid, y, x));
    }
  }
}

// What the regions of one image bring to one of its planes, in the order of the regions.
template <typename T>
void spread_to_plane(const RoiAlignBackward<T>& backward, int64_t image_and_channel) noexcept {
  const auto& op = backward.op;
  const int64_t image = image_and_channel / op.channels;
  const int64_t channel = image_and_channel % op.channels;
  auto* plane = backward.plane(image, channel);
  for (int64_t roi = 0; roi < op.count; ++roi) {
    const auto grid = op.grid(roi);
    if (!grid.valid || grid.image != image) continue;
    const int64_t first = (roi * op.channels + channel) * op.pooled_height * op.pooled_width;
    const T* gradient = backward.gradient + first;
    for (int y = 0; y < op.pooled_height; ++y) {
      for (int x = 0; x < op.pooled_width; ++x) {
        op.spread_average(static_cast<Accumulator<T>>(*gradient++), plane, grid, y, x);
      }
    }
  }
}

// A thread has output planes (forward) or feature planes (backward) of its own.
struct CpuLoops {
  template <typename T>
  static void forward(const RoiAlignForward<T>& forward, const Tensor&) {
    for_each_on_cpu(forward.op.count * forward.op.channels, kPlanesPerThread,
                    [&](int64_t i) noexcept { pool_plane(forward, i); });
  }

  template <typename T>
  static void backward(const RoiAlignBackward<T>& backward, const Tensor&) {
    for_each_on_cpu(backward.op.images * backward.op.channels, 1,
                    [&](int64_t i) noexcept { spread_to_plane(backward, i); });
  }
};

}  // namespace
}  // namespace maskrcnn

STABLE_TORCH_LIBRARY_IMPL(maskrcnn_benchmark, CPU, m) {
  using namespace maskrcnn;
  m.impl("roi_align", TORCH_BOX(&roi_align<CpuLoops>));
  m.impl("roi_align_backward", TORCH_BOX(&roi_align_backward<CpuLoops>));
}
