"""Region Proposal Network (Ren et al., NeurIPS 2015)."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn
from yacs.config import CfgNode

from maskrcnn_benchmark.layers import Conv2d, conv_relu, full_precision
from maskrcnn_benchmark.modeling.box_coder import BoxCoder, make_box_coder
from maskrcnn_benchmark.modeling.matcher import Matcher
from maskrcnn_benchmark.modeling.registry import RPN_HEADS
from maskrcnn_benchmark.modeling.rpn.anchor_generator import (
    ANCHOR_RULES,
    AnchorGenerator,
    make_anchor_generator,
)
from maskrcnn_benchmark.modeling.rpn.loss import anchor_targets, rpn_losses
from maskrcnn_benchmark.modeling.rpn.proposals import ProposalLimits, RPNOutput, select_proposals
from maskrcnn_benchmark.modeling.sampler import BalancedPositiveNegativeSampler
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.fields import OBJECTNESS
from maskrcnn_benchmark.structures.image_list import ImageList

Sampler = Callable[[Sequence[Tensor]], tuple[list[Tensor], list[Tensor]]]


class RPNHead(nn.Module):
    """Apply 3x3 convolutions and 1x1 convolutions for objectness and offsets to all levels.

    Args:
        in_channels: number of channels of the feature maps.
        num_anchors: number of anchors per cell.
        num_convs: number of 3x3 convolutions, called ``conv``, ``conv2``, ``conv3``, ...
    """

    def __init__(self, in_channels: int, num_anchors: int, *, num_convs: int = 1) -> None:
        super().__init__()
        self.conv = Conv2d(in_channels, in_channels, 3, padding=1)
        self.more = [f"conv{number}" for number in range(2, num_convs + 1)]
        for name in self.more:
            self.add_module(name, Conv2d(in_channels, in_channels, 3, padding=1))
        self.cls_logits = Conv2d(in_channels, num_anchors, 1)
        self.bbox_pred = Conv2d(in_channels, num_anchors * 4, 1)
        for layer in self.children():
            nn.init.normal_(layer.get_parameter("weight"), std=0.01)
            nn.init.zeros_(layer.get_parameter("bias"))

    def forward(self, features: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Return the logits ``[N, A, H, W]`` and offsets ``[N, 4A, H, W]`` of each level."""
        hidden = [conv_relu(self.conv, feature) for feature in features]
        for name in self.more:
            hidden = [conv_relu(self.get_submodule(name), h) for h in hidden]
        return [self.cls_logits(h) for h in hidden], [self.bbox_pred(h) for h in hidden]


class RPN(nn.Module):
    """Score anchors and select proposals.

    Args:
        head: see ``RPNHead``.
        anchor_generator: generates the anchors.
        matcher: matches anchors with ground truth for the losses.
        sampler: samples the anchors for the losses.
        train_limits: limits on the proposals in training.
        test_limits: limits on the proposals at inference.
        nms_thresh: see ``select_proposals``.
        min_size: see ``select_proposals``.
        box_coder: encodes and decodes offsets in the box convention of the model (``box_ops``).
    """

    def __init__(
        self,
        head: nn.Module,
        anchor_generator: AnchorGenerator,
        *,
        matcher: Matcher,
        sampler: Sampler,
        train_limits: ProposalLimits,
        test_limits: ProposalLimits,
        nms_thresh: float,
        min_size: float,
        box_coder: BoxCoder,
    ) -> None:
        super().__init__()
        self.anchor_generator = anchor_generator
        self.head = head
        self.box_coder = box_coder
        self.matcher = matcher
        self.sampler = sampler
        self.train_limits = train_limits
        self.test_limits = test_limits
        self.nms_thresh = nms_thresh
        self.min_size = min_size

    def forward(self, features: Sequence[Tensor]) -> RPNOutput:
        """Score the anchors of feature maps ``[N, C, H, W]``, one per level."""
        objectness, deltas = self.head(features)
        return RPNOutput(
            [full_precision(o) for o in objectness],
            [full_precision(d) for d in deltas],
            self.anchor_generator(features),
        )

    def _select(
        self, output: RPNOutput, image_sizes: Sequence[tuple[int, int]], limits: ProposalLimits
    ) -> list[BoxList]:
        return select_proposals(
            output,
            image_sizes,
            limits,
            box_coder=self.box_coder,
            nms_thresh=self.nms_thresh,
            min_size=self.min_size,
        )

    def train_proposals(self, images: ImageList, output: RPNOutput) -> list[BoxList]:
        """Return the proposals of each image under the limits of training."""
        return self._select(output, images.image_sizes, self.train_limits)

    def predict(self, images: ImageList, output: RPNOutput) -> list[BoxList]:
        """Return the proposals of each image under the limits of inference."""
        return self._select(output, images.image_sizes, self.test_limits)

    def detections(self, images: ImageList, output: RPNOutput) -> list[BoxList]:
        """Return the proposals of each image, sorted: the result of an RPN-only model."""
        proposals = self.predict(images, output)
        return [p[p.get_field(OBJECTNESS).argsort(descending=True)] for p in proposals]

    def losses(
        self, images: ImageList, output: RPNOutput, targets: Sequence[BoxList]
    ) -> dict[str, Tensor]:
        """Return ``loss_objectness`` and ``loss_rpn_box_reg``, see ``rpn_losses``."""
        anchors = torch.cat(output.anchors)
        labels, offsets = [], []
        for image_size, target in zip(images.image_sizes, targets, strict=True):
            label, offset = anchor_targets(
                anchors,
                self.anchor_generator.visibility(anchors, image_size),
                target.bbox,
                matcher=self.matcher,
                box_coder=self.box_coder,
            )
            labels.append(label)
            offsets.append(offset)
        loss_objectness, loss_box = rpn_losses(
            torch.cat(output.flat_objectness(), dim=1).flatten(),
            torch.cat(output.flat_deltas(), dim=1).flatten(0, 1),
            torch.cat(labels),
            torch.cat(offsets),
            self.sampler(labels),
        )
        return {"loss_objectness": loss_objectness, "loss_rpn_box_reg": loss_box}


