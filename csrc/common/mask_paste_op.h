// What the operators that paste masks share on the host: the checks of their arguments.
#pragma once

#include "checks.h"
#include "mask_paste.h"

namespace maskrcnn {

constexpr int64_t kMaxPadding = 1 << 16;
constexpr int64_t kMaxPixels = int64_t{1} << 31;  // COCO counts them in 32 bits

inline PasteRule paste_rule(const char* op, const Tensor& masks, const Tensor& boxes,
                            int64_t height, int64_t width, double threshold, int64_t padding,
                            bool aligned) {
  check(masks.dim() == 3 && masks.size(1) == masks.size(2) && masks.size(1) > 0, op,
        "expected masks [R, M, M] with M > 0, got ", shape_of(masks));
  check(boxes.dim() == 2 && boxes.size(0) == masks.size(0) && boxes.size(1) == 4, op,
        "expected boxes [", masks.size(0), ", 4], got ", shape_of(boxes));
  check_same_device(op, "boxes", boxes, masks);
  dispatch_floating(op, "masks", masks.scalar_type(), [](auto) {});
  dispatch_floating(op, "boxes", boxes.scalar_type(), [](auto) {});
  check(height > 0 && width > 0 && height < kMaxPixels / width, op,
        "expected an image of 1 to 2^31 pixels, got height ", height, " and width ", width);
  check(padding >= 0 && padding <= kMaxPadding, op, "expected padding in [0, ", kMaxPadding,
        "], got ", padding);
  check(threshold == threshold, op, "expected a threshold that is a number, got ", threshold);
  return {.mask_side = masks.size(1),
          .padding = padding,
          .height = height,
          .width = width,
          .threshold = static_cast<float>(threshold),
          .aligned = aligned};
}

}  // namespace maskrcnn
