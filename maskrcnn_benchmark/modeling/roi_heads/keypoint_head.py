"""Keypoint head: a heat map for each ROI and keypoint (Mask R-CNN, section 5).

Shapes: R ROIs of the batch, K keypoints, C channels, P pooled size, M size of the heat maps.
"""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from yacs.config import CfgNode

from maskrcnn_benchmark.layers import ConvTranspose2d, full_precision
from maskrcnn_benchmark.modeling.make_layers import conv3x3, kaiming_normal
from maskrcnn_benchmark.modeling.poolers import Pooler, make_pooler
from maskrcnn_benchmark.modeling.registry import (
    ROI_KEYPOINT_FEATURE_EXTRACTORS,
    ROI_KEYPOINT_PREDICTOR,
)
from maskrcnn_benchmark.modeling.roi_heads.heat_maps import (
    heat_maps_to_keypoints,
    keypoints_to_heat_map,
)
from maskrcnn_benchmark.modeling.roi_heads.sampling import SampledProposals
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.fields import KEYPOINTS, LOGITS
from maskrcnn_benchmark.structures.keypoints import Keypoints

UPSAMPLING = 4  # 2 by the transposed convolution, 2 by interpolation


class KeypointRCNNFeatureExtractor(nn.Module):
    """Pool the boxes and apply 3x3 convolutions ``conv_fcn1``, ``conv_fcn2``, ..."""

    def __init__(self, in_channels: int, pooler: Pooler, conv_dims: Sequence[int]) -> None:
        super().__init__()
        self.pooler = pooler
        self.blocks: list[str] = []
        for number, dim in enumerate(conv_dims, start=1):
            self.blocks.append(f"conv_fcn{number}")
            self.add_module(self.blocks[-1], conv3x3(in_channels, dim))
            in_channels = dim
        self.out_channels = in_channels

    def forward(
        self, features: Sequence[Tensor], boxes: Sequence[BoxList]
    ) -> tuple[Tensor, Tensor]:
        """Return the pooled features ``[R, C, P, P]`` and the features ``[R, C', P, P]``."""
        pooled = self.pooler(features, boxes)
        x = pooled
        for name in self.blocks:
            x = F.relu(self.get_submodule(name)(x))
        return pooled, x


