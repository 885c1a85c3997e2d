// Kernel launch on CUDA, and the grid-stride loop. Compiled by nvcc or, to run the same sources
// without a GPU, by a host compiler with emulated_cuda.h instead of CUDA.
#pragma once

#if defined(MASKRCNN_EMULATED_CUDA)
#include "emulated_cuda.h"
#else
#include <cuda_runtime.h>
#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/macros.h>
#endif

#include <torch/csrc/stable/tensor.h>

#include <cstdint>

namespace maskrcnn {

constexpr int kThreadsPerBlock = 256;
#if defined(MASKRCNN_EMULATED_CUDA)
constexpr int64_t kMaxBlocks = 2;  // so that even small tests have more elements than threads
#else
constexpr int64_t kMaxBlocks = 1 << 16;
#endif

template <typename Body>
__global__ void for_each_kernel(int64_t count, const Body body) {
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
  const int64_t first = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  for (int64_t i = first; i < count; i += stride) body(i);
}

// Launches `blocks` blocks of kThreadsPerBlock threads on the device of `like` and the current
// torch stream there. Pointers in the kernel's parameters must be device memory.
template <typename... Parameters, typename... Arguments>
void launch(void (*kernel)(Parameters...), int64_t blocks,
            [[maybe_unused]] const torch::stable::Tensor& like, const Arguments&... arguments) {
  static_assert((0 + ... + sizeof(Parameters)) <= 4096, "kernel arguments are limited to 4 KiB");
#if defined(MASKRCNN_EMULATED_CUDA)
  emulated_cuda::run(blocks, kThreadsPerBlock, [&] { kernel(arguments...); });
#else
  const int32_t device = like.get_device_index();
  const torch::stable::accelerator::DeviceGuard guard(device);
  void* stream = nullptr;
  STABLE_TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(device, &stream));
  const auto on = static_cast<cudaStream_t>(stream);
  // clang-format off
  kernel<<<static_cast<unsigned int>(blocks), kThreadsPerBlock, 0, on>>>(arguments...);
  // clang-format on
  STD_CUDA_KERNEL_LAUNCH_CHECK();
#endif
}

// Calls body(i) for i in [0, count), one thread per index, on the device of `like`.
template <typename Body>
void for_each_on_cuda(int64_t count, const torch::stable::Tensor& like, const Body& body) {
  if (count == 0) return;
  const int64_t blocks = (count + kThreadsPerBlock - 1) / kThreadsPerBlock;
  launch(for_each_kernel<Body>, blocks < kMaxBlocks ? blocks : kMaxBlocks, like, count, body);
}

}  // namespace maskrcnn
