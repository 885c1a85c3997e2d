"""Every key outside MODEL and SOLVER has the effect that its comment describes."""

import json
import logging
import re
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from pycocotools.cocoeval import COCOeval
from yacs.config import CfgNode

from maskrcnn_benchmark.data import make_data_loader
from maskrcnn_benchmark.engine.launch import testing
from maskrcnn_benchmark.engine.launch.testing import run_tests
from maskrcnn_benchmark.evaluation import coco_eval
from maskrcnn_benchmark.modeling.detector import build_detection_model
from maskrcnn_benchmark.structures.image_list import to_image_list
from tests.data.helpers import square, write_coco
from tests.helpers.every_key import Case, all_keys, assert_complete, config_with
from tests.helpers.observers import (
    augmented,
    batch_sizes,
    batches,
    colors,
    covered,
    mirrored,
    mixed_batches,
    padded,
    pixel,
    sizes,
    test_files,
    train_files,
    workers,
)
from tests.helpers.tiny_detector import tiny_tree
from tests.tools.toy import train

PLAIN = {"INPUT.HORIZONTAL_FLIP_PROB_TRAIN": 0.0, "INPUT.PIXEL_MEAN": [0.0, 0.0, 0.0]}
SIZES = [f"INPUT.{side}_SIZE_{split}" for side in ("MIN", "MAX") for split in ("TRAIN", "TEST")]
SMALL = dict.fromkeys(SIZES, 60)
AS_IT_IS = dict.fromkeys(SIZES, 8)  # small images, for speed
# two data sets in the working directory
DATA = {
    **{f"DATASETS.CUSTOM.{name}.ANN_FILE": f"{name}/annotations.json" for name in ("cats", "dogs")},
    **{f"DATASETS.CUSTOM.{name}.IMG_DIR": f"{name}/images" for name in ("cats", "dogs")},
    "DATASETS.TRAIN": ("cats",),
    "DATASETS.TEST": ("cats",),
    "DATALOADER.NUM_WORKERS": 0,
    "DATALOADER.ASPECT_RATIO_GROUPING": False,
    "SOLVER.IMS_PER_BATCH": 2,
    "SOLVER.MAX_ITER": 4,
    "TEST.IMS_PER_BATCH": 2,
    "MODEL.DEVICE": "cpu",
    "MODEL.ROI_BOX_HEAD.NUM_CLASSES": 3,
}
CATS = [(40, 20, [square(1, 1, 9)]), (20, 40, [square(2, 2, 9)]), (40, 20, [])] + [
    (20, 40, [square(5, 5, 9, category_id=7)])
]
CATS_FILES, WITHOUT_EMPTY = ["0.png", "1.png", "2.png", "3.png"], ["0.png", "1.png", "3.png"]
DOGS_FILES = ["0.png", "1.png"]
CATALOG = """
class DatasetCatalog:
    @staticmethod
    def get(name):
        files = {"root": "dogs/images", "ann_file": "dogs/annotations.json"}
        return {"factory": "COCODataset", "args": files}
"""


def image_order(config: Any) -> list[int]:
    """Return the indices of the training images, in order."""
    return [index for batch in batches(config) for index in batch]


def labels_seen(config: Any) -> list[list[int]]:
    """Return the labels of each training image, in order."""
    loader = make_data_loader(config)
    return [t.get_field("labels").tolist() for _, targets, _ in loader for t in targets]


def most_objects(config: Any) -> int:
    """Return the largest number of objects in a training image."""
    return max(map(len, labels_seen(config)))


def dogs_seen(config: Any) -> int:
    """Return how many training images have a dog, label 2."""
    return labels_seen(config).count([2])


def drawn_order(seed: int) -> list[int]:
    """Return the order of two epochs over four images; the second starts at iteration 2."""
    draws = [torch.Generator().manual_seed(epoch + 1_000_003 * seed) for epoch in (0, 2)]
    return [i for draw in draws for i in torch.randperm(4, generator=draw).tolist()]


def augments_as_seed_0(config: Any) -> bool:
    """Return whether random flips and color jitter of one image equal those of seed 0."""
    zero = config.clone()
    zero.SEED = 0
    return augmented(config) == augmented(zero)


def with_tiny_model(config: Any) -> Any:
    """Return the config with a tiny box detector that finds few objects."""
    config = config.clone()
    tree = tiny_tree(MASK_ON=False, MASKIOU_ON=False)["MODEL"]
    tree["RPN"].update(PRE_NMS_TOP_N_TRAIN=20, PRE_NMS_TOP_N_TEST=20)
    config.merge_from_other_cfg(CfgNode({"MODEL": tree}))
    return config


