"""timm models as backbone bodies."""

import sys

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from maskrcnn_benchmark.checkpoint.checkpointer import Checkpointer
from maskrcnn_benchmark.modeling.backbone import build_backbone, timm_backbone
from maskrcnn_benchmark.modeling.detector import build_detection_model, check_model, derive_settings
from tests.helpers.every_key import config_with
from tests.helpers.thin_model import two_objects

BODY, FREEZE = "MODEL.BACKBONE.CONV_BODY", "MODEL.BACKBONE.FREEZE_CONV_BODY_AT"
THIN = {
    "MODEL.MASK_ON": True,
    "MODEL.MASKIOU_ON": True,
    "MODEL.BACKBONE.OUT_CHANNELS": 8,
    "MODEL.ROI_BOX_HEAD.NUM_CLASSES": 3,
    "MODEL.ROI_BOX_HEAD.MLP_HEAD_DIM": 8,
    "MODEL.ROI_MASK_HEAD.CONV_LAYERS": (8,),
    "MODEL.RPN.POST_NMS_TOP_N_TEST": 5,
}
CHANNELS = {
    "convnext_atto": [40, 80, 160, 320],
    "swin_tiny_patch4_window7_224": [96, 192, 384, 768],  # [N, H, W, C], made for 224 pixels
    "efficientnet_b0": [24, 40, 112, 320],
    "mobilenetv4_conv_small": [32, 64, 96, 960],
    "resnet18d": [64, 128, 256, 512],
}


@pytest.fixture
def timm():
    return pytest.importorskip("timm")


@pytest.mark.usefixtures("timm")
@pytest.mark.parametrize("name", CHANNELS)
def test_a_model_trains_and_predicts(name):
    config = config_with(THIN | {BODY: f"timm:{name}", FREEZE: 0})
    torch.manual_seed(0)
    model = build_detection_model(config)
    assert config.MODEL.RPN.ANCHOR_STRIDE == (4, 8, 16, 32, 64)
    body = model.backbone.body
    assert body.stage_channels == CHANNELS[name]
    images = torch.randn(2, 3, 64, 64)
    losses = model.train()(images, [two_objects(), two_objects()])
    sum(losses.values()).backward()
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    assert [n for n, p in trained.items() if p.grad is None or not p.grad.isfinite().all()] == []
    first = next(body.parameters())  # the gradient reaches the whole body
    assert first.grad.abs().sum() > 0
    with torch.no_grad():
        (found,) = model.eval()(torch.randn(1, 3, 96, 160))
        maps = body(torch.randn(1, 3, 96, 160))
    assert found.size == (160, 96)
    sides = [(c, 96 // s, 160 // s) for c, s in zip(CHANNELS[name], (4, 8, 16, 32), strict=True)]
    assert [tuple(m.shape[1:]) for m in maps] == sides


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        ("resnet18d", ".pth"),
        ("resnet18d", ".safetensors"),
        ("swin_tiny_patch4_window7_224", ".safetensors"),
    ],
)
def test_weights_of_timm_give_its_features(timm, tmp_path, name, ending):
    options = {"strict_img_size": False} if "swin" in name else {}
    reference = timm.create_model(name, **options).eval()
    if "resnet" in name:
        for buffer in reference.buffers():  # statistics that are not those of a new norm
            if buffer.is_floating_point():
                buffer.uniform_(0.5, 1.5)
    state, path = reference.state_dict(), tmp_path / f"model{ending}"
    torch.save(state, path) if ending == ".pth" else save_file(state, path)
    model = nn.ModuleDict({"backbone": build_backbone(config_with(THIN | {BODY: f"timm:{name}"}))})
    Checkpointer(model).load(path)
    backbone = model.eval()["backbone"]
    images = torch.randn(2, 3, 64, 128)
    with torch.no_grad():
        found = backbone.body(images)
        wanted = reference.forward_intermediates(images, intermediates_only=True)[-4:]
    for mine, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-4)


@pytest.mark.usefixtures("timm")
def test_what_is_frozen_is_what_a_map_is_computed_from():
    frozen = {}
    for stage in (0, 2, 3, 5):
        body = build_backbone(config_with(THIN | {BODY: "timm:resnet18d", FREEZE: stage})).body
        names = {n.split(".")[2] for n, p in body.named_parameters() if not p.requires_grad}
        trained = {n.split(".")[2] for n, p in body.named_parameters() if p.requires_grad}
        assert not names & trained
        frozen[stage] = names
    assert frozen[0] == set()
    assert frozen[2] == {"conv1", "layer1"}
    assert frozen[3] == {"conv1", "layer1", "layer2"}
    assert frozen[5] == {"conv1", "layer1", "layer2", "layer3", "layer4"}


@pytest.mark.usefixtures("timm")
def test_the_probe_of_what_to_freeze_leaves_the_norms_alone():
    options = {BODY: "timm:resnet18d", FREEZE: 2, "MODEL.TIMM.FREEZE_BN": False}
    body = build_backbone(config_with(THIN | options)).body
    assert body.training
    assert all(m.training for m in body.modules())
    means = [b for n, b in body.named_buffers() if n.endswith("running_mean")]
    variances = [b for n, b in body.named_buffers() if n.endswith("running_var")]
    assert means
    assert all((b == 0).all() for b in means)
    assert all((b == 1).all() for b in variances)


@pytest.mark.usefixtures("timm")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("vit_tiny_patch16_224", r"has feature maps with strides \[16\]; .* needs \(4, 8, 16"),
        ("hiera_tiny_224", "hiera_tiny_224 does not accept images of any size"),
        ("maxvit_rmlp_pico_rw_256", "does not accept images of any size .*divisible by window"),
        ("resnet_18_d", "is not a model of timm .*Unknown model"),
    ],
)
def test_an_unsuitable_model_is_refused_in_one_line(name, message):
    config = config_with({BODY: f"timm:{name}"})
    derive_settings(config)
    (problem,) = check_model(config)
    assert problem.startswith(f"MODEL.BACKBONE.CONV_BODY timm:{name} ")
    with pytest.raises(ValueError, match=message):
        build_detection_model(config)


@pytest.mark.usefixtures("timm")
def test_freezing_only_the_stem_is_refused():
    config = config_with({BODY: "timm:resnet18d", FREEZE: 1})
    derive_settings(config)
    (problem,) = check_model(config)
    assert "FREEZE_CONV_BODY_AT is 1; with timm:resnet18d it must be 0, or n from 2 to 5" in problem


@pytest.mark.usefixtures("timm")
def test_activation_checkpointing_is_refused():
    key = "MODEL.BACKBONE.ACTIVATION_CHECKPOINTING"
    config = config_with({BODY: "timm:resnet18d", key: True})
    derive_settings(config)
    (problem,) = check_model(config)
    assert f"{key} is True, which only ResNets can do, not timm:resnet18d" in problem


def test_a_missing_timm_is_reported_with_the_install_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    timm_backbone._problems.cache_clear()
    config = config_with({BODY: "timm:convnext_atto"})
    derive_settings(config)
    assert check_model(config) == [
        "MODEL.BACKBONE.CONV_BODY timm:... needs the timm package: pip install .[timm]"
    ]
    timm_backbone._problems.cache_clear()