@RPN_HEADS.register("SingleConvRPNHead")
def build_rpn_head(cfg: CfgNode, in_channels: int, num_anchors: int) -> RPNHead:
    """Build the head for feature maps with ``in_channels`` channels."""
    del cfg
    return RPNHead(in_channels, num_anchors)


def check_num_convs(cfg: CfgNode) -> Iterator[str]:
    """Check the number of convolutions."""
    if cfg.MODEL.RPN.NUM_CONVS < 1:
        yield f"MODEL.RPN.NUM_CONVS is {cfg.MODEL.RPN.NUM_CONVS}; it must be at least 1"


@RPN_HEADS.register("MultiConvRPNHead", check=check_num_convs)
def build_multi_conv_rpn_head(cfg: CfgNode, in_channels: int, num_anchors: int) -> RPNHead:
    """Build the head with ``MODEL.RPN.NUM_CONVS`` convolutions."""
    return RPNHead(in_channels, num_anchors, num_convs=cfg.MODEL.RPN.NUM_CONVS)


def check_rpn(cfg: CfgNode) -> Iterator[str]:
    """Yield the problems of ``MODEL.RPN``."""
    rpn = cfg.MODEL.RPN
    yield from RPN_HEADS.check(cfg)
    if rpn.ANCHOR_RULE not in ANCHOR_RULES:
        yield (
            f"MODEL.RPN.ANCHOR_RULE is {rpn.ANCHOR_RULE!r}; it must be one of "
            f"{', '.join(ANCHOR_RULES)}"
        )
    if rpn.ANCHOR_RULE != "legacy" and cfg.MODEL.PIXEL_OFFSET != 0:
        yield f"MODEL.RPN.ANCHOR_RULE {rpn.ANCHOR_RULE} needs MODEL.PIXEL_OFFSET 0"
    strides, sizes = rpn.ANCHOR_STRIDE, rpn.ANCHOR_SIZES
    if rpn.USE_FPN and len(strides) != len(sizes):
        yield (
            f"MODEL.RPN.ANCHOR_STRIDE has {len(strides)} levels and MODEL.RPN.ANCHOR_SIZES "
            f"{len(sizes)}; FPN needs one size per stride, such as (4, 8, 16, 32, 64) and "
            "(32, 64, 128, 256, 512)"
        )
    if min(strides, default=0) <= 0 or min(sizes, default=0) <= 0:
        yield f"MODEL.RPN.ANCHOR_STRIDE {strides} and ANCHOR_SIZES {sizes} must be positive"


def build_rpn(cfg: CfgNode, in_channels: int) -> RPN:
    """Build ``MODEL.RPN`` for feature maps with ``in_channels`` channels."""
    options = cfg.MODEL.RPN
    anchors = make_anchor_generator(cfg)
    counts = set(anchors.num_anchors_per_location())
    if len(counts) != 1:
        raise ValueError(f"MODEL.RPN: levels have different numbers of anchors {sorted(counts)}")
    return RPN(
        RPN_HEADS.build(cfg, in_channels, counts.pop()),
        anchors,
        matcher=Matcher(options.FG_IOU_THRESHOLD, options.BG_IOU_THRESHOLD, True),
        sampler=BalancedPositiveNegativeSampler(
            options.BATCH_SIZE_PER_IMAGE, options.POSITIVE_FRACTION
        ),
        train_limits=ProposalLimits(
            options.PRE_NMS_TOP_N_TRAIN,
            options.POST_NMS_TOP_N_TRAIN,
            options.FPN_POST_NMS_TOP_N_TRAIN,
            per_batch=options.FPN_POST_NMS_PER_BATCH,
        ),
        test_limits=ProposalLimits(
            options.PRE_NMS_TOP_N_TEST,
            options.POST_NMS_TOP_N_TEST,
            options.FPN_POST_NMS_TOP_N_TEST,
            per_batch=False,
        ),
        nms_thresh=options.NMS_THRESH,
        min_size=options.MIN_SIZE,
        box_coder=make_box_coder(cfg, (1.0, 1.0, 1.0, 1.0)),
    )
