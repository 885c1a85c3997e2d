"""Targets and losses of the RPN (Faster R-CNN, section 3.1.2)."""

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
    objectness: Tensor, labels: Tensor, deltas: Tensor, targets: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the objectness loss and the box loss.

    These are binary cross-entropy over the sampled anchors, and smooth L1 (beta 1/9) over the
    positive ones; both are sums divided by the number of sampled anchors in the batch.

    Args:
        objectness: logits ``[S]`` of the S sampled anchors.
        labels: their labels ``[S]``: 1 object, 0 background.
        deltas: offsets ``[P, 4]`` of the P positive ones among them.
        targets: their target offsets ``[P, 4]``.
    """
    count = max(len(labels), 1)
    loss_box = smooth_l1_loss(deltas, targets, beta=1.0 / 9, size_average=False)
    loss_objectness = F.binary_cross_entropy_with_logits(objectness, labels, reduction="sum")
    return loss_objectness / count, loss_box / count
