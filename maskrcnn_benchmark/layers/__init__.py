"""Region operators, normalization, losses, and torch layers under their original names."""

from torch.nn import BatchNorm2d, Conv2d, ConvTranspose2d
from torch.nn.functional import interpolate

from maskrcnn_benchmark.layers._ops import has_extension
from maskrcnn_benchmark.layers.batch_norm import FrozenBatchNorm2d
from maskrcnn_benchmark.layers.deform_conv import DFConv2d
from maskrcnn_benchmark.layers.fused_conv import conv_relu, fused_conv
from maskrcnn_benchmark.layers.losses import sigmoid_focal_loss, smooth_l1_loss
from maskrcnn_benchmark.layers.mask_targets import PolygonSet, mask_targets
from maskrcnn_benchmark.layers.nms import batched_nms, batched_nms_mask, nms, sorted_nms_mask
from maskrcnn_benchmark.layers.paste_masks import masks_to_rle, paste_masks
from maskrcnn_benchmark.layers.paste_rule import PasteRule
from maskrcnn_benchmark.layers.precision import full_precision
from maskrcnn_benchmark.layers.roi_align import ROIAlign, multilevel_roi_align, roi_align
from maskrcnn_benchmark.layers.roi_pool import ROIPool, roi_pool
from maskrcnn_benchmark.layers.soft_nms import SoftNMS, batched_soft_nms, soft_nms
from maskrcnn_benchmark.layers.sync_batch_norm import TrainableBatchNorm2d

__all__ = [
    "BatchNorm2d",
    "Conv2d",
    "ConvTranspose2d",
    "DFConv2d",
    "FrozenBatchNorm2d",
    "PasteRule",
    "PolygonSet",
    "ROIAlign",
    "ROIPool",
    "SoftNMS",
    "TrainableBatchNorm2d",
    "batched_nms",
    "batched_nms_mask",
    "batched_soft_nms",
    "conv_relu",
    "full_precision",
    "fused_conv",
    "has_extension",
    "interpolate",
    "mask_targets",
    "masks_to_rle",
    "multilevel_roi_align",
    "nms",
    "paste_masks",
    "roi_align",
    "roi_pool",
    "sigmoid_focal_loss",
    "smooth_l1_loss",
    "soft_nms",
    "sorted_nms_mask",
]
