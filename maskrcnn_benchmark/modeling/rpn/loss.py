"""Targets and losses of the RPN (Faster R-CNN, section 3.1.2)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from maskrcnn_benchmark.layers import smooth_l1_loss
from maskrcnn_benchmark.modeling.box_coder import BoxCoder
from maskrcnn_benchmark.modeling.matcher import Matcher


def anchor_targets(
    anchors: Tensor, visible: Tensor, gt_boxes: Tensor, *, matcher: Matcher, box_coder: BoxCoder
) -> tuple[Tensor, Tensor]:
    """Return the RPN targets of one image.

    Args:
        anchors: corners ``[K, 4]``.
        visible: bool ``[K]``, the anchors to train; the others are ignored.
        gt_boxes: corners ``[G, 4]``; G may be 0.
        matcher: matches anchors with ground truth.
        box_coder: encodes the offsets; anchors and ground truth use its box convention.

    Returns:
        Labels ``[K]`` (1 object, 0 background, -1 ignored) and offsets ``[K, 4]``, which are
        meaningful only for label 1.
    """
    matches = matcher.match_boxes(gt_boxes, anchors, box_coder.pixel_offset)
    ignored = (matches == Matcher.BETWEEN_THRESHOLDS).logical_or_(~visible)
    labels = (matches >= 0).float().masked_fill_(ignored, -1)
    if len(gt_boxes) == 0:
        return labels, torch.zeros_like(anchors)
    return labels, box_coder.encode(gt_boxes[matches.clamp(min=0)], anchors)


def rpn_losses(
    objectness: Tensor,
    deltas: Tensor,
    labels: Tensor,
    targets: Tensor,
    sampled: tuple[Sequence[Tensor], Sequence[Tensor]],
) -> tuple[Tensor, Tensor]:
    """Return the objectness loss and the box loss.

    These are binary cross-entropy over the sampled anchors, and smooth L1 (beta 1/9) over the
    positive ones; both are sums divided by the number of sampled anchors in the batch.

    Args:
        objectness: logits ``[N * K]``.
        deltas: offsets ``[N * K, 4]``.
        labels: labels ``[N * K]`` of ``anchor_targets``.
        targets: target offsets ``[N * K, 4]``.
        sampled: the indices of the sampled positives and those of the sampled negatives of each
            of the N images, int64.
    """
    anchors = len(labels) // max(len(sampled[0]), 1)
    positive, negative = (
        torch.cat([rows + image * anchors for image, rows in enumerate(kind)]) for kind in sampled
    )
    drawn = torch.cat([positive, negative])
    count = max(len(drawn), 1)
    loss_box = smooth_l1_loss(deltas[positive], targets[positive], beta=1.0 / 9, size_average=False)
    loss_objectness = F.binary_cross_entropy_with_logits(
        objectness[drawn], labels[drawn], reduction="sum"
    )
    return loss_objectness / count, loss_box / count
