"""Targets and losses of RetinaNet (Lin et al., ICCV 2017, section 4.1).

Shapes: N images, K anchors of all levels, C classes without background.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from maskrcnn_benchmark.layers import sigmoid_focal_loss, smooth_l1_loss
from maskrcnn_benchmark.modeling.box_coder import BoxCoder
from maskrcnn_benchmark.modeling.matcher import Matcher
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.fields import LABELS


@dataclass(frozen=True)
class LossWeights:
    """Constants of the losses, see ``MODEL.RETINANET``.

    Attributes:
        alpha: weight of an anchor's own class in the focal loss; the others have ``1 - alpha``.
        gamma: exponent of the focal loss.
        box_beta: threshold between the quadratic and the linear part of the box loss.
        box_divisor: the box loss is divided by it.
    """

    alpha: float
    gamma: float
    box_beta: float
    box_divisor: float


@torch.no_grad()
def anchor_classes(
    anchors: Tensor, target: BoxList, *, matcher: Matcher, box_coder: BoxCoder
) -> tuple[Tensor, Tensor]:
    """Return the targets of one image.

    Args:
        anchors: corners ``[K, 4]``; those that cross the border of the image are trained as well.
        target: ground truth with ``labels``; may be empty.
        matcher: matches anchors with ground truth.
        box_coder: encodes the offsets.

    Returns:
        Labels int64 ``[K]`` (the class, 0 background, -1 ignored) and offsets ``[K, 4]``, which are
        meaningful only for labels above 0.
    """
    matches = matcher.match_boxes(target.bbox, anchors, box_coder.pixel_offset)
    if len(target) == 0:
        return torch.zeros_like(matches), torch.zeros_like(anchors)
    matched = matches.clamp(min=0)
    labels = target.get_field(LABELS).long()[matched]
    labels = labels.masked_fill(matches == Matcher.BELOW_LOW_THRESHOLD, 0)
    labels = labels.masked_fill(matches == Matcher.BETWEEN_THRESHOLDS, -1)
    return labels, box_coder.encode(target.bbox[matched], anchors)


def retinanet_losses(
    logits: Tensor, deltas: Tensor, labels: Tensor, offsets: Tensor, weights: LossWeights
) -> tuple[Tensor, Tensor]:
    """Return the class loss and the box loss of a batch.

    The focal loss over all anchors but the ignored ones, divided by the number of positive anchors
    plus that of the images (which keeps a batch without objects finite), and smooth L1 over the
    positive anchors, divided by their number.

    Args:
        logits: ``[N, K, C]``.
        deltas: ``[N, K, 4]``.
        labels: ``[N, K]``, see ``anchor_classes``.
        offsets: target offsets ``[N, K, 4]``.
        weights: see ``LossWeights``.
    """
    positive = labels > 0
    count = positive.sum()
    # one column too many, for background and ignored anchors
    classes = torch.zeros(*logits.shape[:2], logits.shape[2] + 1, device=logits.device)
    classes = classes.scatter_(2, labels.clamp(min=0)[..., None], 1)[..., 1:]
    focal = sigmoid_focal_loss(logits, classes, weights.alpha, weights.gamma)
    focal = torch.where((labels >= 0)[..., None], focal, 0)
    errors = torch.where(positive[..., None], deltas - offsets, 0)
    box = smooth_l1_loss(errors, torch.zeros_like(errors), weights.box_beta, size_average=False)
    divisor = (count * weights.box_divisor).clamp(min=1)
    return focal.sum() / (count + len(labels)), box / divisor
