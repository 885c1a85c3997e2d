"""Choice of the weights that ``launch.test`` evaluates, and of the pasting rule."""

import pytest
import torch
from torch import nn

from maskrcnn_benchmark.checkpoint.checkpointer import DetectronCheckpointer
from maskrcnn_benchmark.config import make_default_config
from maskrcnn_benchmark.engine.launch import testing
from maskrcnn_benchmark.engine.launch.testing import load_weights
from maskrcnn_benchmark.structures.mask_paste import Masker
from tests.tools.toy import tool


def number_model(value):
    model = nn.Linear(1, 1)
    nn.init.constant_(model.weight, value)
    return model


@pytest.fixture
def files(tmp_path):
    """Write weights 1 (the last checkpoint of ``run``) and 2, 3, 4 (separate files)."""
    (tmp_path / "run").mkdir()
    cfg = make_default_config()
    DetectronCheckpointer(cfg, number_model(1), save_dir=tmp_path / "run").save("model_0000001")
    for number in (2, 3, 4):
        torch.save({"model": number_model(number).state_dict()}, tmp_path / f"{number}.pth")
    return tmp_path


def loaded(files, *, opts=None, config=None, folder="run"):
    """Return the number of the weights that were loaded."""
    cfg = make_default_config()
    cfg.OUTPUT_DIR = str(files / folder)
    number = config if opts is None else opts
    if number is not None:
        cfg.MODEL.WEIGHT = str(files / f"{number}.pth")
    model = number_model(0)
    checkpointer = DetectronCheckpointer(cfg, model, save_dir=cfg.OUTPUT_DIR)
    load_weights(checkpointer, cfg, ["SEED"] if opts is None else ["SEED", "MODEL.WEIGHT"])
    return int(model.weight)


def test_named_weights_override_the_last_checkpoint(files):
    assert loaded(files, opts=3) == 3
    assert loaded(files, opts=3, config=4) == 3


def test_the_last_checkpoint_overrides_the_initial_weights_of_the_config(files):
    assert loaded(files, config=4) == 1
    assert loaded(files) == 1
    assert loaded(files, config=4, folder="new") == 4
    assert loaded(files, opts=2, folder="new") == 2
    with pytest.raises(ValueError, match="there are no weights to evaluate"):
        loaded(files, folder="new")


@pytest.mark.parametrize("ckpt", [[], ["--ckpt", "a.pth"]])
def test_ckpt_option_overrides_the_settings(tmp_path, monkeypatch, ckpt):
    taken = []
    monkeypatch.setattr(testing, "build_detection_model", lambda *_, **__: number_model(0))
    monkeypatch.setattr(
        testing, "load_weights", lambda _, cfg, given: taken.append((cfg.MODEL.WEIGHT, given))
    )
    monkeypatch.setattr(testing, "run_tests", lambda cfg, model, device: None)
    options = ["MODEL.RPN_ONLY", "True", "OUTPUT_DIR", str(tmp_path), "MODEL.WEIGHT", "b.pth"]
    options += ["MODEL.DEVICE", "cpu", "DATASETS.TEST", "()"]
    tool("test_net").main([*ckpt, *options])
    ((weight, given),) = taken
    assert weight == ("a.pth" if ckpt else "b.pth")
    assert "MODEL.WEIGHT" in given


def test_masks_are_pasted_by_the_rule_of_the_config(monkeypatch):
    seen = []
    monkeypatch.setattr(testing, "inference", lambda *_, **options: seen.append(options))
    cfg = make_default_config()
    head = "MODEL.ROI_MASK_HEAD"
    cfg.merge_from_list([f"{head}.PASTE_ALIGNED", True, f"{head}.POSTPROCESS_MASKS_THRESHOLD", 0.4])
    testing.run_tests(cfg, number_model(0), torch.device("cpu"), {"a set": None})
    assert seen[0]["masker"] == Masker(0.4, aligned=True)
