import importlib
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from maskrcnn_benchmark.modeling.detector import build_detection_model
from tests.helpers.recorded_model import load_config
from tests.helpers.thin_model import thin_config

ROOT = Path(__file__).parents[2]
MS = "e2e_ms_rcnn_R_50_FPN_1x.yaml"


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    yield importlib.import_module("analyze")
    sys.modules.pop("analyze", None)


def parts_of(tool, config, size=(64, 96)):
    with torch.device("meta"):
        model = build_detection_model(config)
    total = sum(p.numel() for p in model.parameters())
    parts = tool.analyze(model, size, proposals=7, detections=3)
    assert sum(part.parameters for part in parts) == total
    return {part.name: part for part in parts}


def test_values_computed_by_hand(tool):
    parts = parts_of(tool, load_config(MS))
    # 3x3 convolutions on 14 x 14, the fourth on 7 x 7, and three linear layers
    cells = 196 * 257 * 256 + 2 * 196 * 256 * 256 + 49 * 256 * 256
    linear = 49 * 256 * 1024 + 1024 * 1024 + 1024 * 81
    maskiou = parts["MaskIoU head, 3 regions"]
    assert maskiou.flops == 2 * 3 * (9 * cells + linear)
    assert maskiou.shapes == ["[3, 81]"]
    box = parts["box head, 7 regions"]
    assert box.flops == 2 * 7 * (49 * 256 * 1024 + 1024 * 1024 + 1024 * 5 * 81)
    assert box.parameters == (49 * 256 + 1) * 1024 + 1025 * 1024 + 1025 * 5 * 81
    assert parts["backbone.fpn"].shapes[0] == "[1, 256, 16, 24]"
    body = parts["backbone.body"]
    frozen = 64 * 3 * 49 + 64 * (64 + 576 + 256 + 256) + 2 * (256 * 64 + 64 * 576 + 64 * 256)
    assert body.parameters - body.trainable == frozen  # the stem and layer1


@pytest.mark.parametrize("modulated", ["", "m"])
def test_a_deformable_convolution_counts_like_another(tool, modulated):
    plain = parts_of(tool, thin_config("e2e_mask_rcnn_R_50_FPN_1x.yaml"))
    name = f"dcn/e2e_mask_rcnn_{modulated}dconv_R_50_FPN_1x.yaml"
    deformable = parts_of(tool, thin_config(name))
    # what comes on top is the convolutions of the offsets: 18 or 27 channels
    predicted = 2 * 9 * (27 if modulated else 18)
    cells = {32: 4 * 8 * 12, 64: 6 * 4 * 6, 128: 3 * 2 * 3}
    more = sum(predicted * channels * count for channels, count in cells.items())
    name = "backbone.body"
    assert deformable[name].flops - plain[name].flops == more


def test_counted_operations_match_a_forward_pass(tool):
    """Compare with a real forward pass of the parts that do not depend on values."""
    config = thin_config("e2e_ms_rcnn_R_50_C4_1x.yaml")
    parts = parts_of(tool, config, (64, 64))
    model = build_detection_model(config)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.rpn.head(model.backbone(torch.zeros(1, 3, 64, 64)))
    assert counter.get_total_flops() == parts["backbone.body"].flops + parts["rpn"].flops


def test_command(tmp_path):
    command = [sys.executable, str(ROOT / "tools/analyze.py")]
    config = ["--config-file", str(ROOT / "configs/quick_schedules/rpn_R_50_FPN_quick.yaml")]
    done = subprocess.run(
        [*command, *config, "--size", "64", "96"], capture_output=True, text=True, check=True
    )
    assert "One image [1, 3, 64, 96]" in done.stdout
    rows = {
        line.split()[0]: line.split() for line in done.stdout.splitlines() if line[:1].isalpha()
    }
    assert rows["rpn"][1] == "593,935"  # 256 * (9 * 256 + 1) + 257 * 15
    assert rows["all"][1] == "27,393,231"
    done = subprocess.run(
        [*command, *config, "--size", "8", "96"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == "error: --size 8 96: both must be at least 32\n"
