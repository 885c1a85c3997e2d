// Per-region tables that the CPU loops compute once for all channels.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "kernel.h"

namespace maskrcnn {

// Concatenated lists of taps.
template <typename A>
class TapLists {
 public:
  void reserve(int64_t lists) { begins_.reserve(lists + 1); }

  // Adds to the last list.
  void add(Tap<A> tap) { taps_.push_back(tap); }

  // Ends the last list.
  void end_list() { begins_.push_back(static_cast<int64_t>(taps_.size())); }

  int64_t size() const noexcept { return static_cast<int64_t>(begins_.size()) - 1; }

  std::span<const Tap<A>> operator[](int64_t list) const noexcept {
    return {taps_.data() + begins_[list], taps_.data() + begins_[list + 1]};
  }

 private:
  std::vector<Tap<A>> taps_;
  std::vector<int64_t> begins_ = {0};
};

template <typename A>
struct RoiTables {
  // The location of a region.
  struct Place {
    RoiGrid<A> grid;
    int x_begin;  // columns [x_begin, x_begin + width) hold all taps of x
    int width;
    int64_t first_column;  // index into `bins_of_columns`
    int64_t columns;
  };

  std::vector<Place> places;
  TapLists<A> rows;               // list roi * pooled_height + y: cells of a bin on the y axis
  TapLists<A> columns;            // list roi * pooled_width + x: cells of a bin on the x axis
  TapLists<A> bins_of_columns;    // per column with weight in a bin of its region: the bins
  std::vector<int> column_cells;  // the column of each such list

  // The last two are built for backward loops.
  RoiTables(const RoiAlign<A>& op, bool with_bins_of_columns) {
    places.reserve(op.count);
    rows.reserve(op.count * op.pooled_height);
    columns.reserve(op.count * op.pooled_width);
    for (int64_t roi = 0; roi < op.count; ++roi) {
      const RoiGrid<A> grid = op.grid(roi);
      add_bins(rows, grid.y, op.pooled_height);
      add_bins(columns, grid.x, op.pooled_width);
      Place place = {grid, 0, 0, bins_of_columns.size(), 0};
      set_window(place, op.pooled_width);
      if (with_bins_of_columns) add_columns(place, op.pooled_width);
      places.push_back(place);
    }
  }

  int widest_window() const noexcept {
    int result = 0;
    for (const Place& place : places) result = std::max(result, place.width);
    return result;
  }

 private:
  static constexpr int kLanes = 8;

  static void add_bins(TapLists<A>& lists, const RoiAxis<A>& axis, int bins) {
    for (int bin = 0; bin < bins; ++bin) {
      for_each_tap(axis, bin, [&](const Tap<A>& tap) { lists.add(tap); });
      lists.end_list();
    }
  }

  // Windows are widened to whole vectors if the map is wide enough.
  void set_window(Place& place, int bins) const noexcept {
    const int size = place.grid.x.size;
    int begin = size, end = 0;
    for (int64_t list = columns.size() - bins; list < columns.size(); ++list) {
      for (const Tap<A>& tap : columns[list]) {
        begin = std::min(begin, tap.cell);
        end = std::max(end, tap.cell + 1);
      }
    }
    if (begin >= end) return;
    place.width = std::min((end - begin + kLanes - 1) / kLanes * kLanes, size);
    place.x_begin = std::min(begin, size - place.width);
  }

  void add_columns(Place& place, int bins) {
    struct Share {
      int cell;
      int bin;
      A weight;
    };
    std::vector<Share> shares;
    for (int bin = 0; bin < bins; ++bin) {
      for (const Tap<A>& tap : columns[columns.size() - bins + bin]) {
        shares.push_back({tap.cell, bin, tap.weight});
      }
    }
    std::stable_sort(shares.begin(), shares.end(),
                     [](const Share& a, const Share& b) { return a.cell < b.cell; });
    for (size_t i = 0; i < shares.size(); ++i) {
      bins_of_columns.add({shares[i].bin, shares[i].weight});
      if (i + 1 < shares.size() && shares[i + 1].cell == shares[i].cell) continue;
      bins_of_columns.end_list();
      column_cells.push_back(shares[i].cell);
      ++place.columns;
    }
  }
};

}  // namespace maskrcnn
