"""The distribution that each layer of a fresh model is drawn from.

They are Detectron's: XavierFill (uniform, variance 1 / fan_in) in backbone, pyramid and linear
layers, MSRAFill (normal, variance 2 / fan_out) in the convolutions of the mask heads, and normal
with a fixed deviation where something is predicted. Each kernel is held to its distribution.
"""

import math
import re

import pytest
import torch

from maskrcnn_benchmark.modeling.detector import build_detection_model
from tests.helpers.recorded_model import load_config


def uniform_by_fan_in(shape):
    """XavierFill: the deviation, and the bound of a uniform distribution with it."""
    deviation = 1 / math.sqrt(math.prod(shape[1:]))
    return deviation, deviation * math.sqrt(3)


def normal_by_fan_out(shape):
    """MSRAFill: each output is fed to ``shape[0]`` channels of the kernel's area."""
    return math.sqrt(2 / (shape[0] * math.prod(shape[2:]))), None


def normal(deviation):
    return lambda shape: (deviation, None)


# the first pattern that fits counts
RULES = [
    (r"rpn\.head\.(conv\d?|(1\.)?cls_logits|(1\.)?bbox_pred)$", normal(0.01)),
    (r"\.(first|pw|dw|pwl|last)\.conv$", normal_by_fan_out),
    (r"rpn\.head\.(cls|bbox)_tower\.\d$", normal(0.01)),
    (r"backbone\.fpn\.top_blocks\.p\d$", uniform_by_fan_in),
    (r"box\.predictor\.cls_score$", normal(0.01)),
    (r"box\.predictor\.bbox_pred$", normal(0.001)),
    (r"box\.feature_extractor\.xconvs\.\d+$", normal(0.01)),
    (r"maskiou\.predictor\.maskiou$", normal(0.01)),
    (r"\.maskiou_fcn\d(\.0)?$", normal_by_fan_out),
    (r"\.maskiou_fc\d$", uniform_by_fan_in),
    (r"\.mask_fcn\d(\.0)?$", normal_by_fan_out),
    (r"mask\.predictor\.(conv5_mask|mask_fcn_logits)$", normal_by_fan_out),
    (r"box\.feature_extractor\.fc\d(\.0)?$", uniform_by_fan_in),
    (r"backbone\.fpn\.fpn_(inner|layer)\d(\.0)?$", uniform_by_fan_in),
    (r"backbone\.body\..*\.conv\d(\.offset|\.conv)?$", uniform_by_fan_in),
    (r"\.downsample\.0$", uniform_by_fan_in),
    (r"\.head\.layer4\..*conv\d$", uniform_by_fan_in),
]
MODELS = {
    "fpn": ("e2e_ms_rcnn_R_50_FPN_1x.yaml", {}),
    "basic blocks": ("e2e_ms_rcnn_R_18_FPN_1x.yaml", {}),
    "c4": ("e2e_ms_rcnn_R_50_C4_1x.yaml", {}),
    "gn": ("gn_baselines/scratch_e2e_ms_rcnn_R_50_FPN_3x_gn.yaml", {}),
    "xconv": ("gn_baselines/e2e_mask_rcnn_R_50_FPN_Xconv1fc_1x_gn.yaml", {}),
    "modern": (
        "e2e_ms_rcnn_R_50_FPN_1x.yaml",
        {
            "MODEL.RPN.RPN_HEAD": "MultiConvRPNHead",
            "MODEL.ROI_BOX_HEAD.FEATURE_EXTRACTOR": "FPNXconv1fcFeatureExtractor",
            "MODEL.RESNETS.NORM": "SyncBN",
            "MODEL.FPN.NORM": "SyncBN",
            "MODEL.ROI_BOX_HEAD.NORM": "BN",
            "MODEL.ROI_MASK_HEAD.NORM": "FrozenBN",
        },
    ),
    "retinanet": ("retinanet/retinanet_R-50-FPN_1x.yaml", {}),
    "dcn": ("dcn/e2e_mask_rcnn_mdconv_R_50_FPN_1x.yaml", {}),
    "fbnet": ("e2e_mask_rcnn_fbnet_xirb16d_dsmask.yaml", {}),
}
QUARTER = {
    "MODEL.RESNETS.WIDTH_PER_GROUP": 16,
    "MODEL.RESNETS.RES2_OUT_CHANNELS": 64,
    "MODEL.BACKBONE.OUT_CHANNELS": 64,
    "MODEL.ROI_BOX_HEAD.MLP_HEAD_DIM": 128,
    "MODEL.ROI_BOX_HEAD.CONV_HEAD_DIM": 64,
    "MODEL.ROI_MASK_HEAD.CONV_LAYERS": (64, 64),
    "MODEL.GROUP_NORM.NUM_GROUPS": 16,
}


def rule_of(name):
    return next(rule for pattern, rule in RULES if re.search(pattern, name))


@pytest.mark.parametrize("name", MODELS)
def test_every_kernel_is_drawn_from_its_distribution(name):
    file, options = MODELS[name]
    torch.manual_seed(0)
    pairs = (QUARTER | options).items()
    model = build_detection_model(load_config(file, [part for pair in pairs for part in pair]))
    kernels = {n: p.detach() for n, p in model.named_parameters() if n.endswith(".weight")}
    kernels = {n: p for n, p in kernels.items() if p.dim() > 1}
    assert len(kernels) > 30
    for full_name, kernel in kernels.items():
        layer = full_name.removesuffix(".weight")
        deviation, bound = rule_of(layer)(tuple(kernel.shape))
        scaled = (kernel / deviation).double().flatten()
        count = len(scaled)
        # five standard errors, so that some hundred kernels do not fail by chance
        assert abs(scaled.mean().item()) < 5 / math.sqrt(count), layer
        spread = 0.9 if bound else math.sqrt(2.0)  # of a square: uniform sqrt(0.8), normal sqrt(2)
        assert abs(scaled.square().mean().item() - 1) < 5 * spread / math.sqrt(count), layer
        tail = (scaled.abs() > math.sqrt(3)).double().mean().item()
        if bound:
            assert tail == 0, layer
        else:
            expected = math.erfc(math.sqrt(1.5))  # 8.3 % of a normal distribution lie out there
            assert abs(tail - expected) < 5 * math.sqrt(expected / count), layer


@pytest.mark.parametrize("name", MODELS)
def test_biases_are_zero_and_norms_the_identity(name):
    file, options = MODELS[name]
    pairs = (QUARTER | options).items()
    model = build_detection_model(load_config(file, [part for pair in pairs for part in pair]))
    small = {n: t for n, t in model.state_dict().items() if t.dim() == 1}
    if name == "retinanet":  # PRIOR_PROB sets it: test_retinanet.py
        del small["rpn.head.cls_logits.bias"]
    assert len(small) > 8
    for full_name, values in small.items():
        expected = 1.0 if full_name.endswith((".weight", ".running_var")) else 0.0
        if name == "retinanet" and full_name == "rpn.head.cls_logits.bias":
            expected = math.log(0.01 / 0.99)  # every class has the prior probability
        torch.testing.assert_close(values, torch.full_like(values, expected), msg=full_name)