def tiny_model(config: Any) -> torch.nn.Module:
    """Return a tiny model, otherwise built as configured."""
    config = with_tiny_model(config)
    torch.manual_seed(0)
    return build_detection_model(config)


def arithmetic(config: Any) -> set[str]:
    """Return the dtypes of the features and the weights."""
    model = tiny_model(config)
    seen = {str(weight.dtype) for weight in model.parameters()}
    model.backbone.register_forward_hook(lambda _module, _, out: seen.add(str(out[0].dtype)))
    model.eval()(to_image_list([torch.zeros(3, 64, 64)]))
    return seen


def verdicts(config: Any) -> list[str]:
    """Return the log line of each expected result; an untrained model has AP 0."""
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("maskrcnn_benchmark")
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.INFO)
    try:
        run_tests(config, tiny_model(config), torch.device("cpu"))
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    return [found[0] for line in said if (found := re.match(r"(PASS|FAIL): \w+ \w+", line))]


def keypoint_sigmas(config: Any) -> tuple[float, ...]:
    """Return the sigmas that the evaluation of a keypoint model gets."""
    config.MODEL.KEYPOINT_ON = True
    with mock.patch.object(testing, "inference", return_value=None) as called:
        run_tests(config, None, torch.device("cpu"), {"any": None})
    return called.call_args.kwargs["coco_options"]["keypoint_sigmas"]


def folders_written(config: Any) -> list[str]:
    """Return which of two folders a training with evaluation creates."""
    config = with_tiny_model(config)
    config.SOLVER.MAX_ITER = 1
    train(config)
    run_tests(config, tiny_model(config), torch.device("cpu"))
    written = [Path(name) for name in ("one", "two") if Path(name).exists()]
    for folder in written:
        assert (folder / "model_final.pth").is_file()
        assert json.loads((folder / "inference/cats/results.json").read_text())
        folder.rename(f"{folder}_seen")
    return [folder.name for folder in written]


def draws(**changes: tuple[float, float]) -> dict[str, Any]:
    """Expected result of ``colors``: 1 for gray, gap, saturation and 0 for hue by default."""
    still = {"gray": (1.0, 1.0), "gap": (1.0, 1.0), "saturation": (1.0, 1.0), "hue": (0.0, 0.0)}
    return still | {"test": 100} | changes


FLIP_NEVER = {"train": (0, 0), "test": (0, 0)}
AROUND = (0.5, 1.5)
JITTER = {"INPUT.LARGE_SCALE_JITTER.ENABLED": True, "INPUT.LARGE_SCALE_JITTER.SIZE": 40}
UNIT_SCALE = {"INPUT.LARGE_SCALE_JITTER.SCALES": (1.0, 1.0)}


def evaluators(config: Any) -> list[str]:
    """Return the evaluator of each test set by name."""
    names: list[str] = []
    with mock.patch.object(coco_eval, "find_evaluator") as find:
        find.side_effect = lambda name: names.append(name) or COCOeval
        run_tests(config, tiny_model(config), torch.device("cpu"))
    return names


def quality_reports(config: Any) -> list[str]:
    """Return the folder of each mask-quality report, and the images that it shows."""

    def evaluated(*_: Any, coco_options: dict[str, Any], **__: Any) -> object:
        if coco_options["receive_masks"] is not None:
            coco_options["receive_masks"]("masks")
        return object()

    with (
        mock.patch.object(testing, "inference", side_effect=evaluated),
        mock.patch.object(testing, "write_mask_quality") as write,
    ):
        run_tests(config, tiny_model(config), torch.device("cpu"))
    return [f"{call.args[1]} {call.kwargs['images']}" for call in write.call_args_list]


