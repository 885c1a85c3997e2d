"""LVIS's federated metric against a direct computation from its definition."""

import json
import random
import sys
from collections import defaultdict

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO

from maskrcnn_benchmark.data.datasets.lvis import LVISDataset
from maskrcnn_benchmark.evaluation import EVALUATIONS
from maskrcnn_benchmark.evaluation.lvis_eval import MAX_DETECTIONS, evaluate_lvis_rows
from maskrcnn_benchmark.utils.user_error import MissingPackageError
from tests.data.helpers import square, write_coco

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)
CLASSES = {1: "r", 2: "c", 3: "f", 4: "f", 5: "r"}


def random_box(draw):
    """Return ``x, y, width, height`` in an image of 100 x 100."""
    return [draw.uniform(0, 60), draw.uniform(0, 60), draw.uniform(5, 40), draw.uniform(5, 40)]


def scene(seed):
    """Return a ground truth of 12 images and detections near and far from it."""
    draw = random.Random(seed)
    content = {"images": [], "annotations": [], "categories": []}
    content["categories"] = [{"id": i, "name": f"n{i}", "frequency": f} for i, f in CLASSES.items()]
    rows = []
    for image_id in range(1, 13):
        present = draw.sample(sorted(CLASSES), 2)
        absent = draw.sample([c for c in CLASSES if c not in present], 2)
        content["images"].append(
            {
                "id": image_id,
                "height": 100,
                "width": 100,
                "neg_category_ids": absent,
                "not_exhaustive_category_ids": present[:1] if image_id % 2 else [],
            }
        )
        for category in (c for c in present for _ in range(draw.randint(1, 3))):
            box = random_box(draw)
            of_box = {"image_id": image_id, "category_id": category, "bbox": box}
            number = len(content["annotations"]) + 1
            area = {"id": number, "area": box[2] * box[3], "iscrowd": 0}
            content["annotations"].append(of_box | area)
            near = [value + draw.uniform(-3, 3) for value in box]
            rows.append(of_box | {"bbox": near, "score": draw.random()})
        far = [{"category_id": draw.choice(sorted(CLASSES))} for _ in range(8)]
        rows += [
            row | {"image_id": image_id, "bbox": random_box(draw), "score": draw.random()}
            for row in far
        ]
    coco = COCO()
    coco.dataset = content
    coco.createIndex()
    return coco, rows


def iou(a, b):
    """Return the IoU of two boxes ``x, y, width, height``."""
    w = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    h = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    inside = max(w, 0) * max(h, 0)
    return inside / (a[2] * a[3] + b[2] * b[3] - inside)


def matched(objects, detections, threshold, exhaustive):
    """Yield ``(score, is true)`` of the detections that count, best first."""
    free = list(objects)
    for row in sorted(detections, key=lambda row: -row["score"]):
        best = max(free, key=lambda box: iou(row["bbox"], box), default=None)
        if best is not None and iou(row["bbox"], best) >= threshold:
            free.remove(best)
            yield row["score"], True
        elif exhaustive:
            yield row["score"], False


