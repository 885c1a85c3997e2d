"""``--import`` of the module shown in docs/EXTENDING.md, which adds parts and data."""

import csv
import json
import multiprocessing
import os
import re
import subprocess
import sys
from operator import attrgetter
from pathlib import Path

import pytest
import torch

from maskrcnn_benchmark.engine.launch.user_modules import import_module
from maskrcnn_benchmark.utils.user_error import UserError
from tests.tools.toy import ROOT, draw_data

PAGE = ROOT / "docs/EXTENDING.md"
FAST = """
    MODEL.DEVICE cpu  MODEL.ROI_BOX_HEAD.MLP_HEAD_DIM 16  MODEL.RPN.POST_NMS_TOP_N_TEST 10
    INPUT.MIN_SIZE_TRAIN 64  INPUT.MAX_SIZE_TRAIN 90  INPUT.MIN_SIZE_TEST 64  INPUT.MAX_SIZE_TEST 90
    SOLVER.IMS_PER_BATCH 2  SOLVER.MAX_ITER 2  TEST.IMS_PER_BATCH 2  DATALOADER.NUM_WORKERS 1
"""


def block(language: str) -> str:
    """Return the only code block of the page in a language."""
    (found,) = re.findall(
        rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL
    )
    return found


def write_table(annotations: Path, table: Path) -> None:
    """Write COCO's boxes as the table that the page's data set reads."""
    content = json.loads(annotations.read_text())
    images = {image["id"]: image for image in content["images"]}
    names = {category["id"]: category["name"] for category in content["categories"]}
    columns = ("file_name", "width", "height", "x1", "y1", "x2", "y2", "class")
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for annotation in content["annotations"]:
            image = images[annotation["image_id"]]
            x, y, width, height = annotation["bbox"]
            corners = (x, y, x + width - 1, y + height - 1)
            size = (image["width"], image["height"])
            writer.writerow([image["file_name"], *size, *corners, names[annotation["category_id"]]])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A user's folder: the page's module and config, and drawn data."""
    data = draw_data(tmp_path / "data")
    (tmp_path / "my_module.py").write_text(block("python"))
    (tmp_path / "my_config.yaml").write_text(block("yaml"))
    (tmp_path / "images").symlink_to(data / "train")
    for split in ("train", "val"):
        write_table(data / "annotations/instances_train.json", tmp_path / f"{split}.csv")
    return tmp_path


def run(folder: Path, tool: str, *arguments: str) -> str:
    """Run a tool in a separate process in the user's folder; return its output."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / tool), *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


def test_the_page_trains_tests_and_predicts(folder):
    config = ("--import", "my_module.py", "--config-file", "my_config.yaml", *FAST.split())
    log = run(folder, "train_net.py", *config)
    assert "CONV_BODY is plain, so " in log
    weights = torch.load(folder / "models/model_final.pth", weights_only=True)
    state = weights["model"]
    assert state["backbone.body.3.0.weight"].shape == (64, 64, 3, 3)
    assert "roi_heads.box.predictor.cls_score.bias" not in state
    assert "roi_heads.box.predictor.cls_score.weight" in state
    assert weights["iteration"] == 2
    # by its name, from the folder that the tool runs in
    log = run(folder, "test_net.py", "--import", "my_module", *config[2:])
    assert "mAP" in log
    predict = ("--weights", "models/model_final.pth", "--input", "images", "--output", "found")
    log = run(folder, "predict.py", "--import", "my_module.py", *predict, "--format", "json")
    assert "detections in 6 images" in log


def test_an_unknown_name_ends_the_run_in_a_line(folder):
    with pytest.raises(AssertionError) as caught:
        run(folder, "train_net.py", "--config-file", "my_config.yaml", *FAST.split())
    assert "MODEL.BACKBONE.CONV_BODY is 'plain', which is not registered" in str(caught.value)
    assert "Traceback" not in str(caught.value)


@pytest.fixture
def clean_imports(monkeypatch):
    """Undo the side effects of imports."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.usefixtures("clean_imports")
def test_a_spawned_worker_finds_what_was_imported(tmp_path):
    (tmp_path / "registered_thing.py").write_text("class Thing:\n    value = 7\n")
    thing = import_module(str(tmp_path / "registered_thing.py")).Thing()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(attrgetter("value"), (thing,)) == 7


@pytest.mark.usefixtures("clean_imports")
def test_failed_imports_are_reported_in_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("absent.py", "absent", "absent.inside"):
        with pytest.raises(UserError, match=rf"--import {name}: there is no such"):
            import_module(name)
    (tmp_path / "json.py").touch()
    with pytest.raises(UserError, match=r"Python knows .*json.* rename the file"):
        import_module("json.py")
    (tmp_path / "needs_more.py").write_text("import absent_package\n")
    with pytest.raises(ModuleNotFoundError, match="absent_package"):
        import_module("needs_more")
    assert import_module("json") is json