EXPECTED = [["bbox", "AP", 0.3, 0.1]]
ONE_IMAGE = {"DATASETS.TRAIN": ("dogs",), "INPUT.BRIGHTNESS": 0.5, "SOLVER.MAX_ITER": 1}
CASES = [
    Case(
        *("INPUT.MIN_SIZE_TRAIN", 20, sizes),
        {"train": {(30, 60)}, "test": {(30, 60)}},
        {"train": {(20, 40)}, "test": {(30, 60)}},
    ),
    Case(
        *("INPUT.MIN_SIZE_TRAIN", (10, 20), sizes),
        {"train": {(30, 60)}, "test": {(30, 60)}},
        {"train": {(20, 40), (10, 20)}, "test": {(30, 60)}},
    ),
    Case(
        *("INPUT.MAX_SIZE_TRAIN", 40, sizes),
        {"train": {(30, 60)}, "test": {(30, 60)}},
        {"train": {(20, 40)}, "test": {(30, 60)}},
    ),
    Case(
        *("INPUT.MIN_SIZE_TEST", 20, sizes),
        {"train": {(30, 60)}, "test": {(30, 60)}},
        {"train": {(30, 60)}, "test": {(20, 40)}},
    ),
    Case(
        *("INPUT.SIZE_ROUNDING", "nearest", sizes),  # 61 x 30.5
        {"train": {(30, 60)}, "test": {(30, 60)}},
        {"train": {(31, 61)}, "test": {(31, 61)}},
        {
            f"INPUT.{side}_SIZE_{split}": size
            for side, size in (("MIN", 50), ("MAX", 61))
            for split in ("TRAIN", "TEST")
        },
    ),
    Case(
        *("INPUT.MAX_SIZE_TEST", 40, sizes),
        {"train": {(30, 60)}, "test": {(30, 60)}},
        {"train": {(30, 60)}, "test": {(20, 40)}},
    ),
    Case(
        *("INPUT.PIXEL_MEAN", [1.0, 2.0, 4.0], pixel),
        dict.fromkeys(("train", "test"), [204, 102, 51]),
        dict.fromkeys(("train", "test"), [203, 100, 47]),
    ),
    Case(
        *("INPUT.PIXEL_STD", [1.0, 2.0, 4.0], pixel),
        dict.fromkeys(("train", "test"), [204, 102, 51]),
        dict.fromkeys(("train", "test"), [204, 51, 12.75]),
    ),
    Case(
        *("INPUT.TO_BGR255", False, pixel),
        dict.fromkeys(("train", "test"), [204, 102, 51]),
        dict.fromkeys(("train", "test"), [0.2, 0.4, 0.8]),
    ),
    Case(
        *("INPUT.HORIZONTAL_FLIP_PROB_TRAIN", 1.0, mirrored),
        FLIP_NEVER,
        {"train": (200, 0), "test": (0, 0)},
        AS_IT_IS,
    ),
    Case(
        *("INPUT.VERTICAL_FLIP_PROB_TRAIN", 1.0, mirrored),
        FLIP_NEVER,
        {"train": (0, 200), "test": (0, 0)},
        AS_IT_IS,
    ),
    # contrast is applied around the mean gray, which is the same in the colored image
    Case(
        *("INPUT.BRIGHTNESS", 0.5, colors, draws()),
        draws(gray=AROUND, gap=AROUND),
        AS_IT_IS,
    ),
    Case(
        *("INPUT.CONTRAST", 0.5, colors, draws()),
        draws(gap=AROUND, saturation=(0.6, 1.2)),
        AS_IT_IS,
    ),
    Case("INPUT.SATURATION", 0.5, colors, draws(), draws(saturation=(0.6, 1.2)), AS_IT_IS),
    Case("INPUT.HUE", 0.2, colors, draws(), draws(hue=(-0.2, 0.2)), AS_IT_IS),
    Case(
        *("INPUT.LARGE_SCALE_JITTER.ENABLED", True, covered),
        *((30, 60, 1.0), (40, 40, 0.5)),
        {"INPUT.LARGE_SCALE_JITTER.SIZE": 40, **UNIT_SCALE},
    ),
    Case(
        *("INPUT.LARGE_SCALE_JITTER.SIZE", 20, covered),
        *((40, 40, 0.5), (20, 20, 0.5)),
        {**JITTER, **UNIT_SCALE},
    ),
    Case(
        *("INPUT.LARGE_SCALE_JITTER.SCALES", (0.5, 0.5), covered),
        *((40, 40, 0.5), (40, 40, 0.12)),
        {**JITTER, **UNIT_SCALE},
    ),
    Case("INPUT.COPY_PASTE", 1.0, most_objects, 1, 2, {**AS_IT_IS, "SOLVER.MAX_ITER": 12}),
    Case("DATASETS.TRAIN", ("dogs",), train_files, WITHOUT_EMPTY, ["0.png"]),
    Case("DATASETS.TEST", ("dogs", "cats"), test_files, [CATS_FILES], [DOGS_FILES, CATS_FILES]),
    Case(
        *("DATASETS.CUSTOM", {"cats": {"ANN_FILE": "dogs/annotations.json"}}, train_files),
        *(WITHOUT_EMPTY, ["0.png"]),
    ),
    Case("DATALOADER.NUM_WORKERS", 2, workers, 0, 2),
    Case(
        *("DATALOADER.SIZE_DIVISIBILITY", 32, padded, {28, 24}, {0}),
        {"INPUT.MAX_SIZE_TEST": 200, "DATASETS.TEST": ("dogs",)},
    ),
    Case(
        *("DATALOADER.ASPECT_RATIO_GROUPING", True, mixed_batches, True, False),
        {"SOLVER.MAX_ITER": 8},
    ),
    Case("DATALOADER.FILTER_EMPTY", False, train_files, WITHOUT_EMPTY, CATS_FILES),
    # one image of three has a dog, which is seen sqrt(1 / (1 / 3)) = 1.7 times as often; 24 images
    Case(
        *("DATALOADER.REPEAT_THRESHOLD", 1.0, dogs_seen, 8, 10),
        {**AS_IT_IS, "SOLVER.MAX_ITER": 24, "SOLVER.IMS_PER_BATCH": 1},
    ),
    Case(
        *("TEST.IMS_PER_BATCH", 1, batch_sizes),
        {"train": [2, 1, 2, 1], "test": [2]},
        {"train": [2, 1, 2, 1], "test": [1, 1]},
        {"DATASETS.TEST": ("dogs",)},
    ),
    Case("TEST.EXPECTED_RESULTS", EXPECTED, verdicts, [], ["PASS: bbox AP"]),
    Case(
        *("TEST.EXPECTED_RESULTS_SIGMA_TOL", 2, verdicts, ["PASS: bbox AP"], ["FAIL: bbox AP"]),
        {"TEST.EXPECTED_RESULTS": EXPECTED},
    ),
    Case("TEST.COCO_EVALUATOR", "fast", evaluators, ["pycocotools"], ["fast"]),
    Case(
        *("TEST.MASK_QUALITY", True, quality_reports),
        *([], ["one/inference/cats/mask_quality cats/images"]),
        {"MODEL.MASK_ON": True, "OUTPUT_DIR": "one"},
    ),
    Case("TEST.KEYPOINT_OKS_SIGMAS", (0.1, 0.2), keypoint_sigmas, (), (0.1, 0.2)),
    Case(
        *("SEED", 1, image_order, drawn_order(0), drawn_order(1)),
        {"DATALOADER.FILTER_EMPTY": False},
    ),
    Case("SEED", 1, augments_as_seed_0, True, False, ONE_IMAGE),
    Case(
        *("DTYPE", "bfloat16", arithmetic),
        *({"torch.float32"}, {"torch.bfloat16", "torch.float32"}),
    ),
    Case("OUTPUT_DIR", "two", folders_written, ["one"], ["two"], {"OUTPUT_DIR": "one"}),
    Case(
        *("PATHS_CATALOG", "catalog.py", test_files, [CATS_FILES], [DOGS_FILES]),
        {"DATASETS.TEST": ("coco_2014_minival",)},
    ),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("data")
    for name, images in (("cats", CATS), ("dogs", [CATS[0], CATS[2]])):
        (made / name).mkdir()
        write_coco(made / name, images)
    (made / "catalog.py").write_text(CATALOG)
    # where the default catalog expects the data set
    coco = made / "datasets/coco"
    (coco / "annotations").mkdir(parents=True)
    content = (made / "cats/annotations.json").read_text()
    (coco / "annotations/instances_minival2014.json").write_text(content)
    (coco / "val2014").symlink_to(made / "cats/images")
    return made


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_changed_key_changes_what_it_says(case, folder, monkeypatch):
    monkeypatch.chdir(folder)
    case.check({**DATA, **SMALL, **PLAIN})


def test_a_probability_is_a_share(folder, monkeypatch):
    monkeypatch.chdir(folder)
    keys = [f"INPUT.{way}_FLIP_PROB_TRAIN" for way in ("HORIZONTAL", "VERTICAL")]
    across, down = mirrored(config_with({**AS_IT_IS, **PLAIN, keys[0]: 0.8, keys[1]: 0.3}))["train"]
    np.testing.assert_allclose((across / 200, down / 200), (0.8, 0.3), atol=0.08)


def test_every_key_has_a_case():
    keys = [key for key in all_keys() if not key.startswith(("MODEL.", "SOLVER."))]
    elsewhere = {"TEST.DETECTIONS_PER_IMG": "of a RetinaNet: test_every_retinanet_key"}
    views = (key for key in keys if key.startswith("TEST.BBOX_AUG."))
    elsewhere |= dict.fromkeys(views, "views of a test image: tests/data/test_views.py")
    assert_complete(keys, CASES, elsewhere)
