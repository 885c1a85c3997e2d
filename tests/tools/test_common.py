from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import torch

from maskrcnn_benchmark.config import cfg

TOOLS = Path(__file__).parent.parent.parent / "tools"


@pytest.fixture
def common(monkeypatch):
    monkeypatch.syspath_prepend(TOOLS)
    return importlib.import_module("common")


def config(*options):
    tree = cfg.clone()
    tree.merge_from_list(options)
    return tree


def test_without_a_gpu_the_default_becomes_the_cpu(common, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert common.choose_device(config()) == torch.device("cpu")
    with pytest.raises(ValueError, match="MODEL.DEVICE is set to cuda"):
        common.choose_device(config("MODEL.DEVICE", "cuda"))


def test_with_a_gpu_it_is_taken_unless_the_user_wants_the_cpu(common, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert common.choose_device(config()) == torch.device("cuda")
    assert common.choose_device(config("MODEL.DEVICE", "cpu")) == torch.device("cpu")
