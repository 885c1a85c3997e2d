"""MaskIoU head: how good each predicted mask is (Mask Scoring R-CNN, section 3.2).

Letters: R ROIs of the batch, K classes with background, C channels, P pooled side, M mask side.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from yacs.config import CfgNode

from maskrcnn_benchmark.layers import full_precision
from maskrcnn_benchmark.modeling.make_layers import NormMaker, conv3x3, linear, make_group_norm

CHANNELS = 256
FC_CHANNELS = 1024


class MaskIoUFeatureExtractor(nn.Module):
    """Four convolutions, the last with stride 2, and two linear layers.

    Args:
        in_channels: C of the ROI features.
        roi_side: P of the ROI features.
        norm: norm of each convolution, if any. The linear layers have none: normalised features
            are so long that the regression of the IoU swings at usual learning rates.
    """

    def __init__(self, in_channels: int, roi_side: int, *, norm: NormMaker | None = None) -> None:
        super().__init__()
        self.maskiou_fcn1 = conv3x3(in_channels + 1, CHANNELS, norm=norm)  # + 1: the mask
        self.maskiou_fcn2 = conv3x3(CHANNELS, CHANNELS, norm=norm)
        self.maskiou_fcn3 = conv3x3(CHANNELS, CHANNELS, norm=norm)
        self.maskiou_fcn4 = conv3x3(CHANNELS, CHANNELS, stride=2, norm=norm)
        self.maskiou_fc1 = linear(CHANNELS * ((roi_side + 1) // 2) ** 2, FC_CHANNELS)
        self.maskiou_fc2 = linear(FC_CHANNELS, FC_CHANNELS)
        self.out_channels = FC_CHANNELS

    def forward(self, roi_features: Tensor, masks: Tensor) -> Tensor:
        """Return the features ``[R, 1024]`` of masks ``[R, M, M]`` on ``[R, C, P, P]``.

        The soft masks are max-pooled to the size of the ROI features, M / P at a time.
        """
        pooling = masks.shape[-1] // roi_features.shape[-1]
        pooled = F.max_pool2d(masks[:, None], kernel_size=pooling, stride=pooling)
        x = torch.cat([roi_features, pooled.to(roi_features)], dim=1)
        for conv in (self.maskiou_fcn1, self.maskiou_fcn2, self.maskiou_fcn3, self.maskiou_fcn4):
            x = F.relu(conv(x))
        x = F.relu(self.maskiou_fc1(x.flatten(1)))
        return F.relu(self.maskiou_fc2(x))


class MaskIoUPredictor(nn.Module):
    """The predicted IoU for each class: a linear output, not clamped."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.maskiou = nn.Linear(in_channels, num_classes)
        nn.init.normal_(self.maskiou.weight, std=0.01)
        nn.init.zeros_(self.maskiou.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return the IoUs ``[R, K]``."""
        return self.maskiou(x)


class ROIMaskIoUHead(nn.Module):
    """Predicts the IoU of a mask with the instance that it stands for."""

    def __init__(self, feature_extractor: nn.Module, predictor: nn.Module) -> None:
        super().__init__()
        self.feature_extractor = feature_extractor
        self.predictor = predictor

    def forward(self, roi_features: Tensor, masks: Tensor) -> Tensor:
        """Return the predicted IoU ``[R, K]`` for each class.

        Args:
            roi_features: ``[R, C, P, P]`` of the mask head's pooler.
            masks: probabilities ``[R, M, M]`` of the class of each ROI.
        """
        return full_precision(self.predictor(self.feature_extractor(roi_features, masks)))


def select_iou(pred_ious: Tensor, labels: Tensor) -> Tensor:
    """Return the predictions ``[R]`` for the labels ``[R]`` among ``[R, K]``."""
    return pred_ious.gather(1, labels[:, None])[:, 0]


def build_maskiou_head(cfg: CfgNode, in_channels: int, roi_side: int) -> ROIMaskIoUHead:
    """Build the MaskIoU head over ROI features ``[R, in_channels, roi_side, roi_side]``."""
    norm = make_group_norm(cfg) if cfg.MODEL.ROI_MASK_HEAD.USE_GN else None
    extractor = MaskIoUFeatureExtractor(in_channels, roi_side, norm=norm)
    predictor = MaskIoUPredictor(extractor.out_channels, cfg.MODEL.ROI_BOX_HEAD.NUM_CLASSES)
    return ROIMaskIoUHead(extractor, predictor)
