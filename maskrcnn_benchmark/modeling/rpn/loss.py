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
    """Return what the RPN should say of each anchor of one image.

    Args:
        anchors: corners ``[K, 4]``.
        visible: bool ``[K]``; the others are not trained.
        gt_boxes: corners ``[G, 4]``, G may be 0.
        matcher: matches anchors with ground truth.
        box_coder: encodes the offsets; anchors and ground truth are in its convention.

    Returns:
        Labels ``[K]`` (1 object, 0 background, -1 ignored) and offsets ``[K, 4]``, which mean
        something where the label is 1.
    """
    matches = matcher.match_boxes(gt_boxes, anchors, box_coder.pixel_offset)
    labels = (matches >= 0).float()
    labels[~visible | (matches == Matcher.BETWEEN_THRESHOLDS)] = -1
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
    """Return the losses of objectness and of the boxes.

    Both are sums over the sampled anchors of the batch divided by their number: binary
    cross-entropy, and smooth L1 with beta 1/9 over the positive ones.

    Args:
        objectness: logits ``[N * K]``.
        deltas: offsets ``[N * K, 4]``.
        labels: ``[N * K]``.
        targets: offsets ``[N * K, 4]``.
        sampled: drawn positives and drawn negatives of each image, bool ``[K]``.
    """
    positive = torch.cat(list(sampled[0])).nonzero().flatten()
    drawn = torch.cat([positive, torch.cat(list(sampled[1])).nonzero().flatten()])
    count = max(len(drawn), 1)
    loss_box = smooth_l1_loss(deltas[positive], targets[positive], beta=1.0 / 9, size_average=False)
    loss_objectness = F.binary_cross_entropy_with_logits(
        objectness[drawn], labels[drawn], reduction="sum"
    )
    return loss_objectness / count, loss_box / count
