"""MaskIoU head: the quality of each predicted mask (Mask Scoring R-CNN, sections 3.2 and 3.3).

Section 3.2, the network and the score: ``s_mask = s_cls * s_iou``, where the head regresses
``s_iou`` from the features of the ROI and its predicted mask (``ROIMaskIoUHead``, ``select_iou``,
``mask_score``). Section 3.3, training: the target is the IoU of the binarized mask with the whole
instance (``mask_iou_target``), and the loss is L2 (``mask_iou_loss``).

Shapes: R ROIs of the batch, K classes with background, C channels, P pooled size, M mask size.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from yacs.config import CfgNode

from maskrcnn_benchmark.layers import FrozenBatchNorm2d, conv_relu, full_precision
from maskrcnn_benchmark.modeling.make_layers import NormMaker, conv3x3, linear, make_norm
from maskrcnn_benchmark.modeling.roi_heads.mask_head import MaskTargets

CHANNELS = 256
FC_CHANNELS = 1024


class MaskIoUFeatureExtractor(nn.Module):
    """Apply four convolutions, the last with stride 2, and two linear layers.

    Args:
        in_channels: number of channels C of the ROI features.
        roi_side: size P of the ROI features.
        norm: normalization layer of each convolution, if any. The linear layers have none:
            normalized features have so large a norm that the IoU regression oscillates at usual
            learning rates.
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
        """Return features ``[R, 1024]`` of ROI features ``[R, C, P, P]`` and masks ``[R, M, M]``.

        The soft masks are max-pooled to P with kernel size and stride M / P.
        """
        pooling = masks.shape[-1] // roi_features.shape[-1]
        pooled = F.max_pool2d(masks[:, None], kernel_size=pooling, stride=pooling)
        x = torch.cat([roi_features, pooled.to(roi_features)], dim=1)
        for conv in (self.maskiou_fcn1, self.maskiou_fcn2, self.maskiou_fcn3, self.maskiou_fcn4):
            x = conv_relu(conv, x)
        x = F.relu(self.maskiou_fc1(x.flatten(1)), inplace=True)
        return F.relu(self.maskiou_fc2(x), inplace=True)


class MaskIoUPredictor(nn.Module):
    """Predict the IoU for each class, without clamping it to [0, 1]."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.maskiou = nn.Linear(in_channels, num_classes)
        nn.init.normal_(self.maskiou.weight, std=0.01)
        nn.init.zeros_(self.maskiou.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return the IoUs ``[R, K]``."""
        return self.maskiou(x)


class ROIMaskIoUHead(nn.Module):
    """Predict the IoU of each mask with its ground-truth instance."""

    def __init__(self, feature_extractor: nn.Module, predictor: nn.Module) -> None:
        super().__init__()
        self.feature_extractor = feature_extractor
        self.predictor = predictor

    def forward(self, roi_features: Tensor, masks: Tensor) -> Tensor:
        """Return the predicted IoU ``[R, K]`` for each class.

        Args:
            roi_features: output ``[R, C, P, P]`` of the mask head's pooler.
            masks: probabilities ``[R, M, M]``, the mask of each ROI's class.
        """
        return full_precision(self.predictor(self.feature_extractor(roi_features, masks)))


def select_iou(pred_ious: Tensor, labels: Tensor) -> Tensor:
    """Return ``s_iou`` ``[R]``, the predicted IoU of each ROI's class (section 3.2).

    Args:
        pred_ious: ``[R, K]``, output of the head.
        labels: int64 ``[R]``, the ground-truth class in training, the predicted class at inference.
    """
    return pred_ious.gather(1, labels[:, None])[:, 0]


def mask_score(scores: Tensor, mask_ious: Tensor) -> Tensor:
    """Return the mask score ``s_mask = s_cls * s_iou`` (section 3.2).

    Args:
        scores: ``s_cls`` ``[R]``, the class scores of the box head.
        mask_ious: ``s_iou`` ``[R]``, the predicted IoUs of the same classes (``select_iou``).
    """
    return scores * mask_ious


@torch.no_grad()
def mask_iou_target(logits: Tensor, gt: MaskTargets) -> Tensor:
    """Return the IoU ``[R]`` of the predicted mask with the whole instance (section 3.3).

    ``target = overlap / (|prediction| + whole - overlap)``, ``whole = |gt| / visible fraction``.

    The overlap is counted inside the ROI. The area of the whole instance is its area inside the
    ROI divided by the visible fraction, so the part outside the ROI lowers the IoU. The target of
    an instance without area is 0, which the loss ignores.

    Args:
        logits: ``[R, M, M]``, the mask of each ROI's class.
        gt: the mask targets of the same ROIs.
    """
    predicted = (logits > 0).float()  # probability > 0.5
    overlap = (predicted * gt.masks).sum(dim=(1, 2))
    whole = gt.masks.sum(dim=(1, 2)) / gt.visible_fraction.clamp(min=1e-10)
    union = (predicted.sum(dim=(1, 2)) + whole - overlap).clamp(min=1)
    return (overlap.clamp(min=0) / union).nan_to_num(nan=0.0)


def mask_iou_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Return the mean of ``0.5 * (s_iou - target)^2`` where the target is above 0 (section 3.3).

    As in the original, masks that miss their object entirely (target 0) are ignored. If no sample
    is left, the loss is 0 with a zero gradient.

    Args:
        prediction: predicted IoU ``[R]`` of the ground-truth class (``select_iou``).
        target: true IoU ``[R]`` (``mask_iou_target``).

    Raises:
        ValueError: the shapes differ.
    """
    if prediction.shape != target.shape:
        raise ValueError(
            f"mask_iou_loss: expected target {list(prediction.shape)}, got {list(target.shape)}"
        )
    counted = target > 0
    difference = torch.where(counted, prediction - target, 0)
    return 0.5 * difference.square().sum() / counted.sum().clamp(min=1)


def build_maskiou_head(cfg: CfgNode, in_channels: int, roi_side: int) -> ROIMaskIoUHead:
    """Build the MaskIoU head for ROI features ``[R, in_channels, roi_side, roi_side]``.

    Its convolutions have the normalization of the mask head, but none if that one is frozen: the
    MaskIoU head may be new, on top of a trained model.
    """
    norm = make_norm(cfg, cfg.MODEL.ROI_MASK_HEAD)
    norm = None if norm is FrozenBatchNorm2d else norm
    extractor = MaskIoUFeatureExtractor(in_channels, roi_side, norm=norm)
    predictor = MaskIoUPredictor(extractor.out_channels, cfg.MODEL.ROI_BOX_HEAD.NUM_CLASSES)
    return ROIMaskIoUHead(extractor, predictor)
