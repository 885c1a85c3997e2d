// The target of one ROI: its instance inside the box, as a grid and as areas in pixels.
#pragma once

#include <cmath>

#include "raster.h"

namespace maskrcnn {

// A box with a coordinate beyond it, infinite or NaN has no target.
constexpr float kMaxTargetCoordinate = 1 << 24;

// Float32 polygons of several instances.
struct PolygonSet {
  const float* coordinates;
  const int64_t* polygon_starts;   // in coordinates, and its length
  const int64_t* instance_starts;  // in polygons, and their number

  template <typename Body>
  void for_each_polygon(int64_t instance, const Body& body) const {
    for (int64_t p = instance_starts[instance]; p < instance_starts[instance + 1]; ++p) {
      body(coordinates + polygon_starts[p], (polygon_starts[p + 1] - polygon_starts[p]) / 2);
    }
  }
};

struct MaskTargets {
  PolygonSet polygons;
  const float* boxes;  // [R, 4]
  const int64_t* matched;
  int64_t side;
  int64_t height, width;  // of the image
  uint8_t* masks;         // [R, side, side], zeros
  int64_t* areas;         // [R, 2]

  // May throw std::bad_alloc.
  void compute(int64_t r, Rasterizer& rasterizer) const {
    const float* box = boxes + 4 * r;
    int64_t* area = areas + 2 * r;
    area[0] = area[1] = 0;
    for (int i = 0; i < 4; ++i) {
      if (!(std::abs(box[i]) <= kMaxTargetCoordinate)) return;
    }
    draw(box, matched[r], masks + r * side * side, rasterizer);
    area[0] = summed_area(matched[r], {{box[0], box[1]}, {1, 1}},
                          {.height = static_cast<int64_t>(box[3] - box[1]),
                           .width = static_cast<int64_t>(box[2] - box[0])},
                          rasterizer);
    area[1] = whole_area(box, matched[r], rasterizer);
  }

 private:
  // The union of the polygons. The box has no + 1, and at least one pixel.
  void draw(const float* box, int64_t instance, uint8_t* mask, Rasterizer& rasterizer) const {
    const double box_width = larger<double>(box[2] - box[0], 1);
    const double box_height = larger<double>(box[3] - box[1], 1);
    const Placement placement = {{box[0], box[1]},
                                 {static_cast<float>(static_cast<double>(side) / box_width),
                                  static_cast<float>(static_cast<double>(side) / box_height)}};
    polygons.for_each_polygon(instance, [&](const float* points, int64_t count) {
      rasterizer.spans(points, count, placement, {.height = side, .width = side},
                       [&](int64_t x, int64_t row, int64_t end) {
                         for (int64_t y = row; y < end; ++y) mask[y * side + x] = 1;
                       });
    });
  }

  // Areas are summed over the polygons, not over their union, as the original does.
  int64_t summed_area(int64_t instance, const Placement& placement, const Canvas& canvas,
                      Rasterizer& rasterizer) const {
    int64_t area = 0;
    polygons.for_each_polygon(instance, [&](const float* points, int64_t count) {
      rasterizer.spans(points, count, placement, canvas,
                       [&](int64_t, int64_t row, int64_t end) { area += end - row; });
    });
    return area;
  }

  // In the window around the vertices and the box, within the image; its size is truncated.
  int64_t whole_area(const float* box, int64_t instance, Rasterizer& rasterizer) const {
    float low[2] = {std::trunc(box[0]), std::trunc(box[1])};
    float high[2] = {std::trunc(box[2]) + 1, std::trunc(box[3]) + 1};
    polygons.for_each_polygon(instance, [&](const float* points, int64_t count) {
      for (int64_t i = 0; i < 2 * count; ++i) {
        low[i % 2] = smaller(points[i], low[i % 2]);
        high[i % 2] = larger(points[i], high[i % 2]);
      }
    });
    const float limits[2] = {static_cast<float>(width) - 1, static_cast<float>(height) - 1};
    for (int axis = 0; axis < 2; ++axis) {
      low[axis] = smaller(larger(low[axis], 0.0f), limits[axis]);
      high[axis] = smaller(larger(high[axis], 0.0f), limits[axis]);
    }
    return summed_area(instance, {{low[0], low[1]}, {1, 1}},
                       {.height = static_cast<int64_t>(high[1] - low[1]),
                        .width = static_cast<int64_t>(high[0] - low[0])},
                       rasterizer);
  }
};

}  // namespace maskrcnn
