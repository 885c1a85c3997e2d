"""Command line tools on a tiny model and data set."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from tests.evaluation.dataset import squares_dataset
from tests.helpers.shipped_configs import yaml_tree

ROOT = Path(__file__).parent.parent.parent
CONFIG = ROOT / "configs" / "e2e_ms_rcnn_R_50_FPN_1x.yaml"


def command(tool, *arguments):
    result = subprocess.run(
        [sys.executable, str(ROOT / "tools" / tool), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )
    return result.returncode, result.stdout, result.stderr


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """Write the YAML of a thin Mask Scoring R-CNN on three 100 x 80 images."""
    folder = tmp_path_factory.mktemp("cli")
    dataset = squares_dataset()
    (folder / "squares.json").write_text(json.dumps(dataset.coco.dataset))
    noise = np.random.default_rng(0).integers(256, size=(80, 100, 3), dtype=np.uint8)
    for info in dataset.coco.imgs.values():
        Image.fromarray(noise).save(folder / info["file_name"])
    tree = yaml_tree(CONFIG)
    model = tree["MODEL"]
    model["WEIGHT"] = ""
    model["BACKBONE"]["OUT_CHANNELS"] = 16
    model.setdefault("RESNETS", {}).update(
        WIDTH_PER_GROUP=4, RES2_OUT_CHANNELS=16, STEM_OUT_CHANNELS=8
    )
    model["ROI_BOX_HEAD"].update(MLP_HEAD_DIM=16)
    model["ROI_MASK_HEAD"]["CONV_LAYERS"] = (16, 16)
    small = {"MIN_SIZE_TRAIN": 64, "MIN_SIZE_TEST": 64, "MAX_SIZE_TRAIN": 90, "MAX_SIZE_TEST": 90}
    files = {"ANN_FILE": str(folder / "squares.json"), "IMG_DIR": str(folder)}
    tree |= {
        "INPUT": small,
        "DATASETS": {"TRAIN": ["sq"], "TEST": ["sq"], "CUSTOM": {"sq": files}},
        "DATALOADER": tree.get("DATALOADER", {}) | {"NUM_WORKERS": 0},
        "SOLVER": {"IMS_PER_BATCH": 2, "MAX_ITER": 3, "CHECKPOINT_PERIOD": 2, "BASE_LR": 1e-5},
        "TEST": {"IMS_PER_BATCH": 2},
        "OUTPUT_DIR": str(folder / "out"),
    }
    path = folder / "toy.yaml"
    path.write_text(yaml.safe_dump(json.loads(json.dumps(tree))))
    return path


def test_train_resume_and_test(config):
    out = config.parent / "out"
    code, log, errors = command("train_net.py", "--config-file", config, "--skip-test")
    assert code == 0, log + errors
    assert "Starting from random weights" in log
    assert (out / "log.txt").read_text() == log
    figures = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [line["iteration"] for line in figures] == [3]
    assert (out / "metrics.png").read_bytes().startswith(b"\x89PNG")
    content = torch.load(out / "model_final.pth", weights_only=True)
    assert content["iteration"] == 3
    assert content["class_names"] == ["__background__", "cat", "dog"]
    assert content["category_ids"] == [10, 20]
    saved = yaml.safe_load((out / "config.yml").read_text())
    assert "DEVICE" not in saved["MODEL"]  # that of this machine is not for others
    saved["MODEL"]["DEVICE"] = "cuda"
    assert yaml.safe_load(content["config"]) == saved
    assert "MODEL.ROI_BOX_HEAD.NUM_CLASSES is 3: sq has 2 classes" in log
    assert "NUM_CLASSES: 3\n" in content["config"]

    code, log, errors = command("train_net.py", "--config-file", config, "SOLVER.MAX_ITER", 4)
    assert code == 0, log + errors
    assert "Resuming from the checkpoint" in log
    assert "Training starts at iteration 4 of 4" in log
    trained = json.loads((out / "inference" / "sq" / "results.json").read_text())
    names = {path.name for path in (out / "inference" / "sq").iterdir()}
    assert {"predictions.pth", "bbox.json", "segm.json", "coco_results.pth"} <= names

    weights = ("MODEL.WEIGHT", out / "model_final.pth", "OUTPUT_DIR", config.parent / "elsewhere")
    code, log, errors = command("test_net.py", "--config-file", out / "config.yml", *weights)
    assert code == 0, log + errors
    results = config.parent / "elsewhere" / "inference" / "sq" / "results.json"
    assert json.loads(results.read_text()) == trained


def test_custom_data_with_register_only(config, tmp_path):
    folder = config.parent
    squares = json.loads((folder / "squares.json").read_text())
    squares["categories"][1]["name"] = "cow"
    (tmp_path / "cows.json").write_text(json.dumps(squares))
    options = ("OUTPUT_DIR", tmp_path, "MODEL.WEIGHT", folder / "out" / "model_final.pth")
    register = ("--register", "cows", tmp_path / "cows.json", folder)
    code, log, errors = command("test_net.py", "--config-file", config, *register, *options)
    assert code == 2
    assert "model_final.pth does not match the data: it has 2 classes (cat, dog)" in errors
    code, log, errors = command("train_net.py", "--config-file", config, *register, *options)
    assert code == 0, log + errors
    assert "DATASETS.TRAIN is ('cows',), from --register" in log
    assert "re-initialized: 8: roi_heads.box.predictor.cls_score.weight" in log
    content = torch.load(tmp_path / "model_final.pth", weights_only=True)
    assert content["class_names"] == ["__background__", "cat", "cow"]
    code, _, errors = command("train_net.py", *options, *register)
    assert code == 2
    assert errors == "error: --register must come before the KEY VALUE settings\n"


def test_train_with_everything_that_is_off_by_default(config, tmp_path):
    options = (
        *("OUTPUT_DIR", tmp_path, "DTYPE", "bfloat16", "SOLVER.TEST_PERIOD", 2),
        *("SOLVER.ACCUMULATE", 2, "SOLVER.CLIP_GRAD_NORM", 1.0, "SOLVER.EMA_DECAY", 0.5),
        *("SOLVER.LR_SCHEDULER_NAME", "WarmupCosineLR"),
    )
    code, log, errors = command("train_net.py", "--config-file", config, *options)
    assert code == 0, log + errors
    figures = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    tested = [line for line in figures if "bbox_AP" in line]
    assert [line["iteration"] for line in tested] == [2, 3]
    assert {"segm_AP", "segm_by_class_score_AP"} <= tested[0].keys()
    (trained,) = (line for line in figures if "loss" in line)
    assert all(np.isfinite(value) for value in trained.values())
    assert trained["grad_norm"] > 0
    results = json.loads((tmp_path / "inference" / "sq" / "results.json").read_text())["results"]
    assert tested[1]["segm_AP"] == results["segm"]["AP"]  # nothing is evaluated twice
    assert (tmp_path / "model_best.pth").exists()

    code, log, errors = command("test_net.py", "--config-file", config, *options)
    assert code == 0, log + errors
    assert f"Loading the averaged weights in {tmp_path / 'model_final.pth'}" in log
    again = json.loads((tmp_path / "inference" / "sq" / "results.json").read_text())["results"]
    assert again == results


def test_missing_data_is_reported(config, tmp_path):
    options = ("OUTPUT_DIR", tmp_path, "DATASETS.TRAIN", "('coco_2017_train',)")
    code, _, errors = command("train_net.py", "--config-file", config, *options)
    assert code == 2
    assert errors.startswith("error: data set 'coco_2017_train'")
    assert "Traceback" not in errors


def test_nothing_to_evaluate_is_an_error(config, tmp_path):
    code, _, errors = command("test_net.py", "--config-file", config, "OUTPUT_DIR", tmp_path)
    assert code == 2
    assert "error: there are no weights to evaluate" in errors
