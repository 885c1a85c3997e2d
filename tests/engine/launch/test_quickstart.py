"""The parts of ``demo`` around the training, which ``.ci/run`` runs as a whole."""

import json
from pathlib import Path

import cv2
import pytest

from maskrcnn_benchmark.data.synthetic import write_synthetic_coco
from maskrcnn_benchmark.engine.launch import demo, training
from maskrcnn_benchmark.engine.launch.demo_report import FOUND, draw_pictures, write_report
from maskrcnn_benchmark.engine.launch.quickstart import prepare_data


def test_the_same_data_are_not_drawn_twice(tmp_path):
    prepare_data(tmp_path, 2, 1, seed=0)
    picture = tmp_path / "train" / "000001.png"
    first = picture.read_bytes()
    picture.write_bytes(b"")
    prepare_data(tmp_path, 2, 1, seed=0)
    assert picture.read_bytes() == b""
    prepare_data(tmp_path, 2, 1, seed=1)
    second = picture.read_bytes()
    assert len(second) > 1000
    assert second != first


def test_an_interrupted_drawing_is_done_again(tmp_path):
    write_synthetic_coco(tmp_path, num_train=2, num_val=1)
    prepare_data(tmp_path, 2, 1, seed=0)
    assert (tmp_path / "complete.json").is_file()


def test_the_training_is_what_the_arguments_say(tmp_path, monkeypatch):
    seen = []

    def stop(cfg, _):
        seen.append(cfg)
        raise ValueError("enough")

    monkeypatch.setattr(training, "make_training", stop)
    with pytest.raises(ValueError, match="enough"):
        demo(
            tmp_path,
            iterations=100,
            num_train=2,
            num_val=1,
            seed=3,
            settings={"SOLVER.BASE_LR": 0.01},
        )
    (config,) = seen
    assert (config.SEED, config.SOLVER.MAX_ITER, config.SOLVER.STEPS) == (3, 100, (70, 90))
    assert (0.01, str(tmp_path)) == (config.SOLVER.BASE_LR, config.OUTPUT_DIR)
    assert config.DATASETS.TRAIN == ("synthetic_train",)
    assert config.DATASETS.TEST == ("synthetic_val",)
    assert config.TEST.MASK_QUALITY
    assert Path(config.DATASETS.CUSTOM.synthetic_val.IMG_DIR) == tmp_path / "data" / "val"


def test_report_and_pictures(tmp_path):
    data = write_synthetic_coco(tmp_path / "data", num_train=0, num_val=3)
    evaluation = tmp_path / "inference"
    evaluation.mkdir()
    (evaluation / "bbox.json").write_text("[]")
    (evaluation / "segm.json").write_text("[]")
    metrics = {"AP": 0.25, "AP50": 0.5, "AP75": 0.2}
    better = {"AP": 0.2731, "AP50": 0.5, "AP75": 0.2}
    results = {"bbox": metrics, "segm": better, "segm_by_class_score": metrics}
    quality = {"count": 7, "pearson": 0.61, "class_score_pearson": 0.12}
    content = {"results": results, "mask_quality": {FOUND: quality}}
    (evaluation / "results.json").write_text(json.dumps(content))
    draw_pictures(data, evaluation, tmp_path / "pictures")
    assert sorted(p.name for p in (tmp_path / "pictures").iterdir()) == [
        "000001.png",
        "000002.png",
        "000003.png",
        "all.png",
    ]
    assert cv2.imread(str(tmp_path / "pictures" / "all.png")).std() > 10
    text = write_report(tmp_path, evaluation, "Demo").read_text()
    assert text.startswith("# Demo\n")
    assert "| masks, ranked by mask score | 27.3 | 50.0 | 20.0 |" in text
    assert "**+2.31 AP**" in text
    assert "predicted mask IoU 0.61, class score 0.12" in text
    assert "mask_quality" not in text
    (evaluation / "mask_quality").mkdir()
    (evaluation / "mask_quality" / "mask_quality.html").write_text("")
    linked = write_report(tmp_path, evaluation, "Demo").read_text()
    assert "](inference/mask_quality/mask_quality.html)" in linked
