"""Build a GeneralizedRCNN from the config, and check the keys that it reads."""

from collections.abc import Iterator

import torch
from yacs.config import CfgNode

from maskrcnn_benchmark.modeling.backbone import build_backbone
from maskrcnn_benchmark.modeling.detector.derived import FPN_DIVISIBILITY
from maskrcnn_benchmark.modeling.detector.generalized_rcnn import GeneralizedRCNN
from maskrcnn_benchmark.modeling.registry import BACKBONES, META_ARCHITECTURES, make_strides
from maskrcnn_benchmark.modeling.roi_heads.box_head import check_box_head
from maskrcnn_benchmark.modeling.roi_heads.mask_head import check_mask_head
from maskrcnn_benchmark.modeling.roi_heads.roi_heads import build_roi_heads, make_further_entries
from maskrcnn_benchmark.modeling.rpn.rpn import build_rpn, check_rpn


def check_generalized_rcnn(cfg: CfgNode) -> Iterator[str]:
    """Yield the problems of the parts and of their combination."""
    model = cfg.MODEL
    problems = list(BACKBONES.check(cfg))
    yield from problems
    if not problems:
        yield from check_levels(cfg)
    yield from check_rpn(cfg)
    if not model.RPN_ONLY:
        yield from check_box_head(cfg)
        if model.MASK_ON:
            yield from check_mask_head(cfg)
        for entry in make_further_entries(cfg).values():
            yield from entry.check(cfg)


def check_levels(cfg: CfgNode) -> Iterator[str]:
    """Check that the keys that enable FPN and give strides agree with the backbone."""
    model, body, expected = cfg.MODEL, cfg.MODEL.BACKBONE.CONV_BODY, make_strides(cfg)
    is_pyramid = len(expected) > 1
    for section in ("RPN",) if model.RPN_ONLY else ("RPN", "ROI_HEADS"):
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
    strides = model.RPN.ANCHOR_STRIDE
    if strides != expected:
        yield (
            f"MODEL.RPN.ANCHOR_STRIDE is {strides}; the feature maps of {body} have strides "
            f"{expected}"
        )
    heads = [] if model.RPN_ONLY else ["ROI_BOX_HEAD"]
    heads += ["ROI_MASK_HEAD"] * model.MASK_ON
    for head in heads + [entry.section for entry in make_further_entries(cfg).values()]:
        scales = tuple(model[head].POOLER_SCALES)
        known = tuple(1.0 / stride for stride in strides)
        if not scales or (not is_pyramid and len(scales) > 1) or scales != known[: len(scales)]:
            yield (
                f"MODEL.{head}.POOLER_SCALES is {scales}; with MODEL.RPN.ANCHOR_STRIDE {strides} "
                f"it must be {'the first of ' if is_pyramid else ''}{known}"
            )


@META_ARCHITECTURES.register("GeneralizedRCNN", check=check_generalized_rcnn)
def build_generalized_rcnn(cfg: CfgNode, paste_masks: bool) -> GeneralizedRCNN:
    """Build Faster, Mask or Mask Scoring R-CNN, or only an RPN."""
    backbone = build_backbone(cfg)
    return GeneralizedRCNN(
        backbone,
        build_rpn(cfg, backbone.out_channels),
        None if cfg.MODEL.RPN_ONLY else build_roi_heads(cfg, backbone.out_channels, paste_masks),
        dtype=getattr(torch, cfg.DTYPE),
    )
