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


@pytest.mark.parametrize("error", [ValueError("a bad\nvalue"), FileNotFoundError("no file")])
def test_the_users_errors_end_the_program_in_words(common, capsys, error):
    with pytest.raises(SystemExit) as stop, common.user_errors():
        raise error
    assert stop.value.code == 2
    assert capsys.readouterr().err == f"error: {error}\n"


def test_ctrl_c_ends_the_program_without_a_traceback(common, capsys):
    with pytest.raises(SystemExit) as stop, common.failures_named():
        raise KeyboardInterrupt
    assert stop.value.code == 130
    assert capsys.readouterr().err == "interrupted\n"
