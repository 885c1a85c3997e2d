"""Predictors of the box head: class logits and box offsets.

Shapes: R ROIs of the batch, K classes with background, B boxes per ROI (K, or 2 if they are
class-agnostic), C channels, P pooled size.
"""

from collections.abc import Iterator

from torch import Tensor, nn
from yacs.config import CfgNode

from maskrcnn_benchmark.modeling.registry import ROI_BOX_PREDICTOR
from maskrcnn_benchmark.modeling.roi_heads.conv5_extractor import CONV5_EXTRACTOR

_PREDICTORS = {
    "FPN2MLPFeatureExtractor": "FPNPredictor",
    "FPNXconv1fcFeatureExtractor": "FPNPredictor",
    CONV5_EXTRACTOR: "FastRCNNPredictor",
}
_AGNOSTIC_BOXES = 2  # of the background, which nothing reads, and of all classes


class FPNPredictor(nn.Module):
    """Predict class logits and box offsets.

    Args:
        in_channels: number of channels of the features.
        num_classes: K.
        num_boxes: B.
    """

    def __init__(self, in_channels: int, num_classes: int, num_boxes: int) -> None:
        super().__init__()
        self.cls_score = nn.Linear(in_channels, num_classes)
        self.bbox_pred = nn.Linear(in_channels, num_boxes * 4)
        nn.init.normal_(self.cls_score.weight, std=0.01)
        nn.init.normal_(self.bbox_pred.weight, std=0.001)
        for layer in (self.cls_score, self.bbox_pred):
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits ``[R, K]`` and offsets ``[R, 4B]`` of features ``[R, C]``."""
        return self.cls_score(x), self.bbox_pred(x)


class FastRCNNPredictor(FPNPredictor):
    """Predict the same from feature maps, with global average pooling."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits ``[R, K]`` and offsets ``[R, 4B]`` of features ``[R, C, P, P]``."""
        return super().forward(x.mean(dim=(2, 3)))


def check_predictor(cfg: CfgNode) -> Iterator[str]:
    """Check that the predictor takes the kind of features that the extractor returns."""
    extractor, predictor = (cfg.MODEL.ROI_BOX_HEAD[k] for k in ("FEATURE_EXTRACTOR", "PREDICTOR"))
    wanted = _PREDICTORS.get(extractor, predictor)
    if predictor != wanted:
        yield f"MODEL.ROI_BOX_HEAD.PREDICTOR is {predictor}; it must be {wanted} with {extractor}"


def make_box_counts(cfg: CfgNode) -> tuple[int, int]:
    """Return the number of classes K and of boxes B per ROI."""
    classes = cfg.MODEL.ROI_BOX_HEAD.NUM_CLASSES
    return classes, _AGNOSTIC_BOXES if cfg.MODEL.CLS_AGNOSTIC_BBOX_REG else classes


@ROI_BOX_PREDICTOR.register("FPNPredictor", check=check_predictor)
def build_fpn_predictor(cfg: CfgNode, in_channels: int) -> FPNPredictor:
    """Build the predictor for features ``[R, in_channels]``."""
    return FPNPredictor(in_channels, *make_box_counts(cfg))


@ROI_BOX_PREDICTOR.register("FastRCNNPredictor", check=check_predictor)
def build_fast_rcnn_predictor(cfg: CfgNode, in_channels: int) -> FastRCNNPredictor:
    """Build the predictor for features ``[R, in_channels, P, P]``."""
    return FastRCNNPredictor(in_channels, *make_box_counts(cfg))
