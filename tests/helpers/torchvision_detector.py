"""torchvision's detectors with narrow layers and random weights that give many detections."""

from typing import Any

import torch
from torch import nn
from torchvision.models.detection import FasterRCNN, MaskRCNN
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import (
    FastRCNNConvFCHead,
    FastRCNNPredictor,
    TwoMLPHead,
)
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.rpn import RPNHead
from torchvision.models.resnet import Bottleneck, ResNet

SIDE = 96  # of the images' short side, which torchvision then leaves as it is


def torchvision_detector(
    classes: int,
    channels: int = 32,
    hidden: int = 64,
    *,
    version: int = 1,
    masks: bool = True,
) -> FasterRCNN:
    """Return ``maskrcnn_resnet50_fpn``, or without masks ``fasterrcnn_resnet50_fpn``, or its v2."""
    torch.manual_seed(1)
    body = ResNet(Bottleneck, [3, 4, 6, 3], width_per_group=8)
    levels = {f"layer{i + 1}": str(i) for i in range(4)}
    norm = {"norm_layer": nn.BatchNorm2d} if version == 2 else {}
    backbone = BackboneWithFPN(body, levels, [256, 512, 1024, 2048], channels, **norm)
    options: dict[str, Any] = {
        "min_size": SIDE,
        "max_size": 10 * SIDE,
        "box_head": TwoMLPHead(channels * 49, hidden),
        "box_predictor": FastRCNNPredictor(hidden, classes),
    }
    if version == 2:
        options["rpn_head"] = RPNHead(channels, 3, conv_depth=2)
        options["box_head"] = FastRCNNConvFCHead(
            (channels, 7, 7), [channels] * 4, [hidden], norm_layer=nn.BatchNorm2d
        )
    if masks:
        options["mask_head"] = MaskRCNNHeads(channels, (channels, channels), 1, **norm)
        options["mask_predictor"] = MaskRCNNPredictor(channels, channels, classes)
    model = (MaskRCNN if masks else FasterRCNN)(backbone, **options)
    _randomise(model)
    return model.eval()


@torch.no_grad()
def _randomise(model: FasterRCNN) -> None:
    for name, module in model.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            # small residual branches keep the features of 16 blocks bounded
            nn.init.uniform_(module.weight, *((0.1, 0.3) if name.endswith("bn3") else (0.7, 1.3)))
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            for values in (module.bias, module.running_mean):
                nn.init.normal_(values, std=0.1)
        elif getattr(module, "bias", None) is not None:
            nn.init.normal_(module.bias, std=0.05)
    gains = {"cls_logits": 0.3, "rpn.head.bbox_pred": 0.05, "cls_score": 3, "mask_fcn_logits": 1}
    for name, module in model.named_modules():
        for ending, std in gains.items():
            if name.endswith(ending):
                nn.init.normal_(module.weight, std=std)
    model.roi_heads.box_predictor.cls_score.bias[0] += 7  # so that the threshold has an effect


def random_images() -> list[torch.Tensor]:
    """Return two RGB images in [0, 1] with different widths."""
    torch.manual_seed(2)
    coarse = [torch.rand(1, 3, 12, 12), torch.rand(1, 3, 12, 20)]
    sizes = [(SIDE, SIDE + 7), (SIDE, SIDE + 64)]
    return [
        nn.functional.interpolate(image, size=size, mode="bilinear")[0]
        for image, size in zip(coarse, sizes, strict=True)
    ]
