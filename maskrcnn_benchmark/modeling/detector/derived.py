"""Derive FPN switches, strides, scales and matching heads from the backbone body."""

from typing import Any

from yacs.config import CfgNode

from maskrcnn_benchmark.modeling.backbone.build_resnet import ends_before_conv5
from maskrcnn_benchmark.modeling.registry import BACKBONES, make_strides
from maskrcnn_benchmark.modeling.roi_heads.conv5_extractor import CONV5_EXTRACTOR
from maskrcnn_benchmark.modeling.roi_heads.keypoint_head import UPSAMPLING
from maskrcnn_benchmark.modeling.roi_heads.mask_predictor import make_mask_side

_BODY = "MODEL.BACKBONE.CONV_BODY"
_STRIDES = "MODEL.RPN.ANCHOR_STRIDE"
_EXTRACTOR = "MODEL.ROI_BOX_HEAD.FEATURE_EXTRACTOR"
FPN_DIVISIBILITY = 32  # each level must be exactly twice as large as the next
_POOLED_LEVELS = 4  # levels that ROIs are pooled from; coarser ones serve the RPN only


def make_has_roi_heads(cfg: CfgNode) -> bool:
    """Return whether the model has ROI heads: an RPN alone and a RetinaNet have none."""
    return not (cfg.MODEL.RPN_ONLY or cfg.MODEL.RETINANET_ON)


def derive_settings(cfg: CfgNode) -> list[str]:
    """Set the keys that depend on ``MODEL.BACKBONE.CONV_BODY`` if the user set only the body.

    The defaults, and the settings of a published model, match their own body and stay unchanged. A
    config that states how its body is used (``MODEL.RPN.USE_FPN``, ``FEATURE_EXTRACTOR``) also
    keeps the default widths. Derived keys do not count as set, so they follow the body if it is
    changed again.

    Args:
        cfg: the whole tree; changed in place.

    Returns:
        One line that lists the derived settings, or an empty list.

    Raises:
        ValueError: the config is frozen but a key needs to be derived.
    """
    body = cfg.MODEL.BACKBONE.CONV_BODY
    if not cfg.is_set(_BODY) or not BACKBONES.has(body):
        return []
    changed = []
    for make in (_make_levels, _make_heads, _make_mask_resolution):
        for key, value in make(cfg).items():
            if cfg.is_set(key) or _make_value(cfg, key) == value:
                continue
            changed.append(f"{key} {value}")
            if cfg.is_frozen():
                raise ValueError(
                    f"{changed[0]} follows from {_BODY} {body}, but the config is frozen: call "
                    "derive_settings(cfg) before cfg.freeze()"
                )
            cfg.set_default(key, value)
    if not changed:
        return []
    return [f"{_BODY} is {body}, so {', '.join(changed)}; explicit settings are kept"]


def _make_value(cfg: CfgNode, key: str) -> Any:
    for name in key.split("."):
        cfg = cfg[name]
    return cfg


def _make_levels(cfg: CfgNode) -> dict[str, Any]:
    strides = make_strides(cfg)
    is_pyramid = len(strides) > 1
    levels: dict[str, Any] = {
        "MODEL.RPN.USE_FPN": is_pyramid,
        "MODEL.RETINANET.ANCHOR_STRIDES" if cfg.MODEL.RETINANET_ON else _STRIDES: strides,
        "DATALOADER.SIZE_DIVISIBILITY": FPN_DIVISIBILITY if is_pyramid else 0,
    }
    if is_pyramid and not cfg.is_set("MODEL.RPN.USE_FPN"):
        levels["MODEL.BACKBONE.OUT_CHANNELS"] = 256
    return levels


def _make_heads(cfg: CfgNode) -> dict[str, Any]:
    make_own = BACKBONES.optional_fact(cfg.MODEL.BACKBONE.CONV_BODY, "heads")
    own: dict[str, Any] = {} if make_own is None else make_own(cfg)
    if not make_has_roi_heads(cfg):
        return own
    strides, conv5 = make_strides(cfg), ends_before_conv5(cfg.MODEL.BACKBONE.CONV_BODY)
    scales = tuple(1.0 / stride for stride in strides[:_POOLED_LEVELS])
    heads: dict[str, Any] = {
        "MODEL.ROI_HEADS.USE_FPN": len(strides) > 1,
        "MODEL.ROI_BOX_HEAD.POOLER_SCALES": scales,
        _EXTRACTOR: CONV5_EXTRACTOR if conv5 else "FPN2MLPFeatureExtractor",
        "MODEL.ROI_BOX_HEAD.PREDICTOR": "FastRCNNPredictor" if conv5 else "FPNPredictor",
    }
    if not cfg.is_set(_EXTRACTOR):
        heads["MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION"] = 14 if conv5 else 7  # conv5 halves it
    if cfg.MODEL.MASK_ON:
        heads |= {
            "MODEL.ROI_MASK_HEAD.POOLER_SCALES": scales,
            "MODEL.ROI_MASK_HEAD.FEATURE_EXTRACTOR": (
                CONV5_EXTRACTOR if conv5 else "MaskRCNNFPNFeatureExtractor"
            ),
            "MODEL.ROI_MASK_HEAD.SHARE_BOX_FEATURE_EXTRACTOR": conv5,
        }
    if cfg.MODEL.KEYPOINT_ON:
        keypoint = "MODEL.ROI_KEYPOINT_HEAD"
        heads |= {
            f"{keypoint}.POOLER_SCALES": scales,
            f"{keypoint}.RESOLUTION": UPSAMPLING * cfg.MODEL.ROI_KEYPOINT_HEAD.POOLER_RESOLUTION,
            f"{keypoint}.SHARE_BOX_FEATURE_EXTRACTOR": False,
        }
    return heads | own


def _make_mask_resolution(cfg: CfgNode) -> dict[str, Any]:
    if not make_has_roi_heads(cfg) or not cfg.MODEL.MASK_ON:
        return {}
    return {"MODEL.ROI_MASK_HEAD.RESOLUTION": make_mask_side(cfg)[2]}
