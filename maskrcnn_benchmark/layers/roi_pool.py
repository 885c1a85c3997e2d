"""ROIPool (Fast R-CNN, section 2.1): max-pool region features over whole cells."""

import torch
from torch import Tensor, nn

from maskrcnn_benchmark.layers import _fallback, _ops
from maskrcnn_benchmark.layers._checks import check_positive, check_regions, to_pair


def roi_pool(
    input: Tensor, rois: Tensor, output_size: int | tuple[int, int], spatial_scale: float
) -> Tensor:
    """Pool each region into a grid of bins; a bin is the maximum of the cells it touches.

    Corners are rounded to whole cells (half away from zero), and both belong to the region. A bin
    without a cell on the map is 0. Only ``input`` gets a gradient, at the first maximum.

    Args:
        input: feature map ``[N, C, H, W]``.
        rois: ``[R, 5]``, the batch index of the image, then ``x1, y1, x2, y2`` in pixels.
        output_size: ``(height, width)`` in bins, or an int for both.
        spatial_scale: cells of the feature map per pixel, 1/16 for stride 16.

    Returns:
        ``[R, C, height, width]`` in the dtype of ``input``.

    Raises:
        ValueError: shapes, dtypes or devices do not match.
        RuntimeError: a batch index is out of range (on CUDA the result is NaN instead).
    """
    check_regions("roi_pool", input, rois)
    check_positive("roi_pool", "spatial_scale", spatial_scale)
    size = to_pair("roi_pool", output_size)
    if _ops.serves(input, gradient_in_any_order=True):
        return torch.ops.maskrcnn_benchmark.roi_pool(input, rois, spatial_scale, *size)[0]
    return _fallback.roi_pool(input, rois, size, spatial_scale)


class ROIPool(nn.Module):
    """Module form of ``roi_pool``, which documents the options."""

    def __init__(self, output_size: int | tuple[int, int], spatial_scale: float) -> None:
        super().__init__()
        self.output_size = to_pair("ROIPool", output_size)
        self.spatial_scale = spatial_scale

    def forward(self, input: Tensor, rois: Tensor) -> Tensor:
        """Pool regions ``[R, 5]`` of ``input`` ``[N, C, H, W]`` to ``[R, C, height, width]``."""
        return roi_pool(input, rois, self.output_size, self.spatial_scale)

    def extra_repr(self) -> str:
        """Return the options, for the repr of the module."""
        return f"output_size={self.output_size}, spatial_scale={self.spatial_scale}"
