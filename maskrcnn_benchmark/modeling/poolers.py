"""Pool box features from the pyramid level that matches the size of each box."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from yacs.config import CfgNode

from maskrcnn_benchmark.layers import multilevel_roi_align
from maskrcnn_benchmark.structures.bounding_box import BoxList


class LevelMapper:
    """Assign each box to a pyramid level (FPN, eq. 1).

    Args:
        k_min: first level.
        k_max: last level.
        canonical_scale: side in pixels of a box that is assigned to ``canonical_level``.
        canonical_level: level of boxes of the canonical scale.
        eps: added to the argument of the logarithm.
    """

    def __init__(
        self,
        k_min: int,
        k_max: int,
        canonical_scale: int = 224,
        canonical_level: int = 4,
        eps: float = 1e-6,
    ) -> None:
        self.k_min, self.k_max = k_min, k_max
        self.s0, self.lvl0, self.eps = canonical_scale, canonical_level, eps

    def __call__(self, boxes: Sequence[BoxList]) -> Tensor:
        """Return the levels of the boxes of all images, int64 ``[R]``, relative to ``k_min``."""
        side = torch.cat([b.area() for b in boxes]).sqrt()
        levels = torch.floor(self.lvl0 + torch.log2(side / self.s0 + self.eps))
        return levels.clamp(self.k_min, self.k_max).long() - self.k_min


class Pooler(nn.Module):
    """ROIAlign over the levels of a feature pyramid.

    Args:
        output_size: ``(height, width)`` of the output in bins.
        scales: ratio of feature map size to image size of each level; powers of 1/2.
        sampling_ratio: sampling points per bin and axis; 0 to adapt it to the box size.
        aligned: see ``roi_align``.
    """

    def __init__(
        self,
        output_size: tuple[int, int],
        scales: Sequence[float],
        sampling_ratio: int,
        *,
        aligned: bool = False,
    ) -> None:
        super().__init__()
        self.output_size = output_size
        self.scales = tuple(scales)
        self.sampling_ratio = sampling_ratio
        self.aligned = aligned
        self.map_levels = LevelMapper(round(-math.log2(scales[0])), round(-math.log2(scales[-1])))

    @staticmethod
    def to_rois(boxes: Sequence[BoxList]) -> Tensor:
        """Return ``[R, 5]``: batch index of the image, then the box corners."""
        corners = torch.cat([b.xyxy() for b in boxes])
        numbers = torch.cat([torch.full_like(b.bbox[:, :1], i) for i, b in enumerate(boxes)])
        return torch.cat([numbers, corners], dim=1)

    def forward(self, features: Sequence[Tensor], boxes: Sequence[BoxList]) -> Tensor:
        """Pool the boxes of all images into ``[R, C, *output_size]`` in the order of ``boxes``.

        Args:
            features: feature maps ``[N, C, H, W]``; levels beyond the scales are unused.
            boxes: the boxes of each of the N images.
        """
        rois = self.to_rois(boxes)
        if len(self.scales) == 1:
            levels = torch.zeros(len(rois), dtype=torch.int64, device=rois.device)
        else:
            levels = self.map_levels(boxes)
        return multilevel_roi_align(
            features[: len(self.scales)],
            rois,
            levels,
            self.output_size,
            self.scales,
            sampling_ratio=self.sampling_ratio,
            aligned=self.aligned,
        )


def make_pooler(options: CfgNode) -> Pooler:
    """Return the pooler for the options ``MODEL.ROI_BOX_HEAD`` or ``MODEL.ROI_MASK_HEAD``."""
    side = options.POOLER_RESOLUTION
    return Pooler(
        (side, side),
        options.POOLER_SCALES,
        options.POOLER_SAMPLING_RATIO,
        aligned=options.POOLER_ALIGNED,
    )
