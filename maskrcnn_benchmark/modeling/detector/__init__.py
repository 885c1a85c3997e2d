import torch
from yacs.config import CfgNode

from maskrcnn_benchmark.modeling.backbone import build_backbone
from maskrcnn_benchmark.modeling.detector.generalized_rcnn import GeneralizedRCNN
from maskrcnn_benchmark.modeling.roi_heads.roi_heads import build_roi_heads
from maskrcnn_benchmark.modeling.rpn.rpn import build_rpn

__all__ = ["GeneralizedRCNN", "build_detection_model"]


def build_detection_model(cfg: CfgNode, *, paste_masks: bool = True) -> GeneralizedRCNN:
    """Build the model that ``cfg.MODEL`` describes, on the CPU, with initial weights.

    Its convolutions are in the channels_last memory format: on the CPU their gradients take half
    the time.

    Args:
        cfg: the whole config.
        paste_masks: whether ``MODEL.ROI_MASK_HEAD.POSTPROCESS_MASKS`` holds. False for callers that
            paste the masks themselves, as the evaluation does: it needs ``[N, 1, M, M]``.

    Raises:
        ValueError: a name or a size in the config is wrong; the message has its key.
    """
    if cfg.MODEL.META_ARCHITECTURE != "GeneralizedRCNN":
        raise ValueError(
            f"MODEL.META_ARCHITECTURE {cfg.MODEL.META_ARCHITECTURE!r} is unknown; "
            "known is 'GeneralizedRCNN'"
        )
    backbone = build_backbone(cfg)
    model = GeneralizedRCNN(
        backbone,
        build_rpn(cfg, backbone.out_channels),
        None if cfg.MODEL.RPN_ONLY else build_roi_heads(cfg, backbone.out_channels, paste_masks),
        dtype=getattr(torch, cfg.DTYPE),
    )
    return model.to(memory_format=torch.channels_last)
