// Polygons to pixels by COCO's rule, to the bit.
//
// The boundary is drawn on a grid that is 5 times finer, one point a step along the longer side of
// each edge. Where it passes the line in the middle of a column of pixels, at finer x = 5 * column
// + 2.5, the pixels below change between outside and inside. A column has an even number of such
// places, since the boundary is closed. Points that are not next to such a line decide nothing, so
// only the two next to it are computed.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "../common/host_device.h"

namespace maskrcnn {

constexpr int64_t kFiner = 5, kMiddle = 2;
constexpr int64_t kMaxFiner = 1 << 29;  // vertices farther out are moved to here

struct Canvas {
  int64_t height, width;
};

// Where polygons are put on a canvas: (point - corner) * scale, in float.
struct Placement {
  float corner[2], scale[2];

  int64_t finer(const float* point, int axis) const noexcept {
    const float moved = (point[axis] - corner[axis]) * scale[axis];
    const double place = static_cast<double>(kFiner) * static_cast<double>(moved) + 0.5;
    constexpr double kLimit = kMaxFiner;
    if (!(place > -kLimit)) return -kMaxFiner;
    return static_cast<int64_t>(std::min(place, kLimit));  // towards zero, as COCO's API
  }
};

// An edge of the finer boundary, with its points in the order of the longer side.
class Edge {
 public:
  Edge(int64_t x0, int64_t y0, int64_t x1, int64_t y1) noexcept
      : flat_(std::abs(x1 - x0) >= std::abs(y1 - y0)),
        flipped_(flat_ ? x0 > x1 : y0 > y1),
        x_(flipped_ ? x1 : x0),
        y_(flipped_ ? y1 : y0),
        end_x_(flipped_ ? x0 : x1),
        end_y_(flipped_ ? y0 : y1),
        slope_(flat_ ? static_cast<double>(end_y_ - y_) / static_cast<double>(end_x_ - x_)
                     : static_cast<double>(end_x_ - x_) / static_cast<double>(end_y_ - y_)) {}

  // The columns [first, last) of a canvas whose middle the edge passes.
  int64_t first_column() const noexcept {
    const int64_t low = std::min(x_, end_x_);
    return low <= kMiddle ? 0 : (low - kMiddle + kFiner - 1) / kFiner;
  }
  int64_t last_column(int64_t width) const noexcept {
    const int64_t high = std::max(x_, end_x_);
    return high <= kMiddle ? 0 : std::min((high - kMiddle - 1) / kFiner + 1, width);
  }

  // The first row of a column from which on the edge changes the pixels, in [0, height].
  int64_t row_at(int64_t column, int64_t height) const noexcept {
    const int64_t line = kFiner * column + kMiddle;
    const int64_t y = flat_ ? y_beside(line) : y_ + last_step_before(line);
    return y <= kMiddle ? 0 : std::min((y + kFiner - 1 - kMiddle) / kFiner, height);
  }

 private:
  // The upper one of the points left and right of the line.
  int64_t y_beside(int64_t line) const noexcept {
    return across(y_, slope_ < 0 ? line + 1 - x_ : line - x_);
  }

  // The last step along y that is on the side of the line on which the edge begins.
  int64_t last_step_before(int64_t line) const noexcept {
    const bool begins_beyond = x_ > line;
    const int64_t steps = end_y_ - y_;
    const auto passed = [&](int64_t t) { return (across(x_, t) > line) != begins_beyond; };
    const double guess = (static_cast<double>(line - x_) + 0.5) / slope_;
    int64_t t = std::clamp(static_cast<int64_t>(guess), int64_t{0}, steps - 1);
    while (t > 0 && passed(t)) --t;
    while (t + 1 < steps && !passed(t + 1)) ++t;
    return t;
  }

  int64_t across(int64_t start, int64_t step) const noexcept {
    return static_cast<int64_t>(static_cast<double>(start) + slope_ * static_cast<double>(step) +
                                0.5);
  }

  bool flat_, flipped_;
  int64_t x_, y_, end_x_, end_y_;
  double slope_;
};

// Rasterizes polygons; keeps its memory from one to the next.
class Rasterizer {
 public:
  // Calls body(column, row, end) for the stretches [row, end) of pixels inside a polygon [2 *
  // count]. May throw std::bad_alloc.
  template <typename Body>
  void spans(const float* points, int64_t count, const Placement& placement, const Canvas& canvas,
             const Body& body) {
    if (count < 1 || canvas.height < 1 || canvas.width < 1) return;
    collect_edges(points, count, placement, canvas.width);
    if (last_ <= first_) return;
    collect_rows(canvas);
    for (int64_t c = 0; c < last_ - first_; ++c) {
      int64_t* row = rows_.data() + starts_[c];
      int64_t* end = rows_.data() + starts_[c + 1];
      if (end - row > 2 || row[0] > row[1]) std::sort(row, end);
      for (; row + 1 < end; row += 2) {
        if (row[0] < row[1]) body(first_ + c, row[0], row[1]);
      }
    }
  }

 private:
  void collect_edges(const float* points, int64_t count, const Placement& placement,
                     int64_t width) {
    edges_.clear();
    first_ = width;
    last_ = 0;
    int64_t x = placement.finer(points + 2 * (count - 1), 0);
    int64_t y = placement.finer(points + 2 * (count - 1), 1);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t next_x = placement.finer(points + 2 * i, 0);
      const int64_t next_y = placement.finer(points + 2 * i, 1);
      const Edge edge(x, y, next_x, next_y);
      if (edge.first_column() < edge.last_column(width)) {
        edges_.push_back(edge);
        first_ = std::min(first_, edge.first_column());
        last_ = std::max(last_, edge.last_column(width));
      }
      x = next_x;
      y = next_y;
    }
  }

  // Gathers the rows of all changes by their column, rows_[starts_[c]:starts_[c + 1]].
  void collect_rows(const Canvas& canvas) {
    const int64_t columns = last_ - first_;
    starts_.assign(columns + 2, 0);
    for (const Edge& edge : edges_) {
      ++starts_[edge.first_column() - first_ + 1];
      --starts_[edge.last_column(canvas.width) - first_ + 1];
    }
    // the edges that pass each column, then where its changes begin
    for (int64_t c = 1; c <= columns; ++c) starts_[c] += starts_[c - 1];
    for (int64_t c = 1; c <= columns; ++c) starts_[c] += starts_[c - 1];
    rows_.resize(starts_[columns]);
    next_.assign(starts_.begin(), starts_.end());
    for (const Edge& edge : edges_) {
      const int64_t last = edge.last_column(canvas.width);
      for (int64_t column = edge.first_column(); column < last; ++column) {
        rows_[next_[column - first_]++] = edge.row_at(column, canvas.height);
      }
    }
  }

  std::vector<Edge> edges_;
  std::vector<int64_t> starts_, next_, rows_;
  int64_t first_ = 0, last_ = 0;
};

}  // namespace maskrcnn
