"""RetinaNet: classify and refine every anchor in one stage (Lin et al., ICCV 2017).

Shapes: N images, K anchors of one level or of all levels, A anchors per cell, C classes without
background, k candidates of an image.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from yacs.config import CfgNode

from maskrcnn_benchmark.layers import Conv2d, full_precision
from maskrcnn_benchmark.modeling.box_coder import BoxCoder, make_box_coder
from maskrcnn_benchmark.modeling.matcher import Matcher
from maskrcnn_benchmark.modeling.rpn.anchor_generator import AnchorGenerator
from maskrcnn_benchmark.modeling.rpn.retinanet.candidates import (
    CandidateLimits,
    Candidates,
    select_candidates,
)
from maskrcnn_benchmark.modeling.rpn.retinanet.loss import (
    LossWeights,
    anchor_classes,
    retinanet_losses,
)
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.box_ops import clip_boxes
from maskrcnn_benchmark.structures.image_list import ImageList

_BOX_WEIGHTS = (10.0, 10.0, 5.0, 5.0)  # of dx, dy, dw and dh; no key of the original sets them


class RetinaNetHead(nn.Module):
    """Two towers of convolutions, for the classes and for the boxes, shared by all levels.

    Args:
        in_channels: number of channels of the feature maps.
        num_anchors: number of anchors per cell, A.
        num_classes: number of classes without background, C.
        num_convs: number of convolutions of each tower.
        prior_prob: class probability that the initial bias gives to every anchor (section 4.1).
    """

    def __init__(
        self,
        in_channels: int,
        *,
        num_anchors: int,
        num_classes: int,
        num_convs: int,
        prior_prob: float,
    ) -> None:
        super().__init__()
        self.cls_tower = _tower(in_channels, num_convs)
        self.bbox_tower = _tower(in_channels, num_convs)
        self.cls_logits = Conv2d(in_channels, num_anchors * num_classes, 3, padding=1)
        self.bbox_pred = Conv2d(in_channels, num_anchors * 4, 3, padding=1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, std=0.01)
                nn.init.zeros_(layer.get_parameter("bias"))
        bias = -math.log((1 - prior_prob) / prior_prob)
        nn.init.constant_(self.cls_logits.get_parameter("bias"), bias)

    def forward(self, features: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Return the logits ``[N, A * C, H, W]`` and offsets ``[N, 4A, H, W]`` of each level."""
        logits = [self.cls_logits(self.cls_tower(feature)) for feature in features]
        return logits, [self.bbox_pred(self.bbox_tower(feature)) for feature in features]


def _tower(channels: int, num_convs: int) -> nn.Sequential:
    pairs = [(Conv2d(channels, channels, 3, padding=1), nn.ReLU(True)) for _ in range(num_convs)]
    return nn.Sequential(*(layer for pair in pairs for layer in pair))


@dataclass(frozen=True)
class RetinaNetOutput:
    """Output of a RetinaNet for each anchor, in the order y, x, A.

    Attributes:
        logits: class logits ``[N, K, C]`` of each level; index 0 is class 1.
        deltas: offsets ``[N, K, 4]`` of each level.
        anchors: corners ``[K, 4]`` of each level, shared by all images.
    """

    logits: list[Tensor]
    deltas: list[Tensor]
    anchors: list[Tensor]


def _by_anchor(maps: Tensor, num_anchors: int) -> Tensor:
    """Return ``[N, A * V, H, W]`` as ``[N, H * W * A, V]`` in full precision."""
    values = maps.shape[1] // num_anchors
    return full_precision(maps).permute(0, 2, 3, 1).flatten(1).unflatten(1, (-1, values))


