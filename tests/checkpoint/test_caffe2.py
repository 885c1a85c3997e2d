import json

import pytest
import torch

from maskrcnn_benchmark.checkpoint.caffe2 import (
    convert_caffe2,
    is_caffe2,
    parameter_name,
)
from maskrcnn_benchmark.checkpoint.loading import match_suffixes
from maskrcnn_benchmark.layers import FrozenBatchNorm2d
from tests.helpers.vectors import REFERENCE, load_vector

RECORDED = load_vector("caffe2_names")[0]["data"]
MODELS = [name for name, entry in RECORDED.items() if "fork_config" in entry]


@pytest.mark.parametrize("file", RECORDED)
def test_blobs_get_the_recorded_names(file):
    pairs = RECORDED[file]["pairs"]
    assert [[blob, parameter_name(blob)] for blob, _ in pairs] == pairs


@pytest.mark.parametrize("file", RECORDED)
def test_momentum_is_dropped(file):
    assert RECORDED[file]["momentum_dropped"]
    blobs = [blob for blob, _ in RECORDED[file]["pairs"]]
    state = {name: torch.zeros(1) for blob in blobs for name in (blob, f"{blob}_momentum")}
    assert not [name for name in convert_caffe2(state) if "momentum" in name]


@pytest.mark.parametrize("file", MODELS)
def test_the_models_parameters_take_the_recorded_blobs(file):
    recorded = RECORDED[file]["model_key_loaded_from"]
    names = [parameter_name(blob) for blob, _ in RECORDED[file]["pairs"]]
    matches = match_suffixes(recorded, names)
    assert matches == recorded
    assert sorted(set(names) - set(matches.values())) == RECORDED[file]["loaded_but_unused"]


@pytest.mark.parametrize("file", MODELS)
def test_every_batch_norm_is_filled(file):
    recorded = RECORDED[file]["model_key_loaded_from"]
    state = {blob: torch.zeros(1) for blob, _ in RECORDED[file]["pairs"]}
    assert is_caffe2(state)
    matches = match_suffixes(recorded, convert_caffe2(state))
    statistics = {name: found for name, found in matches.items() if "running_" in name}
    assert len(statistics) > 80
    for name, found in statistics.items():
        norm, _, leaf = name.rpartition(".")
        assert found == f"{recorded[f'{norm}.weight'].removesuffix('weight')}{leaf}"


@pytest.mark.parametrize("file", [name for name in MODELS if "ImageNet" not in name])
def test_a_detectors_file_fills_the_whole_model(file):
    state = {blob: torch.zeros(1) for blob, _ in RECORDED[file]["pairs"]}
    matches = match_suffixes(RECORDED[file]["model_key_loaded_from"], convert_caffe2(state))
    assert not [n for n, found in matches.items() if found is None and "cell_anchors" not in n]


def test_a_batch_norm_computes_scale_and_shift():
    scale, shift = torch.randn(2, 3)
    state = convert_caffe2({"res2_0_branch2a_bn_s": scale, "res2_0_branch2a_bn_b": shift})
    norm = FrozenBatchNorm2d(3)
    norm.load_state_dict({name.removeprefix("layer1.0.bn1."): t for name, t in state.items()})
    x = torch.randn(2, 3, 4, 5)
    expected = x * scale[:, None, None] + shift[:, None, None]
    torch.testing.assert_close(norm(x), expected)


def test_group_norm_blobs_fill_the_backbone_of_a_group_norm_model():
    blobs = [blob for blob, _ in RECORDED["MSRA/R-50 (ImageNet)"]["pairs"]]
    blobs = [b.replace("res_conv1_bn", "conv1_gn").replace("_bn_", "_gn_") for b in blobs]
    file = "upstream__gn_baselines__e2e_mask_rcnn_R_50_FPN_1x_gn.json"
    entries = json.loads((REFERENCE / "state_dicts" / file).read_text())["state_dict"]
    body = [name for name, _, _ in entries if name.startswith("backbone.body.")]
    converted = convert_caffe2({blob: torch.zeros(1) for blob in blobs})
    assert not [name for name in converted if "running" in name]
    for name, found in match_suffixes(body, converted).items():
        assert found == name.removeprefix("backbone.body.").removeprefix("stem.")


def test_keypoint_blobs_fill_the_keypoint_head():
    """The last blob is Detectron's fixed interpolation, which is not a parameter here."""
    file = "upstream__caffe2__e2e_keypoint_rcnn_R_50_FPN_1x_caffe2.json"
    entries = json.loads((REFERENCE / "state_dicts" / file).read_text())["state_dict"]
    head = [name for name, _, _ in entries if name.startswith("roi_heads.keypoint.")]
    layers = [*(f"conv_fcn{number}" for number in range(1, 9)), "kps_score_lowres", "kps_score"]
    blobs = [f"{layer}_{kind}" for layer in layers for kind in "wb"]
    converted = convert_caffe2({blob: torch.zeros(1) for blob in blobs})
    assert len(head) == 18
    for name, found in match_suffixes(head, converted).items():
        assert found == ".".join(name.split(".")[-2:])


def test_other_names_are_not_caffe2s():
    assert not is_caffe2(["conv1.weight", "layer1.0.conv1.weight", "res2.0.conv1.weight"])
    assert not is_caffe2([])
    assert parameter_name("lr") == "lr"
