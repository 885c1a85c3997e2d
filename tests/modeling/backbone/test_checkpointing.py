"""With activation checkpointing, a training step has the same numbers."""

import contextlib
import copy

import pytest
import torch

from maskrcnn_benchmark.engine.launch.processes import parallel
from maskrcnn_benchmark.modeling.backbone import build_backbone
from maskrcnn_benchmark.modeling.detector import build_detection_model
from tests.helpers.every_key import config_with
from tests.helpers.ranks import on_ranks
from tests.helpers.thin_model import thin_config, two_objects

KEY = "MODEL.BACKBONE.ACTIVATION_CHECKPOINTING"
NORM = "MODEL.RESNETS.NORM"
FREEZE = "MODEL.BACKBONE.FREEZE_CONV_BODY_AT"
FPN = "e2e_ms_rcnn_R_50_FPN_1x.yaml"
FEW = {
    "MODEL.RPN.POST_NMS_TOP_N_TRAIN": 20,
    "MODEL.RPN.FPN_POST_NMS_TOP_N_TRAIN": 20,
    "MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE": 16,
}
SMALL = {
    "MODEL.BACKBONE.CONV_BODY": "R-18-FPN",
    "MODEL.BACKBONE.OUT_CHANNELS": 8,
    "MODEL.RESNETS.RES2_OUT_CHANNELS": 8,
    "MODEL.RESNETS.STEM_OUT_CHANNELS": 8,
    "MODEL.RPN.USE_FPN": True,
}


def training_step(model, dtype):
    """Return losses, gradients and buffers of a step."""
    torch.manual_seed(1)
    images = torch.randn(1, 3, 64, 64) * 50
    mixed = torch.autocast("cpu", dtype) if dtype else contextlib.nullcontext()
    with mixed:
        losses = model(images, [two_objects()])
    sum(losses.values()).backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return losses | gradients | dict(model.named_buffers())


@pytest.mark.parametrize(
    ("name", "options", "dtype"),
    [
        (FPN, {}, None),
        (FPN, {}, torch.bfloat16),
        (FPN, {NORM: "BN", FREEZE: 1}, torch.bfloat16),
        ("e2e_ms_rcnn_R_50_C4_1x.yaml", {FREEZE: 0}, None),
    ],
)
def test_losses_gradients_and_statistics_are_the_same(name, options, dtype):
    model = build_detection_model(thin_config(name, FEW | options | {KEY: True})).train()
    if NORM not in options:
        for kernel in (p for p in model.parameters() if p.dim() > 1):
            kernel.data.mul_(0.7)  # without norms the random values would grow
    other = copy.deepcopy(model)
    other.backbone.body.checkpointing = False
    checkpointed, plain = training_step(model, dtype), training_step(other, dtype)
    assert plain.keys() == checkpointed.keys()
    assert any(key.startswith("backbone.body.layer2") for key in plain)
    for key, value in plain.items():
        assert value.isfinite().all(), key
        assert value.equal(checkpointed[key]), key
    for key in (key for key in plain if key.endswith("num_batches_tracked")):
        assert checkpointed[key] == (0 if ".stem." in key else 1), key


def _compare_ranks(rank):
    images = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(rank))
    found = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        options = SMALL | {NORM: "SyncBN", FREEZE: 1, KEY: checkpointing}
        model = parallel(build_backbone(config_with(options)).train(), torch.device("cpu"))
        maps = model(images[: 1 + rank])
        sum(level.square().sum() for level in maps).backward()
        gradients = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
        found.append(gradients | dict(model.named_buffers()))
    assert len(found[0]) > 60
    assert all(value.equal(found[1][name]) for name, value in found[0].items())


def test_two_ranks_with_synchronized_statistics():
    on_ranks(_compare_ranks)


def test_nothing_is_repeated_without_a_gradient():
    body = build_backbone(config_with(SMALL | {KEY: True})).body
    calls = []
    body.layer4.register_forward_pre_hook(lambda *_: calls.append(1))
    x = torch.zeros(1, 3, 64, 64)
    with torch.no_grad():
        body(x)
    assert len(calls) == 1
    body(x)[-1].sum().backward()
    assert len(calls) == 1 + 2
