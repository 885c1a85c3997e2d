"""Parameters, FLOPs and shapes of each part of a model."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from maskrcnn_benchmark.modeling.analysis import analyze_parts
from maskrcnn_benchmark.modeling.detector import build_detection_model
from tests.helpers.recorded_model import load_config
from tests.helpers.thin_model import thin_config

MS = "e2e_ms_rcnn_R_50_FPN_1x.yaml"


def parts_of(config, size=(64, 96)):
    with torch.device("meta"):
        model = build_detection_model(config)
    total = sum(p.numel() for p in model.parameters())
    parts = analyze_parts(model, size, proposals=7, detections=3)
    assert sum(part.parameters for part in parts) == total
    return {part.name: part for part in parts}


def test_figures_by_hand():
    parts = parts_of(load_config(MS))
    # 3x3 convolutions on 14 x 14, the fourth on 7 x 7, and three linear layers
    cells = 196 * 257 * 256 + 2 * 196 * 256 * 256 + 49 * 256 * 256
    linear = 49 * 256 * 1024 + 1024 * 1024 + 1024 * 81
    maskiou = parts["MaskIoU head, 3 regions"]
    assert maskiou.flops == 2 * 3 * (9 * cells + linear)
    assert maskiou.shapes == [(3, 81)]
    box = parts["box head, 7 regions"]
    assert box.flops == 2 * 7 * (49 * 256 * 1024 + 1024 * 1024 + 1024 * 5 * 81)
    assert box.parameters == (49 * 256 + 1) * 1024 + 1025 * 1024 + 1025 * 5 * 81
    assert parts["backbone.fpn"].shapes[0] == (1, 256, 16, 24)
    body = parts["backbone.body"]
    frozen = 64 * 3 * 49 + 64 * (64 + 576 + 256 + 256) + 2 * (256 * 64 + 64 * 576 + 64 * 256)
    assert body.parameters - body.trainable == frozen  # the stem and layer1


@pytest.mark.parametrize("modulated", ["", "m"])
def test_a_deformable_convolution_counts_like_another(modulated):
    plain = parts_of(thin_config("e2e_mask_rcnn_R_50_FPN_1x.yaml"))
    name = f"dcn/e2e_mask_rcnn_{modulated}dconv_R_50_FPN_1x.yaml"
    deformable = parts_of(thin_config(name))
    # what comes on top is the convolutions of the offsets: 18 or 27 channels
    predicted = 2 * 9 * (27 if modulated else 18)
    cells = {32: 4 * 8 * 12, 64: 6 * 4 * 6, 128: 3 * 2 * 3}
    more = sum(predicted * channels * count for channels, count in cells.items())
    name = "backbone.body"
    assert deformable[name].flops - plain[name].flops == more


def test_what_is_counted_is_what_runs():
    """Against a real forward pass of the parts that do not depend on the values."""
    config = thin_config("e2e_ms_rcnn_R_50_C4_1x.yaml")
    parts = parts_of(config, (64, 64))
    model = build_detection_model(config)
    # torch counts its own convolutions, not oneDNN's
    without_onednn = torch.backends.mkldnn.flags(enabled=False)
    with torch.no_grad(), without_onednn, FlopCounterMode(display=False) as counter:
        model.rpn.head(model.backbone(torch.zeros(1, 3, 64, 64)))
    assert counter.get_total_flops() == parts["backbone.body"].flops + parts["rpn"].flops


def test_a_cascade_counts_every_stage():
    name = "cascade/e2e_cascade_ms_rcnn_R_50_FPN_1x.yaml"
    parts = parts_of(thin_config(name))
    box = parts["box head, 7 regions"]
    stage = 49 * 32 * 64 + 64 * 64 + 64 * (81 + 4)
    assert box.flops == 3 * 2 * 7 * stage
    assert box.shapes == [(7, 81), (7, 4 * 81)] * 3
