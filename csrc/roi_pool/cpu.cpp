#include <torch/csrc/stable/library.h>

#include "../common/loops.h"
#include "op.h"

namespace maskrcnn {
namespace {

constexpr int64_t kBinsPerThread = 512;

// Adds the gradients of the regions of one image to one of its planes, in the order of the regions.
template <typename T>
void spread_to_plane(const RoiPoolBackward<T>& backward, int64_t image_and_channel) noexcept {
  const int64_t image = image_and_channel / backward.channels;
  const int64_t channel = image_and_channel % backward.channels;
  for (int64_t roi = 0; roi < backward.count; ++roi) {
    if (!backward.in_image(roi, image)) continue;
    const int64_t first = (roi * backward.channels + channel) * backward.bins;
    for (int64_t bin = 0; bin < backward.bins; ++bin) backward(first + bin);
  }
}

// Threads are distributed over bins (forward) or feature planes (backward).
struct CpuLoops {
  template <typename T>
  static void forward(const RoiPoolForward<T>& forward, const Tensor&) {
    for_each_on_cpu(forward.op.pooled_elements(), kBinsPerThread, forward);
  }

  template <typename T>
  static void backward(const RoiPoolBackward<T>& backward, const Tensor&) {
    for_each_on_cpu(backward.images * backward.channels, 1,
                    [&](int64_t i) noexcept { spread_to_plane(backward, i); });
  }
};

}  // namespace
}  // namespace maskrcnn

STABLE_TORCH_LIBRARY_IMPL(maskrcnn_benchmark, CPU, m) {
  using namespace maskrcnn;
  m.impl("roi_pool", TORCH_BOX(&roi_pool<CpuLoops>));
  m.impl("roi_pool_backward", TORCH_BOX(&roi_pool_backward<CpuLoops>));
}
