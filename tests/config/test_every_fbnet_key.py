"""Every key of MODEL.FBNET has the effect that its comment describes."""

import copy
import json

import pytest
import torch
from torch import nn

from maskrcnn_benchmark.modeling.backbone import build_backbone
from maskrcnn_benchmark.modeling.detector import derive_settings
from tests.helpers import model_observers as see
from tests.helpers.every_key import Case, all_keys, assert_complete

FBNET = "MODEL.FBNET"
GIVEN = {
    "MODEL.BACKBONE.CONV_BODY": "FBNet",
    "MODEL.ROI_BOX_HEAD.NUM_CLASSES": 3,
    "MODEL.MASK_ON": True,
    f"{FBNET}.SCALE_FACTOR": 0.25,
}
ROW = [[1, 16, 1, 1]]  # expansion, channels, number, stride
OWN = {
    "block_op_type": [["ir_k3"], ["ir_k3", "ir_k5"], ["ir_k3"], ["ir_k3"]],
    "block_cfg": {
        "first": [8, 2],
        "stages": [ROW, [[2, 12, 2, 4]], [[6, 16, 1, 1]], [[6, 20, 1, 2]]],
        "last": [40, 0.0],
        "backbone": [0, 1],
        "rpn": [2],
        "bbox": [3],
        "mask": [3],
    },
}
WIDER = copy.deepcopy(OWN)
WIDER["block_cfg"]["stages"][1][0][1] = 24
WITH_LAST = {f"{FBNET}.ARCH": "own", f"{FBNET}.ARCH_DEF": json.dumps(OWN)}


def fbnet_heads(cfg):
    derive_settings(cfg)
    return see.heads_of(cfg)


def body_and_stride(cfg):
    derive_settings(cfg)
    (found,) = build_backbone(cfg)(torch.zeros(1, 3, 64, 64))
    return [found.shape[1], cfg.MODEL.RPN.ANCHOR_STRIDE[0]]


def widths(cfg):
    """Return the widths of the first blocks of the body."""
    body = build_backbone(cfg).body
    blocks = [body.stages.xif0_0, body.stages.xif1_0]
    convs = [body.first.conv, *(conv for b in blocks for conv in (b.pw.conv, b.pwl.conv))]
    return [conv.out_channels for conv in convs]


def norms(cfg):
    """Return the norms of the body and of the RPN head."""
    derive_settings(cfg)
    parts = (build_backbone(cfg), see.rpn_of(cfg).head)
    kinds = (nn.BatchNorm2d, nn.GroupNorm)
    return [
        sorted({type(m).__name__ for m in part.modules() if isinstance(m, kinds)}) for part in parts
    ]


def depthwise(cfg):
    return list(build_backbone(cfg).body.stages.xif0_0.dw._modules)


def blocks(head):
    return list(head.feature_extractor.head.blocks._modules)


def box_blocks(cfg):
    return blocks(fbnet_heads(cfg).box)


def mask_blocks(cfg):
    return blocks(fbnet_heads(cfg).mask)


def rpn_blocks(cfg):
    derive_settings(cfg)
    return list(see.rpn_of(cfg).head[0].head._modules)


def last_width(head):
    """Return the widths of the last convolution of a head and of its features."""
    extractor = head.feature_extractor
    last = [p.shape[0] for p in extractor.head.last.parameters() if p.dim() > 1]
    return [*last, extractor.out_channels]


def last_of_box_head(cfg):
    return last_width(fbnet_heads(cfg).box)


def last_of_mask_head(cfg):
    return last_width(fbnet_heads(cfg).mask)


def side(head, channels):
    x = torch.zeros(2, channels, 6, 6)
    return head.eval()(x).shape[-1]


def side_of_box_head(cfg):
    return side(fbnet_heads(cfg).box.feature_extractor.head, 24)


def side_of_mask_head(cfg):
    """Return the side of the features, and the RESOLUTION that follows from it."""
    found = side(fbnet_heads(cfg).mask.feature_extractor.head, 24)
    return [found, cfg.MODEL.ROI_MASK_HEAD.RESOLUTION]


GN = {"MODEL.GROUP_NORM.NUM_GROUPS": 1}
BN_ALONE = ["BatchNorm2d"]
BOX = [f"xif4_{number}" for number in range(4)]
MASK = [f"xif6_{number}" for number in range(5)]
CASES = [
    Case(f"{FBNET}.ARCH", "cham_v1a", body_and_stride, [24, 16], [22, 16]),
    Case(
        *(f"{FBNET}.ARCH_DEF", json.dumps(WIDER), body_and_stride, [3, 8], [6, 8]),
        given=WITH_LAST,
    ),
    Case(f"{FBNET}.BN_TYPE", "gn", norms, [BN_ALONE] * 2, [["GroupNorm"]] * 2, given=GN),
    Case(f"{FBNET}.BN_TYPE", "af", norms, [BN_ALONE] * 2, [[]] * 2),
    Case(
        *(f"{FBNET}.RPN_BN_TYPE", "gn", norms, [BN_ALONE] * 2, [BN_ALONE, ["GroupNorm"]]),
        given=GN,
    ),
    Case(f"{FBNET}.SCALE_FACTOR", 0.5, widths, [8, 8, 4, 24, 6], [16, 16, 8, 48, 12]),
    Case(f"{FBNET}.WIDTH_DIVISOR", 5, widths, [8, 8, 4, 24, 6], [10, 10, 5, 30, 5]),
    Case(f"{FBNET}.DW_CONV_SKIP_BN", False, depthwise, ["conv"], ["conv", "bn"]),
    Case(f"{FBNET}.DW_CONV_SKIP_RELU", False, depthwise, ["conv"], ["conv", "relu"]),
    Case(f"{FBNET}.DET_HEAD_LAST_SCALE", -0.5, last_of_box_head, [60], [30, 30]),
    Case(
        *(f"{FBNET}.DET_HEAD_LAST_SCALE", 0.5, last_of_box_head, [40, 40], [20, 20]),
        given=WITH_LAST,
    ),
    Case(f"{FBNET}.DET_HEAD_BLOCKS", [0, 3], box_blocks, BOX, ["xif4_0", "xif4_3"]),
    Case(f"{FBNET}.DET_HEAD_STRIDE", 1, side_of_box_head, 3, 6),
    Case(f"{FBNET}.MASK_HEAD_LAST_SCALE", -0.5, last_of_mask_head, [20], [10, 10]),
    Case(f"{FBNET}.MASK_HEAD_BLOCKS", [0, 4], mask_blocks, MASK, ["xif6_0", "xif6_4"]),
    Case(f"{FBNET}.MASK_HEAD_STRIDE", 2, side_of_mask_head, [12, 12], [6, 6]),
    Case(
        *(f"{FBNET}.RPN_HEAD_BLOCKS", 2, rpn_blocks),
        *(["xif5_0", "xif5_1", "xif5_2"], ["xif5_1", "xif5_2"]),
    ),
]
WITHOUT_CASE = {
    f"{FBNET}.KPTS_HEAD_{key}": "nothing reads it: no architecture has a keypoint head"
    for key in ("LAST_SCALE", "BLOCKS", "STRIDE")
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.key)
def test_a_changed_key_changes_what_it_says(case):
    torch.manual_seed(0)
    case.check(GIVEN)


def test_every_key_has_a_case():
    keys = [key for key in all_keys() if key.startswith("MODEL.FBNET.")]
    assert_complete(keys, CASES, WITHOUT_CASE)
