"""Region Proposal Network (Ren et al., NeurIPS 2015)."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
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
from maskrcnn_benchmark.modeling.rpn.cells import conv3x3_at
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
        hidden = features
        for conv in self._convs():
            hidden = [conv_relu(conv, h) for h in hidden]
        return [self.cls_logits(h) for h in hidden], [self.bbox_pred(h) for h in hidden]

    def at(self, features: Sequence[Tensor], cells: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits ``[S, A]`` and offsets ``[S, 4A]`` at S cells, see ``conv3x3_at``."""
        hidden, (*before, last) = features, self._convs()
        for conv in before:
            hidden = [conv_relu(conv, h) for h in hidden]
        x = F.relu(conv3x3_at(last, hidden, cells), inplace=True)
        logits, offsets = (
            F.linear(x, layer.weight.flatten(1), layer.bias)
            for layer in (self.cls_logits, self.bbox_pred)
        )
        return logits, offsets

    def _convs(self) -> list[nn.Conv2d]:
        return [self.get_submodule(name) for name in ("conv", *self.more)]  # type: ignore[misc]


@runtime_checkable
class ScoresCells(Protocol):
    """A head that scores single cells as well, as ``RPNHead`` does."""

    def at(self, features: Sequence[Tensor], cells: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits ``[S, A]`` and offsets ``[S, 4A]`` at S cells, see ``conv3x3_at``."""
        ...


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
        return self._score(features, self.anchor_generator(features))

    def _score(self, features: Sequence[Tensor], anchors: list[Tensor]) -> RPNOutput:
        objectness, deltas = self.head(features)
        return RPNOutput(
            [full_precision(o) for o in objectness], [full_precision(d) for d in deltas], anchors
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
        self, images: ImageList, features: Sequence[Tensor], targets: Sequence[BoxList]
    ) -> tuple[dict[str, Tensor], RPNOutput]:
        """Return ``loss_objectness`` and ``loss_rpn_box_reg``, see ``rpn_losses``, and the output.

        A head that ``ScoresCells`` does so for the losses; the output, which is left to the
        proposals, has no gradient then.
        """
        levels = self.anchor_generator(features)
        anchors = torch.cat(levels)
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
        positive, negative = (
            torch.cat([rows + image * len(anchors) for image, rows in enumerate(kind)])
            for kind in self.sampler(labels)
        )
        drawn = torch.cat([positive, negative])
        if isinstance(self.head, ScoresCells):
            objectness, deltas = self._score_anchors(self.head, features, drawn)
            with torch.no_grad():
                output = self._score(features, levels)
        else:
            output = self._score(features, levels)
            objectness = torch.cat(output.flat_objectness(), dim=1).flatten()[drawn]
            deltas = torch.cat(output.flat_deltas(), dim=1).flatten(0, 1)[drawn]
        loss_objectness, loss_box = rpn_losses(
            objectness,
            torch.cat(labels)[drawn],
            deltas[: len(positive)],
            torch.cat(offsets)[positive],
        )
        return {"loss_objectness": loss_objectness, "loss_rpn_box_reg": loss_box}, output

    def _score_anchors(
        self, head: ScoresCells, features: Sequence[Tensor], anchors: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the logits ``[S]`` and offsets ``[S, 4]`` of anchors, numbered over all images."""
        per_cell = self.anchor_generator.num_anchors_per_location()[0]
        logits, offsets = head.at(features, anchors // per_cell)
        of_cell = (anchors % per_cell)[:, None]
        offsets = offsets.unflatten(1, (-1, 4))
        return (
            full_precision(logits).gather(1, of_cell)[:, 0],
            full_precision(offsets).gather(1, of_cell[..., None].expand(-1, 1, 4))[:, 0],
        )


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
