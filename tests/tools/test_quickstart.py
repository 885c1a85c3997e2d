"""Parts of ``make demo`` other than the training, which ``.ci/run`` runs completely."""

import importlib
import json
import sys
from pathlib import Path

import cv2
import pytest

from maskrcnn_benchmark.data.synthetic import write_synthetic_coco
from maskrcnn_benchmark.engine.launch import training

TOOLS = str(Path(__file__).parents[2] / "tools")


@pytest.fixture
def quickstart(monkeypatch):
    monkeypatch.syspath_prepend(TOOLS)
    yield importlib.import_module("quickstart")
    sys.modules.pop("quickstart", None)


def test_the_same_data_are_not_drawn_twice(quickstart, tmp_path):
    quickstart.prepare_data(tmp_path, 2, 1, seed=0)
    picture = tmp_path / "train" / "000001.png"
    first = picture.read_bytes()
    picture.write_bytes(b"")
    quickstart.prepare_data(tmp_path, 2, 1, seed=0)
    assert picture.read_bytes() == b""
    quickstart.prepare_data(tmp_path, 2, 1, seed=1)
    second = picture.read_bytes()
    assert len(second) > 1000
    assert second != first


def test_an_interrupted_drawing_is_done_again(quickstart, tmp_path):
    write_synthetic_coco(tmp_path, num_train=2, num_val=1)
    quickstart.prepare_data(tmp_path, 2, 1, seed=0)
    assert (tmp_path / "complete.json").is_file()


def test_the_training_is_what_the_command_line_says(quickstart, tmp_path, monkeypatch):
    data, seen = tmp_path / "data", []
    quickstart.prepare_data(data, 2, 1, seed=0)

    def stop(cfg, _):
        seen.append(cfg)
        raise ValueError("enough")

    monkeypatch.setattr(training, "make_training", stop)
    command = ["--iterations", "100", "--seed", "3", "--output", str(tmp_path)]
    args = quickstart.parse_arguments([*command, "SOLVER.BASE_LR", "0.01"])
    with pytest.raises(ValueError, match="enough"):
        quickstart.train_model(args, data)
    (config,) = seen
    assert (config.SEED, config.SOLVER.MAX_ITER, config.SOLVER.STEPS) == (3, 100, (70, 90))
    assert (0.01, str(tmp_path)) == (config.SOLVER.BASE_LR, config.OUTPUT_DIR)
    assert config.DATASETS.TRAIN == ("synthetic_train",)
    assert config.DATASETS.TEST == ("synthetic_val",)
    assert Path(config.DATASETS.CUSTOM.synthetic_val.IMG_DIR) == data / "val"


def test_report_and_pictures(quickstart, tmp_path):
    data = write_synthetic_coco(tmp_path / "data", num_train=0, num_val=3)
    evaluation = tmp_path / "inference"
    evaluation.mkdir()
    (evaluation / "bbox.json").write_text("[]")
    (evaluation / "segm.json").write_text("[]")
    metrics = {"AP": 0.25, "AP50": 0.5, "AP75": 0.2}
    better = {"AP": 0.2731, "AP50": 0.5, "AP75": 0.2}
    results = {"bbox": metrics, "segm": better, "segm_by_class_score": metrics}
    quality = {"count": 7, "pearson": 0.61, "class_score_pearson": 0.12}
    content = {"results": results, "mask_quality": {quickstart.FOUND: quality}}
    (evaluation / "results.json").write_text(json.dumps(content))
    quickstart.draw_pictures(data, evaluation, tmp_path / "pictures")
    assert sorted(p.name for p in (tmp_path / "pictures").iterdir()) == [
        "000001.png",
        "000002.png",
        "000003.png",
        "all.png",
    ]
    assert cv2.imread(str(tmp_path / "pictures" / "all.png")).std() > 10
    text = quickstart.write_report(tmp_path, evaluation, 100, 3).read_text()
    assert "| masks, ranked by mask score | 27.3 | 50.0 | 20.0 |" in text
    assert "**+2.31 AP**" in text
    assert "predicted mask IoU 0.61, class score 0.12" in text
