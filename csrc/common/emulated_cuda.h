// Definitions that let a host compiler compile cuda.cu, so that the launches and the indexing of
// the CUDA kernels can be tested without a GPU. tests/helpers/emulated_cuda.py builds it as a
// separate library with -DMASKRCNN_EMULATED_CUDA; it is never part of the extension.
//
// Threads run sequentially in reverse order, because CUDA guarantees no order. Memory is host
// memory, so that the kernels can run under AddressSanitizer. Barriers, shared memory and warps are
// not emulated: a kernel that uses them does not compile here.
#pragma once

#include <torch/csrc/stable/library.h>

#include <cstdint>
#include <stdexcept>
#include <string>

#define __global__
#define __device__

// The dispatch key of all registrations below: CPU tensors.
#undef STABLE_TORCH_LIBRARY_IMPL
#define STABLE_TORCH_LIBRARY_IMPL(ns, key, m) _STABLE_TORCH_LIBRARY_IMPL(ns, CPU, m, C10_UID)

namespace maskrcnn::emulated_cuda {

// An index into or a size of the grid; our kernels use one dimension.
struct OneDimension {
  unsigned int x;
};

inline thread_local OneDimension block_index{}, block_size{}, grid_size{}, thread_index{};

// Runs the grid. Throws where CUDA fails: for a grid with no or too many blocks.
template <typename Thread>
void run(int64_t blocks, int threads, const Thread& thread) {
  if (blocks < 1 || blocks > 0x7fffffff) {
    throw std::runtime_error("launch: invalid configuration, " + std::to_string(blocks) +
                             " blocks");
  }
  grid_size.x = static_cast<unsigned int>(blocks);
  block_size.x = static_cast<unsigned int>(threads);
  for (unsigned int block = grid_size.x; block-- > 0;) {
    block_index.x = block;
    for (unsigned int index = block_size.x; index-- > 0;) {
      thread_index.x = index;
      thread();
    }
  }
}

}  // namespace maskrcnn::emulated_cuda

#define blockIdx maskrcnn::emulated_cuda::block_index
#define blockDim maskrcnn::emulated_cuda::block_size
#define gridDim maskrcnn::emulated_cuda::grid_size
#define threadIdx maskrcnn::emulated_cuda::thread_index
