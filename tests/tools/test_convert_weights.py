"""tools/convert_weights.py: conversion of weights from other projects."""

import importlib
import sys
from pathlib import Path

import pytest
import torch

from maskrcnn_benchmark.checkpoint.checkpointer import DetectronCheckpointer
from maskrcnn_benchmark.config import make_default_config
from maskrcnn_benchmark.engine.train_only import freeze_all_but
from maskrcnn_benchmark.modeling.detector import build_detection_model
from maskrcnn_benchmark.structures.class_names import COCO_CLASSES
from tests.checkpoint.convert.test_naming import synthetic
from tests.helpers.pickles import python2_pickle
from tests.helpers.torchvision_detector import torchvision_detector
from tests.helpers.whole_check import check_whole

TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the tool as a command; return its exit code, output and errors."""
    monkeypatch.syspath_prepend(TOOLS)
    tool = importlib.import_module("convert_weights")

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["convert_weights.py", *map(str, arguments)])
        code = 0
        try:
            tool.main()
        except SystemExit as stop:
            code = int(stop.code)
        return code, *capsys.readouterr()

    return call


def load(folder, *opts):
    """Build the model of out.yaml, as the other tools do; return config and checkpointer."""
    cfg = make_default_config()
    cfg.merge_from_file(folder / "out.yaml")
    cfg.merge_from_list(opts)
    check_whole(cfg)
    model = build_detection_model(cfg)
    if cfg.SOLVER.TRAIN_ONLY:
        freeze_all_but(model, cfg.SOLVER.TRAIN_ONLY)
    return cfg, DetectronCheckpointer(cfg, model, save_dir=folder / "run")


def test_torchvisions_coco_model(run, tmp_path):
    theirs = torchvision_detector(91).state_dict()
    torch.save({"model": theirs, "epoch": 3}, tmp_path / "in.pth")
    code, output, errors = run(tmp_path / "in.pth", tmp_path / "new" / "out.pth")
    assert code == 0, errors
    out = tmp_path / "new" / "out.pth"
    assert "It is a Mask R-CNN without mask scores" in output
    assert "Assumed: style pytorch, read from the file: RGB" in output
    assert f"msrcnn train --config-file {out.with_suffix('.yaml')} MODEL.WEIGHT {out} " in output
    assert "MODEL.MASKIOU_ON True SOLVER.TRAIN_ONLY maskiou" in output
    content = torch.load(out, weights_only=True)
    assert content["class_names"] == COCO_CLASSES.class_names
    assert content["category_ids"] == COCO_CLASSES.category_ids
    stored = make_default_config()
    stored.merge_from_text(content["config"])
    cfg, checkpointer = load(out.parent)
    assert stored.dump() == cfg.dump()
    checkpointer.load(out, require_all=True)  # what msrcnn test asks for
    kept = checkpointer.model.get_parameter("roi_heads.box.predictor.cls_score.weight")
    ours = theirs["roi_heads.box_predictor.cls_score.weight"][[0, 1, 11, 13, 90]]
    assert kept[[0, 1, 11, 12, 80]].equal(ours)  # category ids 11, 13 and 90 are labels 11, 12, 80


def test_a_mask_rcnn_without_maskiou_head_starts_the_training_of_one(run, tmp_path, caplog):
    torch.save(torchvision_detector(5).state_dict(), tmp_path / "in.pth")
    names = tmp_path / "names.txt"
    names.write_text("cat\ndog\n\ncow\nred fox\n")
    code, _, errors = run(tmp_path / "in.pth", tmp_path / "out.pth", "--class-names", names)
    assert code == 0, errors
    content = torch.load(tmp_path / "out.pth", weights_only=True)
    assert content["class_names"][1:] == ["cat", "dog", "cow", "red fox"]
    options = ("MODEL.MASKIOU_ON", True, "SOLVER.TRAIN_ONLY", "maskiou")
    _, checkpointer = load(tmp_path, *options)
    with caplog.at_level("INFO"):
        checkpointer.load(tmp_path / "out.pth")
    assert "not in the file, kept unchanged: 19: " in caplog.text
    bare = {n: t for n, t in content["model"].items() if "mask_fcn" not in n}
    torch.save(bare, tmp_path / "no_mask.pth")
    with pytest.raises(ValueError, match="lacks frozen parameters .*mask_fcn1"):
        checkpointer.load(tmp_path / "no_mask.pth")


def test_a_faster_rcnn_is_not_offered_mask_scores(run, tmp_path):
    state = torchvision_detector(5, version=2, masks=False).state_dict()
    torch.save(state, tmp_path / "in.pth")
    code, output, errors = run(tmp_path / "in.pth", tmp_path / "out.pth")
    assert code == 0, errors
    assert "Evaluate it: msrcnn test" in output and "mask scores" not in output
    cfg, checkpointer = load(tmp_path)
    assert not cfg.MODEL.MASK_ON
    checkpointer.load(tmp_path / "out.pth", require_all=True)


def test_a_pickle_of_detectron2(run, tmp_path):
    state, _ = synthetic("detectron2", 50)
    arrays = {name: tensor.numpy() for name, tensor in state.items()}
    (tmp_path / "in.pkl").write_bytes(python2_pickle({"model": arrays, "__author__": "someone"}))
    code, output, errors = run(tmp_path / "in.pkl", tmp_path / "out.pth", "--style", "pytorch")
    assert code == 0, errors
    assert "detectron2" in output and "1e-05" in output
    assert "class_names" not in torch.load(tmp_path / "out.pth", weights_only=True)
    cfg, checkpointer = load(tmp_path)
    assert not cfg.INPUT.TO_BGR255
    checkpointer.load(tmp_path / "out.pth", require_all=True)


def test_a_mask_scoring_rcnn_of_mmdetection_keeps_its_head(run, tmp_path):
    state, _ = synthetic("mmdetection", 50, maskiou=True)
    torch.save({"state_dict": state, "meta": {"epoch": 12}}, tmp_path / "in.pth")
    code, output, errors = run(tmp_path / "in.pth", tmp_path / "out.pth", "--style", "caffe")
    assert code == 0, errors
    assert "without mask scores" not in output and "msrcnn test" in output
    saved = torch.load(tmp_path / "out.pth", weights_only=True)["model"]
    theirs = state["roi_head.mask_iou_head.fcs.1.weight"]
    assert saved["roi_heads.maskiou.feature_extractor.maskiou_fc2.weight"].equal(theirs)


def test_errors_are_one_line_and_leave_no_file(run, tmp_path):
    torch.save({"a.weight": torch.zeros(2)}, tmp_path / "other.pth")
    torch.save(torchvision_detector(5).state_dict(), tmp_path / "in.pth")
    (tmp_path / "names.txt").write_text("cat\n")
    out, names = tmp_path / "out.pth", ("--class-names", tmp_path / "names.txt")
    for arguments, message in (
        ((tmp_path / "none.pth", out), "no weight file at"),
        ((tmp_path / "other.pth", out), "not weights of a Faster or Mask R-CNN"),
        ((tmp_path / "in.pth", tmp_path / "out.pkl"), "must end in .pth"),
        ((tmp_path / "in.pth", out, *names), "1 class names for a model of 4 classes"),
    ):
        code, _, errors = run(*arguments)
        assert code == 2
        assert errors.startswith("error: ") and message in errors
    assert not out.exists() and not (tmp_path / "out.yaml").exists()