class KeypointRCNNPredictor(nn.Module):
    """Upsample twice by 2, to a heat map for each keypoint."""

    def __init__(self, in_channels: int, num_keypoints: int) -> None:
        super().__init__()
        self.kps_score_lowres = ConvTranspose2d(in_channels, num_keypoints, 4, 2, 1)
        kaiming_normal(self.kps_score_lowres)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``[R, K, 4P, 4P]``."""
        x = self.kps_score_lowres(x)
        return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def has_keypoint_target(sampled: SampledProposals) -> list[Tensor]:
    """Return which ROIs train the keypoint head, bool ``[R_i]`` for each image.

    These are the positive ROIs whose matched instance has an annotated keypoint inside its own box.
    """
    chosen = []
    for labels, matched, gt in zip(
        sampled.labels, sampled.matched_gt, sampled.ground_truth, strict=True
    ):
        positive = labels > 0
        if len(gt):
            low, high = gt.bbox[:, None, :2], gt.bbox[:, None, 2:]
            points, v = gt.get_field(KEYPOINTS).keypoints.split((2, 1), dim=2)
            inside = ((points >= low) & (points <= high)).all(dim=2) & (v[..., 0] > 0)
            positive &= inside.any(dim=1)[matched]
        chosen.append(positive)
    return chosen


def keypoint_targets(positives: SampledProposals, size: int) -> tuple[Tensor, Tensor]:
    """Return the cell of each keypoint of each ROI: int64 ``[R, K]``, and bool ``[R, K]``.

    Args:
        positives: positive ROIs; their ground truth has the field ``keypoints``.
        size: M.
    """
    matched = [
        gt.get_field(KEYPOINTS).keypoints[index]
        for gt, index in zip(positives.ground_truth, positives.matched_gt, strict=True)
        if len(index)
    ]
    rois = torch.cat([boxes.bbox for boxes in positives.boxes])
    keypoints = torch.cat(matched) if matched else rois.new_zeros(0, 0, 3)
    return keypoints_to_heat_map(keypoints, rois, size)


def keypoint_loss(logits: Tensor, cells: Tensor, valid: Tensor) -> Tensor:
    """Return the mean cross-entropy over the cells of the heat maps of all valid keypoints.

    Without any, it is 0 with a zero gradient.

    Args:
        logits: ``[R, K, M, M]``.
        cells: int64 ``[R, K]``, the target ``row * M + column``.
        valid: bool ``[R, K]``.
    """
    target = torch.where(valid, cells, -1).flatten()
    total = F.cross_entropy(
        logits.flatten(2).flatten(0, 1), target, ignore_index=-1, reduction="sum"
    )
    return total / valid.sum().clamp(min=1)


class ROIKeypointHead(nn.Module):
    """Keypoint head: feature extractor and predictor.

    Args:
        feature_extractor: maps boxes to features, see ``ROI_KEYPOINT_FEATURE_EXTRACTORS``.
        predictor: maps features to heat maps.
    """

    def __init__(self, feature_extractor: nn.Module, predictor: nn.Module) -> None:
        super().__init__()
        self.feature_extractor = feature_extractor
        self.predictor = predictor

    def forward(self, features: Sequence[Tensor], boxes: Sequence[BoxList]) -> Tensor:
        """Return heat maps ``[R, K, M, M]``, logits, of the boxes of each image."""
        _, x = self.feature_extractor(features, boxes)
        return full_precision(self.predictor(x))

    def losses(self, features: Sequence[Tensor], sampled: SampledProposals) -> dict[str, Tensor]:
        """Return ``loss_kp`` of the sampled proposals, see ``has_keypoint_target``."""
        positives = sampled[[c.nonzero().flatten() for c in has_keypoint_target(sampled)]]
        logits = self(features, positives.boxes)
        cells, valid = keypoint_targets(positives, logits.shape[-1])
        return {"loss_kp": keypoint_loss(logits, cells, valid)}

    def add_predictions(self, features: Sequence[Tensor], detections: Sequence[BoxList]) -> None:
        """Give the detections of each image the field ``keypoints`` (``Keypoints``)."""
        rois = torch.cat([boxes.bbox for boxes in detections])
        points, logits = heat_maps_to_keypoints(self(features, detections), rois)
        counts = [len(boxes) for boxes in detections]
        for boxes, of_image, values in zip(
            detections, points.split(counts), logits.split(counts), strict=True
        ):
            keypoints = Keypoints(of_image, boxes.size, pixel_offset=boxes.pixel_offset)
            keypoints.add_field(LOGITS, values)
            boxes.add_field(KEYPOINTS, keypoints)


@ROI_KEYPOINT_FEATURE_EXTRACTORS.register("KeypointRCNNFeatureExtractor")
def build_keypoint_rcnn_features(cfg: CfgNode, in_channels: int) -> KeypointRCNNFeatureExtractor:
    """Build 3x3 convolutions for feature maps with ``in_channels`` channels."""
    options = cfg.MODEL.ROI_KEYPOINT_HEAD
    return KeypointRCNNFeatureExtractor(in_channels, make_pooler(options), options.CONV_LAYERS)


def check_heat_map_side(cfg: CfgNode) -> Iterator[str]:
    """Check that ``RESOLUTION`` is the size of the heat maps."""
    options = cfg.MODEL.ROI_KEYPOINT_HEAD
    side = UPSAMPLING * options.POOLER_RESOLUTION
    if side != options.RESOLUTION:
        yield (
            f"MODEL.ROI_KEYPOINT_HEAD.RESOLUTION is {options.RESOLUTION}; with POOLER_RESOLUTION "
            f"{options.POOLER_RESOLUTION} the keypoint head predicts heat maps of size {side}"
        )


@ROI_KEYPOINT_PREDICTOR.register("KeypointRCNNPredictor", check=check_heat_map_side)
def build_keypoint_rcnn_predictor(cfg: CfgNode, in_channels: int) -> KeypointRCNNPredictor:
    """Build the predictor for features ``[R, in_channels, P, P]``."""
    return KeypointRCNNPredictor(in_channels, cfg.MODEL.ROI_KEYPOINT_HEAD.NUM_CLASSES)


def check_keypoint_head(cfg: CfgNode) -> Iterator[str]:
    """Yield the problems of ``MODEL.ROI_KEYPOINT_HEAD``."""
    yield from ROI_KEYPOINT_FEATURE_EXTRACTORS.check(cfg)
    yield from ROI_KEYPOINT_PREDICTOR.check(cfg)
    options = cfg.MODEL.ROI_KEYPOINT_HEAD
    if options.NUM_CLASSES < 1:
        yield (
            f"MODEL.ROI_KEYPOINT_HEAD.NUM_CLASSES is {options.NUM_CLASSES}; it is the number of "
            "keypoints and must be at least 1"
        )
    if options.SHARE_BOX_FEATURE_EXTRACTOR:
        yield (
            "MODEL.ROI_KEYPOINT_HEAD.SHARE_BOX_FEATURE_EXTRACTOR must be False with "
            "MODEL.KEYPOINT_ON: the keypoint head has convolutions of its own"
        )


def build_keypoint_head(cfg: CfgNode, in_channels: int) -> ROIKeypointHead:
    """Build ``MODEL.ROI_KEYPOINT_HEAD`` for feature maps with ``in_channels`` channels."""
    extractor = ROI_KEYPOINT_FEATURE_EXTRACTORS.build(cfg, in_channels)
    return ROIKeypointHead(extractor, ROI_KEYPOINT_PREDICTOR.build(cfg, extractor.out_channels))
