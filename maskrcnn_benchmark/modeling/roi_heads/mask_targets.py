"""What the mask head and the MaskIoU head should answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from maskrcnn_benchmark.modeling.roi_heads.sampling import SampledProposals
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.fields import MASKS


@dataclass(frozen=True)
class MaskTargets:
    """Ground truth of R positive ROIs, on their device.

    Attributes:
        masks: float ``[R, M, M]`` of 0 and 1: the instance inside the ROI.
        visible_fraction: float ``[R]``: the share of the instance's area that lies inside the ROI,
            at the resolution of the image; NaN for an instance without area.
    """

    masks: Tensor
    visible_fraction: Tensor


def has_mask_target(sampled: SampledProposals, targets: Sequence[BoxList]) -> list[Tensor]:
    """Return which RoIs the mask heads learn from, bool ``[R_i]`` of each image.

    They are the positive ones that are matched with an instance of which there is a mask.
    """
    chosen = []
    for labels, matched, target in zip(sampled.labels, sampled.matched_gt, targets, strict=True):
        positive = labels > 0
        if len(target) and not (present := target.get_field(MASKS).present()).all():
            positive &= present.to(matched.device)[matched]
        chosen.append(positive)
    return chosen


@torch.no_grad()
def build_mask_targets(
    targets: Sequence[BoxList], positives: SampledProposals, size: int
) -> MaskTargets:
    """Rasterise the matched instance of each positive ROI.

    Masks live on the host: the ROIs are read once, and the result is moved once.

    Args:
        targets: ground truth of each image, with field ``masks``.
        positives: matched ROIs of each image.
        size: side M of the masks.
    """
    device = positives.boxes[0].bbox.device
    counts = [len(boxes) for boxes in positives.boxes]
    boxes = torch.cat([b.bbox for b in positives.boxes]).float().cpu().numpy()
    matched = torch.cat(positives.matched_gt).tolist()
    masks = np.zeros((len(boxes), size, size), dtype=np.uint8)
    fractions = np.zeros(len(boxes), dtype=np.float32)
    row = 0
    for target, count in zip(targets, counts, strict=True):
        instances = target.get_field(MASKS).instances if count else []
        for _ in range(count):
            instance = instances[matched[row]]
            masks[row] = instance.rasterize_in(boxes[row], size)
            fractions[row] = instance.visible_fraction(boxes[row], target.size)
            row += 1
    return MaskTargets(
        torch.from_numpy(masks).to(device).float(), torch.from_numpy(fractions).to(device)
    )


@torch.no_grad()
def mask_iou_target(logits: Tensor, gt: MaskTargets) -> Tensor:
    """Return the IoU ``[R]`` of the predicted mask with the whole instance (MS R-CNN, sec. 3.3).

    The overlap is counted inside the ROI. The instance's area is that inside the ROI divided by
    the visible fraction, so what lies outside of the ROI counts against the mask. An instance
    without area gets 0, which the loss leaves out.

    Args:
        logits: ``[R, M, M]`` of the class of each ROI.
        gt: the targets of the same ROIs.
    """
    predicted = (logits > 0).float()  # probability > 0.5
    overlap = (predicted * gt.masks).sum(dim=(1, 2))
    whole = gt.masks.sum(dim=(1, 2)) / gt.visible_fraction.clamp(min=1e-10)
    union = (predicted.sum(dim=(1, 2)) + whole - overlap).clamp(min=1)
    return (overlap.clamp(min=0) / union).nan_to_num(nan=0.0)
