#include <torch/csrc/stable/library.h>

#include "../common/launch.h"
#include "op.h"

namespace maskrcnn {
namespace {

struct CudaLoops {
  template <typename A>
  static void suppress(const Nms<A>& op, const Tensor& keep) {
    const int64_t count = op.boxes.count;
    const int64_t bands = (count + kBand - 1) / kBand;
    const Tensor words = torch::stable::new_empty(keep, {kBand, kBandWords}, ScalarType::Long);
    const Tensor kept = zeros(keep, {bands + 1}, ScalarType::Long);
    int64_t* counts = kept.mutable_data_ptr<int64_t>();
    for (int64_t b = 0; b < bands; ++b) {
      const int64_t begin = b * kBand;
      const int64_t end = smaller(begin + kBand, count);
      const NmsBand<A> band = {.op = op,
                               .begin = begin,
                               .end = end,
                               .words = static_cast<uint64_t*>(words.mutable_data_ptr()),
                               .keep = keep.mutable_data_ptr<bool>(),
                               .kept_before = counts + b,
                               .kept_after = counts + b + 1};
      for_each_on_cuda((end - begin) * kBandWords, keep, NmsPairs<A>{band});
      for_each_on_cuda(end - begin, keep, NmsChoice<A>{band});
      for_each_on_cuda(count - end, keep, NmsStrike<A>{band});
    }
  }
};

}  // namespace
}  // namespace maskrcnn

STABLE_TORCH_LIBRARY_IMPL(maskrcnn_benchmark, CUDA, m) {
  using namespace maskrcnn;
  m.impl("nms", TORCH_BOX(&nms<CudaLoops>));
}
