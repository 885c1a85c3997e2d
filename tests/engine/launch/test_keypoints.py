"""Training, evaluation and prediction with keypoints, masks and mask scores on drawn figures."""

import json
import logging

import numpy as np
import pytest
import torch
from PIL import Image

import maskrcnn_benchmark
from maskrcnn_benchmark.config import make_default_config
from maskrcnn_benchmark.engine.launch.own_data import resolve_num_classes
from maskrcnn_benchmark.predict.predictor import Predictor, draw
from maskrcnn_benchmark.predict.results_file import ResultsFile, load_results_file
from maskrcnn_benchmark.structures.keypoints import COCO_PERSON
from tests.helpers.shipped_configs import CONFIGS
from tests.helpers.stick_figures import CATEGORY, NAMES, figure, write_figures
from tests.helpers.tiny_detector import tiny_config
from tests.tools.test_resume import final
from tests.tools.toy import FEW, THIN, tool

CONFIG = CONFIGS / "e2e_keypoint_rcnn_R_50_FPN_1x.yaml"
SETTINGS = THIN | {key.replace("__", "."): value for key, value in FEW.items()}
SETTINGS |= {
    "MODEL.BACKBONE.CONV_BODY": "R-18-FPN",
    "MODEL.RPN.FPN_POST_NMS_TOP_N_TRAIN": 50,
    "MODEL.MASK_ON": True,
    "MODEL.MASKIOU_ON": True,
    "MODEL.ROI_BOX_HEAD.NUM_CLASSES": 2,
    "MODEL.ROI_KEYPOINT_HEAD.CONV_LAYERS": (8, 8),
    "MODEL.ROI_HEADS.SCORE_THRESH": 0.0,
    "MODEL.ROI_HEADS.DETECTIONS_PER_IMG": 4,
    "DATALOADER.FILTER_EMPTY": False,  # one of the two images of a batch has no figure
    "TEST.KEYPOINT_OKS_SIGMAS": (0.1,) * 5,
    "SOLVER.MAX_ITER": 1,
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_figures(tmp_path_factory.mktemp("figures"), [[figure(2, 3), figure(50, 20)], []])


@pytest.fixture(scope="module")
def trained(files, tmp_path_factory):
    """Return the output folder of a training with evaluation, and its results."""
    folder = tmp_path_factory.mktemp("trained")
    datasets = {"figures": files, "same": files}
    results = maskrcnn_benchmark.train(
        CONFIG, settings=SETTINGS, datasets=datasets, output_dir=folder
    )
    logger = logging.getLogger("maskrcnn_benchmark")
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    logger.propagate = True
    return folder, results["same"]


@pytest.fixture(scope="module")
def predictor(trained):
    return Predictor.from_checkpoint(trained[0] / "model_final.pth", device="cpu")


@pytest.fixture(scope="module")
def picture(files):
    return Image.open(files[1] / "1.png").convert("RGB")


def test_the_run_trains_and_evaluates_all_heads(trained):
    folder, results = trained
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    (losses,) = [line for line in lines if "loss_kp" in line]
    assert losses["loss_kp"] > 0 and losses["loss_mask"] > 0 and losses["loss_maskiou"] >= 0
    assert set(results.results) == {"bbox", "segm", "segm_by_class_score", "keypoints"}
    assert set(results["keypoints"]) == {"AP", "AP50", "AP75", "APm", "APl"}
    rows = json.loads((folder / "inference/same/keypoints.json").read_text())
    assert len(rows) == 8 and all(len(row["keypoints"]) == 15 for row in rows)
    assert final(folder)["keypoint_names"] == NAMES
    tested = maskrcnn_benchmark.test(
        folder / "config.yml",
        weights=folder / "model_final.pth",
        output_dir=folder / "tested",
    )
    assert tested["same"].results == results.results


def test_a_prediction_has_the_keypoints_of_the_data(predictor, picture):
    prediction = predictor(picture)
    assert prediction.keypoints.shape == (4, 5, 3)
    assert prediction.keypoint_logits.shape == (4, 5)
    assert prediction.keypoint_set.keypoint_names == NAMES
    x1, y1, x2, y2 = prediction.boxes.T[:, :, None]
    x, y, ones = np.moveaxis(prediction.keypoints, 2, 0)
    assert (x1 <= x).all() and (x <= x2 + 1).all() and (y1 <= y).all() and (y <= y2 + 1).all()
    assert (ones == 1).all()
    assert prediction[1:3].keypoints.shape == (2, 5, 3)
    assert prediction.mask_scores is not None


def test_images_of_a_batch_do_not_change_each_other(predictor, files):
    paths = [files[1] / "1.png", files[1] / "2.png"]
    both = predictor(paths, batch_size=2)
    for path, prediction in zip(paths, both, strict=True):
        alone = predictor(path)
        np.testing.assert_allclose(prediction.keypoints, alone.keypoints, atol=1e-3)
        np.testing.assert_allclose(prediction.keypoint_logits, alone.keypoint_logits, atol=1e-4)


def test_the_file_of_results_has_the_keypoints(predictor, picture, tmp_path):
    prediction = predictor(picture)
    file = ResultsFile(*predictor.classes, predictor.keypoint_set)
    file.add("1.png", prediction)
    file.write(tmp_path / "predictions.json")
    content = json.loads((tmp_path / "predictions.json").read_text())
    assert content["categories"] == [CATEGORY]
    flat = [row["keypoints"] for row in content["annotations"]]
    np.testing.assert_allclose(flat, prediction.keypoints.reshape(4, 15))
    assert {row["num_keypoints"] for row in content["annotations"]} == {5}
    ((_, again),) = load_results_file(tmp_path / "predictions.json")
    np.testing.assert_array_equal(again.keypoints, prediction.keypoints)
    assert again.keypoint_set == prediction.keypoint_set
    assert again.keypoint_logits is None
    assert (np.asarray(draw(picture, again)) == np.asarray(draw(picture, prediction))).all()


def test_the_command_writes_the_skeleton(trained, files, tmp_path):
    options = [
        "--score-key",
        "score",
        "--threshold",
        "0",
        "--device",
        "cpu",
        "--output",
        str(tmp_path),
    ]
    weights = str(trained[0] / "model_final.pth")
    tool("predict").main(["--weights", weights, "--input", str(files[1] / "1.png"), *options])
    (row, *_) = json.loads((tmp_path / "predictions.json").read_text())["annotations"]
    assert len(row["keypoints"]) == 15


def test_the_number_of_keypoints_comes_from_the_data(files):
    config = make_default_config()
    entry = {"ANN_FILE": str(files[0]), "IMG_DIR": str(files[1])}
    config.merge_from_other_cfg({"DATASETS": {"CUSTOM": {"figures": entry}, "TRAIN": ("figures",)}})
    assert len(resolve_num_classes(config, ["TRAIN"])) == 1
    config.MODEL.KEYPOINT_ON = True
    config.MODEL.ROI_BOX_HEAD.NUM_CLASSES = 2
    (line,) = resolve_num_classes(config.clone(), ["TRAIN"])[-1:]
    assert line.startswith("MODEL.ROI_KEYPOINT_HEAD.NUM_CLASSES is 5: head, left_hand")
    config.merge_from_list(["MODEL.ROI_KEYPOINT_HEAD.NUM_CLASSES", 17])
    with pytest.raises(ValueError, match="figures has 5 keypoints"):
        resolve_num_classes(config, ["TRAIN"])


@pytest.mark.parametrize(
    ("count", "names"), [(17, COCO_PERSON.keypoint_names), (2, ["keypoint 1", "keypoint 2"])]
)
def test_weights_without_names(count, names):
    config = tiny_config(KEYPOINT_ON=True)
    config.MODEL.ROI_KEYPOINT_HEAD.NUM_CLASSES = count
    predictor = Predictor.from_cfg(config, torch.nn.Identity(), device="cpu")
    assert predictor.keypoint_set.keypoint_names == names
    with pytest.raises(ValueError, match=f"1 keypoint names for a model of {count} keypoints"):
        Predictor.from_cfg(
            config, torch.nn.Identity(), keypoint_set=type(COCO_PERSON)(["nose"], []), device="cpu"
        )
