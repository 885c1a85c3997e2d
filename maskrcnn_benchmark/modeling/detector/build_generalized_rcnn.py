"""Build a GeneralizedRCNN from the config, and check the keys that it reads."""

from collections.abc import Iterator

import torch
from yacs.config import CfgNode

from maskrcnn_benchmark.modeling.backbone import build_backbone
from maskrcnn_benchmark.modeling.detector.derived import FPN_DIVISIBILITY, make_has_roi_heads
from maskrcnn_benchmark.modeling.detector.generalized_rcnn import GeneralizedRCNN
from maskrcnn_benchmark.modeling.make_layers import check_norms
from maskrcnn_benchmark.modeling.registry import (
    BACKBONES,
    META_ARCHITECTURES,
    ROI_BOX_HEADS,
    make_strides,
)
from maskrcnn_benchmark.modeling.roi_heads.mask_head import check_mask_head
from maskrcnn_benchmark.modeling.roi_heads.roi_heads import build_roi_heads, make_further_entries
from maskrcnn_benchmark.modeling.rpn.retinanet.retinanet import build_retinanet, check_retinanet
from maskrcnn_benchmark.modeling.rpn.rpn import build_rpn, check_rpn


def check_generalized_rcnn(cfg: CfgNode) -> Iterator[str]:
    """Yield the problems of the parts and of their combination."""
    problems = list(BACKBONES.check(cfg))
    yield from problems
    if not problems:
        yield from check_levels(cfg)
    yield from check_norms(cfg)
    if cfg.MODEL.RETINANET_ON:
        yield from check_retinanet(cfg)
    else:
        yield from check_rpn(cfg)
    if make_has_roi_heads(cfg):
        yield from ROI_BOX_HEADS.check(cfg)
        if cfg.MODEL.MASK_ON:
            yield from check_mask_head(cfg)
        for entry in make_further_entries(cfg).values():
            yield from entry.check(cfg)


def check_levels(cfg: CfgNode) -> Iterator[str]:
    """Check that the keys that enable FPN and give strides agree with the backbone."""
    model, body, expected = cfg.MODEL, cfg.MODEL.BACKBONE.CONV_BODY, make_strides(cfg)
    is_pyramid, has_roi_heads = len(expected) > 1, make_has_roi_heads(cfg)
    for section in ("RPN", "ROI_HEADS") if has_roi_heads else ("RPN",):
        if is_pyramid != model[section].USE_FPN:
            yield (
                f"MODEL.{section}.USE_FPN must be {is_pyramid} with MODEL.BACKBONE.CONV_BODY {body}"
            )
    divisibility = cfg.DATALOADER.SIZE_DIVISIBILITY
    if is_pyramid and (divisibility < FPN_DIVISIBILITY or divisibility % FPN_DIVISIBILITY):
        yield (
            f"DATALOADER.SIZE_DIVISIBILITY is {divisibility}; {body} needs a multiple of "
            f"{FPN_DIVISIBILITY}"
        )
    key, strides = "MODEL.RPN.ANCHOR_STRIDE", model.RPN.ANCHOR_STRIDE
    if model.RETINANET_ON:
        key, strides = "MODEL.RETINANET.ANCHOR_STRIDES", model.RETINANET.ANCHOR_STRIDES
    if strides != expected:
        yield f"{key} is {strides}; the feature maps of {body} have strides {expected}"
    further = [entry.section for entry in make_further_entries(cfg).values()]
    heads = ["ROI_BOX_HEAD", *["ROI_MASK_HEAD"] * model.MASK_ON, *further]
    for head in heads if has_roi_heads else []:
        scales = tuple(model[head].POOLER_SCALES)
        known = tuple(1.0 / stride for stride in strides)
        if not scales or (not is_pyramid and len(scales) > 1) or scales != known[: len(scales)]:
            yield (
                f"MODEL.{head}.POOLER_SCALES is {scales}; with MODEL.RPN.ANCHOR_STRIDE {strides} "
                f"it must be {'the first of ' if is_pyramid else ''}{known}"
            )


@META_ARCHITECTURES.register("GeneralizedRCNN", check=check_generalized_rcnn)
def build_generalized_rcnn(cfg: CfgNode, paste_masks: bool) -> GeneralizedRCNN:
    """Build Faster, Mask or Mask Scoring R-CNN, only an RPN, or a RetinaNet."""
    backbone = build_backbone(cfg)
    channels = backbone.out_channels
    build_first = build_retinanet if cfg.MODEL.RETINANET_ON else build_rpn
    return GeneralizedRCNN(
        backbone,
        build_first(cfg, channels),
        build_roi_heads(cfg, channels, paste_masks) if make_has_roi_heads(cfg) else None,
        dtype=getattr(torch, cfg.DTYPE),
    )
