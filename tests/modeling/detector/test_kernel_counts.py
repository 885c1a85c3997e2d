"""Kernels and reads of device values by the host: limits that must not creep up."""

import importlib
import itertools
from pathlib import Path

import pytest
import torch

from maskrcnn_benchmark.engine.train_step import train_step
from maskrcnn_benchmark.layers import has_extension
from maskrcnn_benchmark.modeling.detector import build_detection_model
from maskrcnn_benchmark.solver import make_optimizer
from maskrcnn_benchmark.structures.image_list import to_image_list
from tests.helpers.thin_model import thin_config, two_objects

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.skipif(not has_extension(), reason="the fallback has other counts")


@pytest.fixture(scope="module")
def setting():
    options = {"MODEL.DEVICE": "cpu", "SOLVER.BASE_LR": 1e-7, "MODEL.ROI_HEADS.SCORE_THRESH": 0.0}
    cfg = thin_config("e2e_ms_rcnn_R_50_FPN_1x.yaml", options)
    torch.manual_seed(0)
    return cfg, build_detection_model(cfg)


@pytest.fixture
def count(monkeypatch):
    """Return a function that counts kernels and reads of another one."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("model_calls").count_kernels


def images(number):
    return to_image_list([torch.randn(3, 128, 160) for _ in range(number)], 32)


@torch.no_grad()
def test_inference(setting, count):
    model = setting[1].eval()
    batch = images(1)
    features = model.backbone(batch.tensors)

    def behind_the_backbone():
        proposals = model.rpn.predict(batch, model.rpn(features))
        found.append(model.roi_heads.predict(features, proposals))

    found = []
    model(images(3))  # the weights for inference are made once
    kernels, reads = count(behind_the_backbone)
    assert len(found[0][0]) >= 100
    assert kernels <= 250
    assert reads <= 3
    assert count(lambda: model(images(3)))[1] <= 1 + 2 * 3  # of which one for all images


@pytest.mark.parametrize(("number", "limit"), [(1, 9), (3, 11)])
def test_training_step(setting, count, number, limit):
    cfg, model = setting
    model.train()
    optimizer = make_optimizer(cfg, model)
    targets = list(itertools.repeat(two_objects(128), number))
    batch = (images(number), targets, list(range(number)))
    train_step(model, optimizer, batch, "cpu")
    _, reads = count(lambda: train_step(model, optimizer, batch, "cpu"))
    assert reads <= limit