def average_precision(coco, rows, category, threshold):
    """Return the AP of a class by the definition."""
    pairs, total = [], 0
    for image in coco.dataset["images"]:
        objects = [
            a["bbox"]
            for a in coco.dataset["annotations"]
            if (a["image_id"], a["category_id"]) == (image["id"], category)
        ]
        if not objects and category not in image["neg_category_ids"]:
            continue
        total += len(objects)
        found = [r for r in rows if (r["image_id"], r["category_id"]) == (image["id"], category)]
        exhaustive = category not in image["not_exhaustive_category_ids"]
        pairs += matched(objects, found, threshold, exhaustive)
    pairs.sort(key=lambda pair: -pair[0])
    true = np.cumsum([is_true for _, is_true in pairs])
    precision, recall = true / np.arange(1, len(pairs) + 1), true / total
    return np.mean([max(precision[recall >= r], default=0) for r in RECALLS])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_equal_to_the_definition(seed):
    coco, rows = scene(seed)
    results = evaluate_lvis_rows(coco, {"bbox": rows})
    by_class = {
        category: [average_precision(coco, rows, category, t) for t in THRESHOLDS]
        for category in CLASSES
    }
    expected = {"AP": np.mean(list(by_class.values()))}
    expected["AP50"] = np.mean([values[0] for values in by_class.values()])
    groups = defaultdict(list)
    for category, values in by_class.items():
        groups[f"AP{CLASSES[category]}"].append(np.mean(values))
    expected |= {name: np.mean(values) for name, values in groups.items()}
    for metric, value in expected.items():
        assert results["bbox"][metric] == pytest.approx(value, abs=1e-9), metric
    assert 0.05 < expected["AP"] < 0.95
    assert results.per_class["bbox"] == pytest.approx(
        {f"n{category}": np.mean(values) for category, values in by_class.items()}, abs=1e-9
    )


def test_the_best_300_of_an_image_count():
    coco, rows = scene(0)
    alone = evaluate_lvis_rows(coco, {"bbox": rows})
    one = rows[0]["image_id"]
    better = [row | {"bbox": [0, 0, 1, 1], "score": 2.0} for row in rows if row["image_id"] == one]
    crowded = rows + better * MAX_DETECTIONS
    kept = [row for row in rows if row["image_id"] != one] + (better * MAX_DETECTIONS)[:300]
    results = evaluate_lvis_rows(coco, {"bbox": crowded})
    assert results.results == evaluate_lvis_rows(coco, {"bbox": kept}).results
    assert results["bbox"]["AP"] < alone["bbox"]["AP"]


def test_without_detections_the_ap_is_0():
    coco, _ = scene(0)
    assert evaluate_lvis_rows(coco, {"bbox": []})["bbox"]["AP"] == 0


def test_a_missing_package_is_named(monkeypatch):
    coco, rows = scene(0)
    monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
    with pytest.raises(MissingPackageError, match=r"pip install \.\[fast\]"):
        evaluate_lvis_rows(coco, {"bbox": rows})


@pytest.mark.parametrize("missing", ["frequency", "neg_category_ids"])
def test_a_file_without_lvis_keys_is_refused(missing):
    coco, rows = scene(0)
    entry = coco.cats[2] if missing == "frequency" else coco.imgs[2]
    del entry[missing]
    with pytest.raises(ValueError, match=rf"id 2 has no {missing}"):
        evaluate_lvis_rows(coco, {"bbox": rows})


def test_a_data_set_of_lvis_is_evaluated_and_named_by_its_urls(tmp_path):
    files = write_coco(tmp_path, [(20, 30, [square(1, 1, 9)]), (20, 30, [square(4, 4, 9)])])
    content = json.loads(files[0].read_text())
    for image in content["images"]:
        name = image.pop("file_name")
        image |= {"coco_url": f"http://images.cocodataset.org/images/{name}"}
        image |= {"neg_category_ids": [7], "not_exhaustive_category_ids": []}
    for category, frequency in zip(content["categories"], "rf", strict=True):
        category["frequency"] = frequency
    files[0].write_text(json.dumps(content))
    dataset = LVISDataset(files[0], tmp_path)
    predictions = []
    for index in range(len(dataset)):
        image, target, _ = dataset[index]
        assert image.size == (20, 30)
        found = target.copy_with_fields("labels")
        found.add_field("scores", torch.ones(len(target)))
        predictions.append(found)
    results = EVALUATIONS[dataset.metric](dataset, predictions, output_folder=tmp_path / "out")
    assert results["bbox"]["AP"] == results["bbox"]["APr"] == 1
    assert results["bbox"]["APc"] == -1  # there is no common category
    assert results.per_class["bbox"] == {"cat": 1, "dog": -1}
    assert json.loads((tmp_path / "out/results.json").read_text())["results"] == results.results
