"""Encode boxes as offsets from reference boxes (Faster R-CNN, eq. 2)."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from yacs.config import CfgNode

from maskrcnn_benchmark.structures.box_ops import PIXEL_OFFSET, box_extents

# bounds exp(dw), so that a box is at most 1000 / 16 times as large as its reference
BBOX_XFORM_CLIP = math.log(1000.0 / 16)


class BoxCoder:
    """Encode boxes as ``dx, dy, dw, dh`` relative to reference boxes, and decode them.

    Args:
        weights: factors of ``dx, dy, dw, dh``.
        bbox_xform_clip: upper bound of ``dw`` and ``dh`` when decoding.
        clip_below: whether ``-bbox_xform_clip`` also bounds them from below, as in mmdetection.
        pixel_offset: box convention (``box_ops``).
    """

    def __init__(
        self,
        weights: Sequence[float],
        bbox_xform_clip: float = BBOX_XFORM_CLIP,
        *,
        clip_below: bool = False,
        pixel_offset: float = PIXEL_OFFSET,
    ) -> None:
        self.weights = tuple(weights)
        self.bbox_xform_clip = bbox_xform_clip
        self.lower_bound = -bbox_xform_clip if clip_below else -math.inf
        self.pixel_offset = pixel_offset

    def _centers_and_sizes(self, boxes: Tensor) -> tuple[Tensor, Tensor]:
        sizes = box_extents(boxes, self.pixel_offset)
        return boxes[:, :2] + 0.5 * sizes, sizes

    def encode(self, reference_boxes: Tensor, proposals: Tensor) -> Tensor:
        """Return the offsets ``[N, 4]`` that turn ``proposals`` into ``reference_boxes``."""
        centers, sizes = self._centers_and_sizes(proposals)
        gt_centers, gt_sizes = self._centers_and_sizes(reference_boxes)
        offsets = torch.cat([(gt_centers - centers) / sizes, torch.log(gt_sizes / sizes)], dim=1)
        return offsets * offsets.new_tensor(self.weights)

    def decode(self, rel_codes: Tensor, boxes: Tensor) -> Tensor:
        """Apply offsets ``[N, 4K]`` to ``boxes`` ``[N, 4]`` and return boxes ``[N, 4K]``."""
        centers, sizes = (t[:, None] for t in self._centers_and_sizes(boxes.to(rel_codes.dtype)))
        codes = rel_codes.reshape(len(boxes), rel_codes.shape[1] // 4, 4)
        codes = codes / codes.new_tensor(self.weights)
        centers = codes[..., :2] * sizes + centers  # [N, K, 2]
        sizes = torch.exp(codes[..., 2:].clamp(self.lower_bound, self.bbox_xform_clip)) * sizes
        corner = centers - 0.5 * sizes
        far_corner = centers + 0.5 * sizes - self.pixel_offset
        return torch.cat([corner, far_corner], dim=2).reshape(rel_codes.shape)


def make_box_coder(cfg: CfgNode, weights: Sequence[float]) -> BoxCoder:
    """Return the box coder of the RPN or the box head in the model's box convention."""
    return BoxCoder(
        weights,
        clip_below=cfg.MODEL.BOX_CODER_CLIP_BELOW,
        pixel_offset=cfg.MODEL.PIXEL_OFFSET,
    )
