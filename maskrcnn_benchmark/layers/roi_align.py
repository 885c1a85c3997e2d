"""ROIAlign (Mask R-CNN, section 3): pool region features with bilinear sampling."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from maskrcnn_benchmark.layers import _fallback, _ops
from maskrcnn_benchmark.layers._checks import check_positive, check_pyramid, check_regions, to_pair


def multilevel_roi_align(
    features: Sequence[Tensor],
    rois: Tensor,
    levels: Tensor,
    output_size: int | tuple[int, int],
    spatial_scales: Sequence[float],
    *,
    sampling_ratio: int,
    aligned: bool = False,
) -> Tensor:
    """Pool each region into a grid of bins from its level of a feature pyramid.

    A bin is the mean of bilinear samples. All images and levels are pooled in one call. Half and
    bfloat16 features are pooled in float32; pass ``rois`` in float32 then, because coordinates
    need more precision than features. ``torch.autocast`` casts neither. Only ``features`` get a
    gradient. Features in ``torch.channels_last`` are pooled, and get their gradient, in that format
    without a copy; the format of the first feature map decides for all.

    Args:
        features: feature map ``[N, C, H, W]`` of each level, all of the same dtype; at most 8.
        rois: ``[R, 5]``, the batch index of the image, then ``x1, y1, x2, y2`` in pixels.
        levels: int64 ``[R]``, the index into ``features`` of each region.
        output_size: ``(height, width)`` in bins, or an int for both.
        spatial_scales: cells of each feature map per pixel, 1/4 for stride 4.
        sampling_ratio: samples per bin and axis; if <= 0, the bin size in cells, rounded up.
            Samples outside the feature map count as 0. Regions need not be clipped: the cost is
            bounded by the size of the map. Bins of 32768 cells or more, and non-finite
            coordinates, give NaN and no gradient.
        aligned: False for the legacy rule, where regions start at ``x1 * scale`` and are at least
            one cell wide. True shifts them by half a cell, so that pixel centers match, and sets no
            minimum size.

    Returns:
        ``[R, C, height, width]`` in the dtype and memory format of the features.

    Raises:
        ValueError: shapes, dtypes, devices or the number of scales do not match.
        RuntimeError: a batch index or a level is out of range (on CUDA the result is NaN instead).
    """
    check_pyramid("roi_align", features, rois, levels, spatial_scales)
    size = to_pair("roi_align", output_size)
    scales = list(spatial_scales)
    if _ops.serves(features[0], gradient_in_any_order=True):
        return torch.ops.maskrcnn_benchmark.roi_align(
            features, rois, levels, scales, *size, sampling_ratio, aligned
        )
    return _fallback.roi_align(
        features,
        rois,
        levels,
        size,
        spatial_scales=scales,
        sampling_ratio=sampling_ratio,
        aligned=aligned,
    )


def roi_align(
    input: Tensor,
    rois: Tensor,
    output_size: int | tuple[int, int],
    spatial_scale: float,
    sampling_ratio: int,
    *,
    aligned: bool = False,
) -> Tensor:
    """Apply ``multilevel_roi_align`` to one feature map.

    Args:
        input: feature map ``[N, C, H, W]``.
        rois: ``[R, 5]``, the batch index of the image, then ``x1, y1, x2, y2`` in pixels.
        output_size: ``(height, width)`` in bins, or an int for both.
        spatial_scale: cells of the feature map per pixel.
        sampling_ratio: as in ``multilevel_roi_align``.
        aligned: as in ``multilevel_roi_align``.

    Returns:
        ``[R, C, height, width]`` in the dtype and memory format of ``input``.

    Raises:
        ValueError: shapes, dtypes or devices do not match.
        RuntimeError: a batch index is out of range (on CUDA the result is NaN instead).
    """
    check_regions("roi_align", input, rois)
    check_positive("roi_align", "spatial_scale", spatial_scale)
    return multilevel_roi_align(
        [input],
        rois,
        torch.zeros(rois.shape[0], dtype=torch.int64, device=rois.device),
        output_size,
        [spatial_scale],
        sampling_ratio=sampling_ratio,
        aligned=aligned,
    )


class ROIAlign(nn.Module):
    """Module form of ``roi_align``, which documents the options."""

    def __init__(
        self,
        output_size: int | tuple[int, int],
        spatial_scale: float,
        sampling_ratio: int,
        *,
        aligned: bool = False,
    ) -> None:
        super().__init__()
        self.output_size = to_pair("ROIAlign", output_size)
        self.spatial_scale = spatial_scale
        self.sampling_ratio = sampling_ratio
        self.aligned = aligned

    def forward(self, input: Tensor, rois: Tensor) -> Tensor:
        """Pool regions ``[R, 5]`` of ``input`` ``[N, C, H, W]`` to ``[R, C, height, width]``."""
        return roi_align(
            input,
            rois,
            self.output_size,
            self.spatial_scale,
            self.sampling_ratio,
            aligned=self.aligned,
        )

    def extra_repr(self) -> str:
        """Return the options, for the repr of the module."""
        return (
            f"output_size={self.output_size}, spatial_scale={self.spatial_scale}, "
            f"sampling_ratio={self.sampling_ratio}, aligned={self.aligned}"
        )