class RetinaNet(nn.Module):
    """Head, anchors, losses and detections of RetinaNet; takes the place of the RPN in a detector.

    Args:
        head: see ``RetinaNetHead``.
        anchor_generator: generates the anchors.
        matcher: matches anchors with ground truth for the losses.
        weights: constants of the losses.
        limits: criteria for detections.
        box_coder: encodes and decodes offsets in the box convention of the model.
    """

    def __init__(
        self,
        head: nn.Module,
        anchor_generator: AnchorGenerator,
        *,
        matcher: Matcher,
        weights: LossWeights,
        limits: CandidateLimits,
        box_coder: BoxCoder,
    ) -> None:
        super().__init__()
        self.anchor_generator = anchor_generator
        self.head = head
        self.matcher = matcher
        self.weights = weights
        self.limits = limits
        self.box_coder = box_coder

    def forward(self, features: Sequence[Tensor]) -> RetinaNetOutput:
        """Classify the anchors of feature maps ``[N, C, H, W]``, one per level."""
        logits, deltas = self.head(features)
        anchors = self.anchor_generator(features)
        counts = self.anchor_generator.num_anchors_per_location()
        return RetinaNetOutput(
            [_by_anchor(maps, count) for maps, count in zip(logits, counts, strict=True)],
            [_by_anchor(maps, count) for maps, count in zip(deltas, counts, strict=True)],
            anchors,
        )

    def losses(
        self, images: ImageList, features: Sequence[Tensor], targets: Sequence[BoxList]
    ) -> tuple[dict[str, Tensor], RetinaNetOutput]:
        """Return ``loss_retina_cls`` and ``loss_retina_reg``, and the output that they rate.

        See ``retinanet_losses``.
        """
        del images
        output = self(features)
        anchors = torch.cat(output.anchors)
        made = [
            anchor_classes(anchors, target, matcher=self.matcher, box_coder=self.box_coder)
            for target in targets
        ]
        loss_classes, loss_boxes = retinanet_losses(
            torch.cat(output.logits, dim=1),
            torch.cat(output.deltas, dim=1),
            torch.stack([labels for labels, _ in made]),
            torch.stack([offsets for _, offsets in made]),
            self.weights,
        )
        return {"loss_retina_cls": loss_classes, "loss_retina_reg": loss_boxes}, output

    def candidates(self, images: ImageList, output: RetinaNetOutput) -> Candidates:
        """Return the best pairs of anchor and class of each level and image, decoded."""
        levels = zip(output.logits, output.deltas, output.anchors, strict=True)
        parts = [self._decode_best(*level) for level in levels]
        boxes, scores, labels = (torch.cat(part, dim=1) for part in zip(*parts, strict=True))
        clipped = [
            clip_boxes(of_image, (width, height), self.box_coder.pixel_offset)
            for of_image, (height, width) in zip(boxes, images.image_sizes, strict=True)
        ]
        return Candidates(torch.stack(clipped), scores, labels)

    def _decode_best(
        self, logits: Tensor, deltas: Tensor, anchors: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return boxes ``[N, k, 4]``, scores ``[N, k]`` and labels ``[N, k]`` of one level."""
        count = min(self.limits.pre_nms_top_n, logits[0].numel())
        # NaN would sort first
        best, order = logits.flatten(1).nan_to_num(nan=-torch.inf).topk(count, dim=1)
        rows, classes = order // logits.shape[2], order % logits.shape[2]
        chosen = deltas.gather(1, rows[..., None].expand(-1, -1, 4))
        boxes = self.box_coder.decode(chosen.reshape(-1, 4), anchors[rows].reshape(-1, 4))
        return boxes.reshape(chosen.shape), best.sigmoid(), classes + 1

    def detections(self, images: ImageList, output: RetinaNetOutput) -> list[BoxList]:
        """Return the detections of each image, see ``select_candidates``."""
        sizes = [(width, height) for height, width in images.image_sizes]
        return select_candidates(
            self.candidates(images, output),
            sizes,
            self.limits,
            pixel_offset=self.box_coder.pixel_offset,
        )


def check_retinanet(cfg: CfgNode) -> Iterator[str]:
    """Yield the problems of ``MODEL.RETINANET``."""
    options = cfg.MODEL.RETINANET
    low, high = options.BG_IOU_THRESHOLD, options.FG_IOU_THRESHOLD
    if not 0 <= low <= high <= 1:
        yield (
            f"MODEL.RETINANET.BG_IOU_THRESHOLD {low} and FG_IOU_THRESHOLD {high} must be ordered "
            "and lie between 0 and 1"
        )
    sizes, strides = options.ANCHOR_SIZES, options.ANCHOR_STRIDES
    if len(sizes) != len(strides) or min((*sizes, *strides), default=0) <= 0:
        yield (
            f"MODEL.RETINANET.ANCHOR_SIZES is {sizes} and ANCHOR_STRIDES {strides}; each stride "
            "needs one size, and all must be positive"
        )
    for key in ("NUM_CONVS", "SCALES_PER_OCTAVE", "PRE_NMS_TOP_N"):
        if options[key] < 1:
            yield f"MODEL.RETINANET.{key} is {options[key]}; it must be at least 1"
    if options.NUM_CLASSES < 2:
        yield "MODEL.RETINANET.NUM_CLASSES includes the background: it must be at least 2"
    if not 0 < options.PRIOR_PROB < 1:
        yield f"MODEL.RETINANET.PRIOR_PROB is {options.PRIOR_PROB}; it must lie between 0 and 1"
    if options.INFERENCE_TH < 0:
        yield f"MODEL.RETINANET.INFERENCE_TH is {options.INFERENCE_TH}; it must not be negative"
    if 0 < options.LOSS_GAMMA < 1 or options.LOSS_GAMMA < 0:
        # the derivative of (1 - p) ** gamma is infinite where p is 1
        yield f"MODEL.RETINANET.LOSS_GAMMA is {options.LOSS_GAMMA}; it must be 0 or at least 1"


def make_retinanet_anchors(cfg: CfgNode) -> AnchorGenerator:
    """Build the anchors of ``MODEL.RETINANET``: several sizes within an octave per level."""
    options = cfg.MODEL.RETINANET
    scales = [
        options.OCTAVE ** (k / options.SCALES_PER_OCTAVE) for k in range(options.SCALES_PER_OCTAVE)
    ]
    return AnchorGenerator(
        [[size * scale for scale in scales] for size in options.ANCHOR_SIZES],
        options.ASPECT_RATIOS,
        options.ANCHOR_STRIDES,
    )


def build_retinanet(cfg: CfgNode, in_channels: int) -> RetinaNet:
    """Build ``MODEL.RETINANET`` for feature maps with ``in_channels`` channels."""
    options = cfg.MODEL.RETINANET
    anchors = make_retinanet_anchors(cfg)
    return RetinaNet(
        RetinaNetHead(
            in_channels,
            num_anchors=anchors.num_anchors_per_location()[0],
            num_classes=options.NUM_CLASSES - 1,
            num_convs=options.NUM_CONVS,
            prior_prob=options.PRIOR_PROB,
        ),
        anchors,
        matcher=Matcher(options.FG_IOU_THRESHOLD, options.BG_IOU_THRESHOLD, True),
        weights=LossWeights(
            alpha=options.LOSS_ALPHA,
            gamma=options.LOSS_GAMMA,
            box_beta=options.BBOX_REG_BETA,
            box_divisor=options.BBOX_REG_WEIGHT,
        ),
        limits=CandidateLimits(
            options.INFERENCE_TH,
            options.PRE_NMS_TOP_N,
            options.NMS_TH,
            cfg.TEST.DETECTIONS_PER_IMG,
        ),
        box_coder=make_box_coder(cfg, _BOX_WEIGHTS),
    )
