"""For any JSON, either inspection and loading refuse it, or it gives the AP of a clean copy."""

import faulthandler
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from PIL import Image

from maskrcnn_benchmark.data.collate_batch import BatchCollator
from maskrcnn_benchmark.data.datasets import COCODataset
from maskrcnn_benchmark.data.inspection import inspect_coco, summary
from maskrcnn_benchmark.data.transforms.transforms import Compose, Normalize, ToTensor
from maskrcnn_benchmark.evaluation import evaluate_coco
from maskrcnn_benchmark.modeling.detector import build_detection_model
from tests.data.fuzz import base, oracle
from tests.helpers.tiny_detector import tiny_config

CASES, MANY = 300, int(os.environ.get("JSON_CASES", "5000"))
SECONDS = 60  # seconds; a case takes 0.1 s, so beyond this it hangs and the process is ended
MODEL_EVERY = 25  # a training step takes longer than everything else
COUNTS: Counter[str] = Counter()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, request):
    made = tmp_path_factory.mktemp("fuzz")
    base.write_images(made)
    yield made
    with request.config.pluginmanager.get_plugin("capturemanager").global_and_fixture_disabled():
        print(f"\njson cases: {dict(COUNTS)}")


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return build_detection_model(tiny_config(classes=6, MASKIOU_ON=True)).train()


def transforms():
    return Compose([ToTensor(), Normalize([0, 0, 0], [1, 1, 1], to_bgr255=True)])


def check(folder: Path, model: Any, content: bytes) -> str:
    """Check one file; return the outcome."""
    path = folder / "case.json"
    path.write_bytes(content)
    faulthandler.dump_traceback_later(SECONDS, exit=True)
    try:
        try:
            inspection = inspect_coco(path, folder)
            text = summary(inspection)
            refused = inspection.num_errors > 0
            assert text
        except ValueError as error:
            assert "\n" not in str(error)
            refused = True
        try:
            cleaned = oracle.clean(oracle.parse(content))
            images_fit = all(_fits(folder, image) for image in cleaned["images"])
        except oracle.RefusedError:
            cleaned, images_fit = None, False
        assert refused == (not images_fit)
        try:
            dataset = COCODataset(path, folder, transforms=transforms())
            samples = [dataset[index] for index in range(len(dataset))]
        except (ValueError, FileNotFoundError) as error:
            assert "\n" not in str(error)
            assert refused, error
            return "refused"
        assert not refused
        train(dataset, samples, model)
        evaluate(folder, dataset, cleaned)
    finally:
        faulthandler.cancel_dump_traceback_later()
    return "ran"


def _fits(folder: Path, image: dict[str, Any]) -> bool:
    path = folder / image["file_name"]
    if path.suffix != ".png" or not path.is_file():
        return False
    with Image.open(path) as opened:
        return opened.size == (image["width"], image["height"])


def train(dataset: COCODataset, samples: list[Any], model: Any) -> None:
    """Iterate over the data as in training, occasionally with a model."""
    images, targets, _ = BatchCollator(32)(samples)
    assert sum(map(len, targets)) == dataset.learned.count
    for target in targets:
        if dataset.has_masks:
            masks = target.get_field("masks")
            assert masks.decode()[~masks.present().numpy()].sum() == 0
            for box, instance in zip(target.bbox.numpy(), masks.instances, strict=True):
                instance.rasterize_in(box, 14)
    COUNTS["trained"] += 1
    if dataset.has_masks and dataset.learned.count and COUNTS["trained"] % MODEL_EVERY == 1:
        losses = model(images, targets)
        sum(losses.values()).backward()
        assert all(loss.isfinite() for loss in losses.values()), losses
        COUNTS["with a model"] += 1


def evaluate(folder: Path, dataset: COCODataset, cleaned: dict[str, Any]) -> None:
    infos = [dataset.get_img_info(index) for index in range(len(dataset))]
    num_classes = len(dataset.class_names) - 1
    predictions = [base.detections(info["file_name"], num_classes) for info in infos]
    tasks = ("bbox", "segm")
    results = evaluate_coco(dataset, predictions, iou_types=tasks, output_folder=folder / "out")
    if not cleaned["annotations"]:
        assert set(results["bbox"].values()) == {-1}
        COUNTS["without annotations"] += 1
        return
    assert len(results.per_class["bbox"]) == num_classes
    for task in tasks:
        rows = json.loads((folder / "out" / f"{task}.json").read_text())
        expected = oracle.average_precisions(cleaned, rows, task)
        found = [results[task][key] for key in ("AP", "AP50", "AP75", "APs", "APm", "APl")]
        assert found == pytest.approx(expected, abs=1e-12)


COMMON: dict[str, Any] = {
    "deadline": None,
    "database": None,
    "suppress_health_check": list(HealthCheck),
    "phases": [Phase.explicit, Phase.generate, Phase.shrink],
}


@settings(max_examples=CASES, derandomize=True, **COMMON)
@given(content=base.mutated())
def test_refused_by_all_or_right(folder, model, content):
    COUNTS[check(folder, model, content)] += 1


@pytest.mark.slow
@settings(max_examples=MANY, **COMMON)
@given(content=base.mutated())
def test_refused_by_all_or_right_many_times(folder, model, content):
    COUNTS[check(folder, model, content)] += 1


def test_the_base_is_right(folder, model):
    assert check(folder, model, json.dumps(base.make_base()).encode()) == "ran"
    results = json.loads((folder / "out" / "results.json").read_text())["results"]
    assert 0.2 < results["bbox"]["AP"] < 0.95
    assert 0.2 < results["segm"]["AP"] < 0.95
