"""Match proposals with ground truth and sample those that train the ROI heads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from maskrcnn_benchmark.modeling.matcher import Matcher
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.fields import LABELS

Sampler = Callable[[Sequence[Tensor]], tuple[list[Tensor], list[Tensor]]]


@dataclass(frozen=True)
class SampledProposals:
    """Proposals of N images with their matched ground truth.

    Attributes:
        boxes: R_i proposals of each image, without fields.
        labels: int64 ``[R_i]`` for each image, the matched class, 0 for background.
        matched_gt: int64 ``[R_i]`` for each image, the index of the matched ground truth, 0 for
            background.
        ground_truth: G_i instances of each image with all fields (``labels``, ``masks``).
    """

    boxes: list[BoxList]
    labels: list[Tensor]
    matched_gt: list[Tensor]
    ground_truth: list[BoxList]

    @property
    def gt_boxes(self) -> list[Tensor]:
        """Return the matched boxes ``[R_i, 4]`` of each image; without any, its proposals."""
        return [
            gt.bbox[matched] if len(gt) else boxes.bbox
            for boxes, matched, gt in zip(
                self.boxes, self.matched_gt, self.ground_truth, strict=True
            )
        ]

    def __getitem__(self, chosen: Sequence[Tensor]) -> SampledProposals:
        """Select proposals of each image by indices or a bool mask."""
        return SampledProposals(
            [b[c] for b, c in zip(self.boxes, chosen, strict=True)],
            [label[c] for label, c in zip(self.labels, chosen, strict=True)],
            [m[c] for m, c in zip(self.matched_gt, chosen, strict=True)],
            self.ground_truth,
        )

    def all_labels(self) -> Tensor:
        """Return the labels of all images, int64 ``[R]``."""
        return torch.cat(self.labels)


def append_gt_boxes(proposals: Sequence[BoxList], targets: Sequence[BoxList]) -> list[BoxList]:
    """Append the ground truth to the proposals, so that there are positives from the start."""
    return [
        BoxList(torch.cat([p.bbox, t.bbox.to(p.bbox.dtype)]), p.size, pixel_offset=p.pixel_offset)
        for p, t in zip(proposals, targets, strict=True)
    ]


def match_proposals(
    matcher: Matcher, proposals: Sequence[BoxList], targets: Sequence[BoxList]
) -> SampledProposals:
    """Match all proposals by IoU; those between the thresholds get the label -1."""
    labels, matched_gt = [], []
    for boxes, target in zip(proposals, targets, strict=True):
        matches = matcher.match_boxes(target.bbox, boxes.bbox, boxes.pixel_offset)
        matched = matches.clamp(min=0)
        if len(target) == 0:
            label = torch.zeros_like(matches)
        else:
            label = target.get_field(LABELS).long()[matched]
        label = label.masked_fill(matches == Matcher.BELOW_LOW_THRESHOLD, 0)
        labels.append(label.masked_fill(matches == Matcher.BETWEEN_THRESHOLDS, -1))
        matched_gt.append(matched)
    return SampledProposals(list(proposals), labels, matched_gt, list(targets))


class ProposalSampler:
    """Append the ground truth to the proposals, match them, and sample a subset.

    Args:
        matcher: matches proposals with ground truth by IoU.
        sampler: draws positives and negatives.
    """

    def __init__(self, matcher: Matcher, sampler: Sampler) -> None:
        self.matcher = matcher
        self.sampler = sampler

    def match(self, proposals: Sequence[BoxList], targets: Sequence[BoxList]) -> SampledProposals:
        """Match all proposals, see ``match_proposals``."""
        return match_proposals(self.matcher, proposals, targets)

    @torch.no_grad()
    def __call__(
        self, proposals: Sequence[BoxList], targets: Sequence[BoxList]
    ) -> SampledProposals:
        """Return the sampled proposals, positive and negative, in their original order."""
        matched = self.match(append_gt_boxes(proposals, targets), targets)
        positives, negatives = self.sampler(matched.labels)
        return matched[
            [torch.cat(pair).sort().values for pair in zip(positives, negatives, strict=True)]
        ]
