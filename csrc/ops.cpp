// The schemas of all ops, and the Python module that loads them. Kernels are registered in cpu.cpp
// and cuda.cu of each folder, fake implementations and gradients in
// maskrcnn_benchmark/layers/_ops.py.
#include <Python.h>
#include <torch/csrc/stable/library.h>

STABLE_TORCH_LIBRARY(maskrcnn_benchmark, m) {
  // boxes [N, 4] and groups [N], sorted by group and descending score -> keep [N] bool, at most
  // max_keep per group (0: no limit)
  m.def(
      "nms(Tensor boxes, Tensor groups, float threshold, float pixel_offset, int max_keep) -> "
      "Tensor");
  // as above with scores [N] -> the lowered scores [N] and keep [N] bool: not below min_score, at
  // most max_keep per group
  m.def(
      "soft_nms(Tensor boxes, Tensor scores, Tensor groups, bool gaussian, float parameter, "
      "float min_score, float pixel_offset, int max_keep) -> (Tensor, Tensor)");

  // gt_boxes [G, 4], G > 0, and boxes [N, 4] -> of each box the best IoU [N] (-inf if none is a
  // number) and its ground truth [N], and bool [N]: whether it ties for the best IoU of any ground
  // truth
  m.def(
      "match_boxes(Tensor gt_boxes, Tensor boxes, float pixel_offset) -> (Tensor, Tensor, Tensor)");

  // features, a list of [N, C, H, W], rois [R, 5], levels [R] -> [R, C, pooled_height,
  // pooled_width]
  m.def(
      "roi_align(Tensor[] features, Tensor rois, Tensor levels, float[] spatial_scales, "
      "SymInt pooled_height, SymInt pooled_width, int sampling_ratio, bool aligned) -> Tensor");
  // grad [R, C, pooled_height, pooled_width] -> the list of [images, C, height, width]
  m.def(
      "roi_align_backward(Tensor grad, Tensor rois, Tensor levels, float[] spatial_scales, "
      "int sampling_ratio, bool aligned, SymInt images, SymInt[] heights, SymInt[] widths, "
      "bool channels_last) -> Tensor[]");

  // input [N, C, H, W], rois [R, 5]
  // -> the pooled values, and the flat index of each in its plane (-1: none), int32
  m.def(
      "roi_pool(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, "
      "SymInt pooled_width) -> (Tensor, Tensor)");
  m.def(
      "roi_pool_backward(Tensor grad, Tensor rois, Tensor argmax, SymInt images, SymInt height, "
      "SymInt width) -> Tensor");

  // masks [R, M, M] and boxes [R, 4] -> bool [R, height, width]; uint8 where the threshold is < 0
  m.def(
      "paste_masks(Tensor masks, Tensor boxes, SymInt height, SymInt width, float threshold, "
      "int padding, bool aligned) -> Tensor");
  // the same masks as COCO RLE -> the text of all counts, uint8, and where each begins, [R + 1]
  m.def(
      "masks_to_rle(Tensor masks, Tensor boxes, SymInt height, SymInt width, float threshold, "
      "int padding, bool aligned) -> (Tensor, Tensor)");
  // float32 polygons (x0, y0, x1, ...), where each of them and each instance begins, boxes [R, 4],
  // the instance [R] of each box -> uint8 [R, side, side], and int64 [R, 2]: the areas of the
  // instance inside the box and as a whole
  m.def(
      "mask_targets(Tensor coordinates, Tensor polygon_starts, Tensor instance_starts, "
      "Tensor boxes, Tensor matched, SymInt side, SymInt height, SymInt width) -> (Tensor, "
      "Tensor)");
}

#if defined(USE_CUDA)
constexpr int kWithCuda = 1;
#else
constexpr int kWithCuda = 0;
#endif

// An empty module; importing it loads this library, which registers the ops.
PyMODINIT_FUNC PyInit__C() {
  static PyModuleDef definition = {
      PyModuleDef_HEAD_INIT, "_C", nullptr, -1, nullptr, nullptr, nullptr, nullptr, nullptr};
  PyObject* module = PyModule_Create(&definition);
  if (module != nullptr) PyModule_AddIntConstant(module, "WITH_CUDA", kWithCuda);
  return module;
}
