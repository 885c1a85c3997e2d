#include <torch/csrc/stable/library.h>

#include <algorithm>
#include <vector>

#include "../common/loops.h"
#include "../common/vectorized.h"
#include "op.h"
#include "tables.h"
#include "weighted_sums.h"

namespace maskrcnn {
namespace {

// Number of channels whose sums fit into the L1 cache.
constexpr int64_t kChannels = 256;

// Minimum amount of work per thread.
constexpr int64_t kElementsPerThread = 1 << 12;

int64_t grain(int64_t elements) {
  return std::max<int64_t>(kElementsPerThread / (elements + 1), 1);
}

// channels_last: all bins of one region.
template <typename T>
MASKRCNN_INLINE void pool_region(const RoiAlignForward<T>& forward,
                                 const RoiTables<Accumulator<T>>& tables, int64_t roi) noexcept {
  using A = Accumulator<T>;
  const auto& op = forward.op;
  const auto& grid = tables.places[roi].grid;
  T* output = forward.output + roi * op.bins() * op.channels;
  if (!grid.valid) {
    std::fill_n(output, op.bins() * op.channels, static_cast<T>(A(NAN)));
    return;
  }
  const T* image = forward.input[grid.level] + op.plane(grid, 0);
  A sums[kChannels], column[kChannels];
  for (int64_t first = 0; first < op.channels; first += kChannels) {
    const int64_t count = std::min(kChannels, op.channels - first);
    for (int64_t bin = 0; bin < op.bins(); ++bin) {
      const auto rows = tables.rows[roi * op.pooled_height + bin / op.pooled_width];
      std::fill_n(sums, count, A(0));
      for (const auto& x : tables.columns[roi * op.pooled_width + bin % op.pooled_width]) {
        sum_taps(column, image + x.cell * op.channels + first, grid.x.size * op.channels, rows,
                 count);
        add_weighted(sums, column, x.weight, count);
      }
      T* bin_output = output + bin * op.channels + first;
      for (int64_t c = 0; c < count; ++c) bin_output[c] = static_cast<T>(sums[c]);
    }
  }
}

// channels_last: adds the gradient of one region to channels [first, first + count) of its feature
// map.
template <typename T>
MASKRCNN_INLINE void spread_region(const RoiAlignBackward<T>& backward,
                                   const RoiTables<Accumulator<T>>& tables, int64_t roi,
                                   int64_t first, int64_t count) noexcept {
  using A = Accumulator<T>;
  const auto& op = backward.op;
  const auto& place = tables.places[roi];
  if (!place.grid.valid) return;
  A* image = backward.result[place.grid.level] + op.plane(place.grid, first);
  const T* gradient = backward.gradient + roi * op.bins() * op.channels + first;
  A sums[kChannels];
  for (int y = 0; y < op.pooled_height; ++y) {
    const auto rows = tables.rows[roi * op.pooled_height + y];
    for (int64_t i = place.first_column; i < place.first_column + place.columns; ++i) {
      sum_taps(sums, gradient + int64_t{y} * op.pooled_width * op.channels, op.channels,
               tables.bins_of_columns[i], count);
      spread_taps(sums, image + tables.column_cells[i] * op.channels,
                  place.grid.x.size * op.channels, rows, count);
    }
  }
}

// Contiguous: all bins of one region in one channel. `window` holds one of its rows.
template <typename T>
MASKRCNN_INLINE void pool_plane(const RoiAlignForward<T>& forward,
                                const RoiTables<Accumulator<T>>& tables, int64_t roi,
                                int64_t channel, Accumulator<T>* window) noexcept {
  using A = Accumulator<T>;
  const auto& op = forward.op;
  const auto& place = tables.places[roi];
  T* output = forward.output + (roi * op.channels + channel) * op.bins();
  if (!place.grid.valid) {
    std::fill_n(output, op.bins(), static_cast<T>(A(NAN)));
    return;
  }
  const T* plane = forward.input[place.grid.level] + op.plane(place.grid, channel);
  for (int y = 0; y < op.pooled_height; ++y) {
    sum_taps(window, plane + place.x_begin, place.grid.x.size,
             tables.rows[roi * op.pooled_height + y], place.width);
    for (int x = 0; x < op.pooled_width; ++x) {
      A sum = A(0);
      for (const auto& tap : tables.columns[roi * op.pooled_width + x]) {
        sum += tap.weight * window[tap.cell - place.x_begin];
      }
      *output++ = static_cast<T>(sum);
    }
  }
}

// Contiguous: adds the gradient of one region to one channel of its feature map.
template <typename T>
MASKRCNN_INLINE void spread_plane(const RoiAlignBackward<T>& backward,
                                  const RoiTables<Accumulator<T>>& tables, int64_t roi,
                                  int64_t channel, Accumulator<T>* window) noexcept {
  using A = Accumulator<T>;
  const auto& op = backward.op;
  const auto& place = tables.places[roi];
  if (!place.grid.valid) return;
  A* plane = backward.result[place.grid.level] + op.plane(place.grid, channel);
  const T* gradient = backward.gradient + (roi * op.channels + channel) * op.bins();
  for (int y = 0; y < op.pooled_height; ++y) {
    std::fill_n(window, place.width, A(0));
    for (int x = 0; x < op.pooled_width; ++x) {
      const A value = static_cast<A>(*gradient++);
      for (const auto& tap : tables.columns[roi * op.pooled_width + x]) {
        window[tap.cell - place.x_begin] += tap.weight * value;
      }
    }
    spread_taps(window, plane + place.x_begin, place.grid.x.size,
                tables.rows[roi * op.pooled_height + y], place.width);
  }
}

template <typename T>
MASKRCNN_VECTORIZED void pool_regions(const RoiAlignForward<T>& forward,
                                      const RoiTables<Accumulator<T>>& tables, int64_t begin,
                                      int64_t end) noexcept {
  for (int64_t roi = begin; roi < end; ++roi) pool_region(forward, tables, roi);
}

template <typename T>
MASKRCNN_VECTORIZED void pool_planes(const RoiAlignForward<T>& forward,
                                     const RoiTables<Accumulator<T>>& tables, int64_t begin,
                                     int64_t end, Accumulator<T>* window) noexcept {
  for (int64_t channel = begin; channel < end; ++channel) {
    for (int64_t roi = 0; roi < forward.op.count; ++roi) {
      pool_plane(forward, tables, roi, channel, window);
    }
  }
}

template <typename T>
MASKRCNN_VECTORIZED void spread_regions(const RoiAlignBackward<T>& backward,
                                        const RoiTables<Accumulator<T>>& tables, int64_t begin,
                                        int64_t end) noexcept {
  for (int64_t first = begin; first < end; first += kChannels) {
    for (int64_t roi = 0; roi < backward.op.count; ++roi) {
      spread_region(backward, tables, roi, first, std::min(kChannels, end - first));
    }
  }
}

template <typename T>
MASKRCNN_VECTORIZED void spread_planes(const RoiAlignBackward<T>& backward,
                                       const RoiTables<Accumulator<T>>& tables, int64_t begin,
                                       int64_t end, Accumulator<T>* window) noexcept {
  for (int64_t channel = begin; channel < end; ++channel) {
    for (int64_t roi = 0; roi < backward.op.count; ++roi) {
      spread_plane(backward, tables, roi, channel, window);
    }
  }
}

// Threads are distributed over regions (forward, channels_last) or channels (otherwise). A thread
// that processes planes has its own row buffer.
struct CpuLoops {
  template <typename T>
  static void forward(const RoiAlignForward<T>& forward, const Tensor&) {
    const auto& op = forward.op;
    const RoiTables<Accumulator<T>> tables(op, /*with_bins_of_columns=*/false);
    if (op.channels_last) {
      for_each_range_on_cpu(
          op.count, grain(op.bins() * op.channels),
          [&](int64_t begin, int64_t end) noexcept { pool_regions(forward, tables, begin, end); });
      return;
    }
    const int64_t width = tables.widest_window();
    std::vector<Accumulator<T>> windows(width * op.channels);
    for_each_range_on_cpu(
        op.channels, grain(op.bins() * op.count), [&](int64_t begin, int64_t end) noexcept {
          pool_planes(forward, tables, begin, end, windows.data() + begin * width);
        });
  }

  template <typename T>
  static void backward(const RoiAlignBackward<T>& backward, const Tensor&) {
    const auto& op = backward.op;
    const RoiTables<Accumulator<T>> tables(op, /*with_bins_of_columns=*/op.channels_last);
    const int64_t work = grain(op.bins() * op.count);
    if (op.channels_last) {
      for_each_range_on_cpu(op.channels, work, [&](int64_t begin, int64_t end) noexcept {
        spread_regions(backward, tables, begin, end);
      });
      return;
    }
    const int64_t width = tables.widest_window();
    std::vector<Accumulator<T>> windows(width * op.channels);
    for_each_range_on_cpu(op.channels, work, [&](int64_t begin, int64_t end) noexcept {
      spread_planes(backward, tables, begin, end, windows.data() + begin * width);
    });
  }
};

}  // namespace
}  // namespace maskrcnn

STABLE_TORCH_LIBRARY_IMPL(maskrcnn_benchmark, CPU, m) {
  using namespace maskrcnn;
  m.impl("roi_align", TORCH_BOX(&roi_align<CpuLoops>));
  m.impl("roi_align_backward", TORCH_BOX(&roi_align_backward<CpuLoops>));
}
