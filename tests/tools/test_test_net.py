"""Which weights ``tools/test_net.py`` evaluates, and by which rule their masks are pasted."""

import argparse
import importlib
from pathlib import Path

import pytest
import torch
from torch import nn

from maskrcnn_benchmark.checkpoint.checkpointer import DetectronCheckpointer
from maskrcnn_benchmark.config import make_default_config
from maskrcnn_benchmark.structures.mask_paste import Masker

TOOLS = Path(__file__).parent.parent.parent / "tools"


@pytest.fixture
def test_net(monkeypatch):
    monkeypatch.syspath_prepend(TOOLS)
    return importlib.import_module("test_net")


def number_model(value):
    model = nn.Linear(1, 1)
    nn.init.constant_(model.weight, value)
    return model


@pytest.fixture
def files(tmp_path):
    """Weights by number: 1 the last checkpoint of ``run``; 2, 3 and 4 in files of their own."""
    (tmp_path / "run").mkdir()
    cfg = make_default_config()
    DetectronCheckpointer(cfg, number_model(1), save_dir=tmp_path / "run").save("model_0000001")
    for number in (2, 3, 4):
        torch.save({"model": number_model(number).state_dict()}, tmp_path / f"{number}.pth")
    return tmp_path


def loaded(test_net, files, *, ckpt=None, opts=None, config=None, folder="run"):
    """The number of the weights that are taken."""
    cfg = make_default_config()
    cfg.OUTPUT_DIR = str(files / folder)
    args = argparse.Namespace(ckpt="" if ckpt is None else str(files / f"{ckpt}.pth"), opts=[])
    for number, is_opt in ((config, False), (opts, True)):
        if number is not None:
            cfg.MODEL.WEIGHT = str(files / f"{number}.pth")
            args.opts += ["MODEL.WEIGHT", cfg.MODEL.WEIGHT] if is_opt else []
    model = number_model(0)
    checkpointer = DetectronCheckpointer(cfg, model, save_dir=cfg.OUTPUT_DIR)
    test_net.load_weights(checkpointer, cfg, args)
    return int(model.weight)


def test_what_is_named_goes_before_the_last_checkpoint(test_net, files):
    assert loaded(test_net, files, ckpt=2) == 2
    assert loaded(test_net, files, ckpt=2, config=4) == 2
    assert loaded(test_net, files, ckpt=2, opts=3, config=4) == 2
    assert loaded(test_net, files, opts=3, config=4) == 3


def test_the_last_checkpoint_goes_before_the_initial_weights_of_the_config(test_net, files):
    assert loaded(test_net, files, config=4) == 1
    assert loaded(test_net, files) == 1
    assert loaded(test_net, files, config=4, folder="new") == 4
    assert loaded(test_net, files, ckpt=2, folder="new") == 2
    with pytest.raises(ValueError, match="there are no weights to evaluate"):
        loaded(test_net, files, folder="new")


def test_the_command_line_hands_the_named_weights_on(test_net, files, monkeypatch):
    taken = []
    monkeypatch.setattr("sys.argv", ["test_net.py", "--ckpt", "a.pth", "MODEL.WEIGHT", "b.pth"])
    monkeypatch.setattr(test_net, "start_run", lambda args, uses: (fake_config(files), "cpu"))
    monkeypatch.setattr(test_net, "build_detection_model", lambda *_, **__: number_model(0))
    monkeypatch.setattr(test_net, "load_weights", lambda _, cfg, args: taken.append(args))
    monkeypatch.setattr(test_net, "run_tests", lambda cfg, model, device: None)
    test_net.main()
    assert (taken[0].ckpt, taken[0].opts) == ("a.pth", ["MODEL.WEIGHT", "b.pth"])


def fake_config(folder):
    cfg = make_default_config()
    cfg.OUTPUT_DIR = str(folder / "run")
    cfg.MODEL.RPN_ONLY = True
    return cfg


def test_masks_are_pasted_by_the_rule_of_the_config(test_net, files, monkeypatch):
    common, seen = importlib.import_module("common"), []
    monkeypatch.setattr(common, "inference", lambda *_, **options: seen.append(options))
    cfg = make_default_config()
    head = "MODEL.ROI_MASK_HEAD"
    cfg.merge_from_list([f"{head}.PASTE_ALIGNED", True, f"{head}.POSTPROCESS_MASKS_THRESHOLD", 0.4])
    common.run_tests(cfg, number_model(0), torch.device("cpu"), {"a set": None})
    assert seen[0]["masker"] == Masker(0.4, aligned=True)
