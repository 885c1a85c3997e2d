"""Recall of region proposals, for models without a box head."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from maskrcnn_benchmark.evaluation.coco_format import CocoStyleDataset
from maskrcnn_benchmark.evaluation.original_frame import original_size
from maskrcnn_benchmark.structures import fields
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.boxlist_ops import boxlist_iou

# name -> range of ground truth areas in square pixels, both ends included
AREAS: dict[str, tuple[float, float]] = {
    "all": (0, 1e10),
    "small": (0, 32**2),
    "medium": (32**2, 96**2),
    "large": (96**2, 1e10),
    "96-128": (96**2, 128**2),
    "128-256": (128**2, 256**2),
    "256-512": (256**2, 512**2),
    "512-inf": (512**2, 1e10),
}


@dataclass(frozen=True)
class ProposalRecall:
    """Coverage of the ground truth by proposals.

    Attributes:
        ar: average recall over the thresholds; -1 without ground truth.
        recalls: recall at each threshold.
        thresholds: IoUs, 0.5 to 0.95.
        gt_overlaps: sorted IoUs of the ground truths with their assigned proposals, over the
            images with proposals.
        num_pos: number of ground truths.
    """

    ar: float
    recalls: Tensor
    thresholds: Tensor
    gt_overlaps: Tensor
    num_pos: int


def _ground_truth(
    dataset: CocoStyleDataset, index: int, area: tuple[float, float], pixel_offset: float
) -> BoxList:
    """Return the ground truth boxes of an image in the given area range, without crowds."""
    annotations: list[dict[str, Any]] = dataset.coco.loadAnns(
        dataset.coco.getAnnIds(imgIds=[dataset.id_to_img_map[index]], iscrowd=False)
    )
    low, high = area
    boxes = [a["bbox"] for a in annotations if low <= a["area"] <= high]
    size = original_size(dataset, index)
    gt = BoxList(torch.tensor(boxes).reshape(-1, 4), size, "xywh", pixel_offset=pixel_offset)
    return gt.convert("xyxy")


def _cover(gt: BoxList, proposals: BoxList) -> Tensor:
    """Return the IoU ``[G]`` with which each ground truth is covered, in order of assignment.

    Greedy assignment: the best covered ground truth is assigned its proposal, and both are removed.
    When no proposals are left, the remaining ground truths have IoU 0.
    """
    overlaps = boxlist_iou(proposals, gt)  # [P, G]
    covered = torch.zeros(len(gt))
    for turn in range(min(overlaps.shape)):
        best_of_gt, best_proposal = overlaps.max(dim=0)
        best, which = best_of_gt.max(dim=0)
        covered[turn] = best
        overlaps[best_proposal[which]] = -1
        overlaps[:, which] = -1
    return covered


def evaluate_box_proposals(
    dataset: CocoStyleDataset,
    predictions: Sequence[BoxList],
    *,
    area: str = "all",
    limit: int | None = None,
) -> ProposalRecall:
    """Return the average recall of proposals.

    Args:
        dataset: the ground truth.
        predictions: one list per image, in its resized or original frame, with ``objectness``.
        area: a name of ``AREAS``.
        limit: number of proposals per image to use, the best by objectness; None: all.

    Raises:
        ValueError: ``area`` is unknown.
    """
    if area not in AREAS:
        raise ValueError(f"area {area!r} is unknown; choose one of {', '.join(AREAS)}")
    num_pos = 0
    overlaps = [torch.zeros(0)]
    for index, prediction in enumerate(predictions):
        gt = _ground_truth(dataset, index, AREAS[area], prediction.pixel_offset)
        num_pos += len(gt)
        if len(gt) == 0 or len(prediction) == 0:
            continue
        order = prediction.get_field(fields.OBJECTNESS).argsort(descending=True)[:limit]
        overlaps.append(_cover(gt, prediction[order].resize(gt.size)))
    return _recall(torch.cat(overlaps).sort().values, num_pos)


def _recall(gt_overlaps: Tensor, num_pos: int) -> ProposalRecall:
    thresholds = torch.arange(0.5, 0.95 + 1e-5, 0.05, dtype=torch.float32)
    reached = (gt_overlaps[None] >= thresholds[:, None]).sum(dim=1).float()
    recalls = reached / max(num_pos, 1)
    ar = recalls.mean().item() if num_pos else -1.0
    return ProposalRecall(ar, recalls, thresholds, gt_overlaps, num_pos)
