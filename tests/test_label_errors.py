"""The label errors of the benchmark are those that it tells, and nothing else is changed."""

import importlib
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from maskrcnn_benchmark.structures.rle import encode_rle
from maskrcnn_benchmark.utils.imports import import_file

ROOT = Path(__file__).parents[1]
SIZE = 120


@pytest.fixture(scope="module")
def module():
    return import_file("label_errors", ROOT / "benchmarks" / "label_errors.py")


def disk(x, y, radius):
    rows, columns = np.mgrid[:SIZE, :SIZE]
    return ((columns - x) ** 2 + (rows - y) ** 2 <= radius**2).astype(np.uint8)


@pytest.fixture(scope="module")
def content():
    """Two disks in each of 60 images, of three classes; a crowd and a small disk in the first."""
    annotations = []
    for image in range(1, 61):
        for x in (30, 80):
            mask = disk(x, 60, 16 + image % 5)
            annotations.append({"image_id": image, "iscrowd": 0, "mask": mask})
    annotations.append({"image_id": 1, "iscrowd": 1, "mask": disk(60, 20, 15)})
    annotations.append({"image_id": 1, "iscrowd": 0, "mask": disk(100, 100, 5)})
    for number, each in enumerate(annotations, 100):
        mask = each.pop("mask")
        rle = encode_rle(mask)
        each |= {"id": number, "category_id": 1 + number % 3, "segmentation": rle}
        each |= {"area": int(mask.sum()), "bbox": [0, 0, 1, 1]}
    images = [{"id": i, "width": SIZE, "height": SIZE} for i in range(1, 61)]
    return {"images": images, "annotations": annotations, "categories": [{"id": 1}]}


@pytest.fixture(scope="module")
def injected(module, content):
    return module.inject(content, 0.3, seed=5)


def test_every_kind_comes_equally_often_and_a_share_of_all(module, injected, content):
    _, errors = injected
    counts = Counter(error.kind for error in errors)
    assert len(errors) == round(0.3 * 121)
    assert set(counts) == set(module.KINDS)
    assert max(counts.values()) - min(counts.values()) <= 1


def test_what_is_not_told_is_as_it_was(injected, content):
    noisy, errors = injected
    told = {error.annotation_id for error in errors} | {error.removed for error in errors}
    before = {each["id"]: each for each in content["annotations"]}
    after = {each["id"]: each for each in noisy["annotations"]}
    assert [*after] == sorted(after)
    assert all(after[i] == each for i, each in before.items() if i not in told)
    crowd_and_small = {each["id"] for each in content["annotations"][-2:]}
    assert not told & crowd_and_small
    assert before.keys() - after.keys() == {error.removed for error in errors} - {None}


def test_each_error_is_of_its_kind(module, injected, content):
    noisy, errors = injected
    images = {image["id"]: image for image in content["images"]}
    before = {each["id"]: each for each in content["annotations"]}
    after = {each["id"]: each for each in noisy["annotations"]}
    for error in errors:
        true = module.decode(before[error.annotation_id], images[error.image_id])
        if error.kind == "dropped":
            assert error.removed == error.annotation_id
            continue
        wrong = after[error.annotation_id]
        mask = module.decode(wrong, images[error.image_id])
        if error.kind == "swapped":
            assert wrong["category_id"] != before[error.annotation_id]["category_id"]
            assert (mask == true).all()
            continue
        ys, xs = np.nonzero(mask)
        assert wrong["area"] == mask.sum()
        assert wrong["bbox"][:2] == [xs.min(), ys.min()]
        if error.kind == "merged":
            other = before[error.removed]
            assert other["image_id"] == error.image_id
            assert (mask == true | module.decode(other, images[error.image_id])).all()
            continue
        assert 0.4 < module.mask_iou(mask, true) <= 0.6
        inside, outside = (mask & (1 - true)).any(), (true & (1 - mask)).any()
        expected = {"shifted": (True, True), "eroded": (False, True), "dilated": (True, False)}
        assert (inside, outside) == expected[error.kind]


def test_a_seed_makes_the_same_errors_and_another_one_others(module, injected, content):
    assert module.inject(content, 0.3, seed=5) == injected
    assert module.inject(content, 0.3, seed=6)[1] != injected[1]


def test_the_folds_are_halves(module, injected):
    noisy, _ = injected
    first, second = module.folds(noisy, seed=1)
    ids = [{image["id"] for image in fold["images"]} for fold in (first, second)]
    assert [*map(len, ids)] == [30, 30]
    assert not ids[0] & ids[1]
    for fold, own in zip((first, second), ids, strict=True):
        assert fold["annotations"] == [a for a in noisy["annotations"] if a["image_id"] in own]


def test_one_class_cannot_be_swapped_and_a_lone_object_not_merged(module, content):
    alone = {
        **content,
        "annotations": [{**a, "category_id": 1} for a in content["annotations"][:120:2]],
    }
    _, errors = module.inject(alone, 0.5)
    assert len(errors) == 30
    assert {error.kind for error in errors} == {"dropped", "shifted", "eroded", "dilated"}


def test_the_command_writes_folds_truth_and_errors(content, tmp_path):
    (tmp_path / "annotations").mkdir()
    for split, part in (("train", slice(0, 60)), ("val", slice(60, None))):
        made = {**content, "annotations": content["annotations"][part]}
        made["images"] = content["images"][:30] if split == "train" else content["images"][30:]
        (tmp_path / "annotations" / f"instances_{split}.json").write_text(json.dumps(made))
    script = str(ROOT / "benchmarks" / "label_errors.py")
    said = subprocess.run(
        [sys.executable, script, tmp_path, tmp_path / "out"], check=True, text=True, stdout=-1
    )
    assert "122 instances, 12 errors" in said.stdout
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["errors.json", "fold_0.json", "fold_1.json", "noisy.json", "true.json"]
    errors = json.loads((tmp_path / "out" / "errors.json").read_text())
    assert len(errors) == 12


@pytest.fixture
def scoring(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    yield importlib.import_module("label_review")
    for name in ("label_review", "label_errors", "cleanlab_scores"):
        sys.modules.pop(name, None)


def test_each_error_counts_once_and_by_its_kind(scoring):
    """A dropped object that two predictions find, a shifted one, and one that nothing finds."""
    error = scoring.LabelError
    errors = [error("dropped", 1, 1, 1), error("shifted", 1, 2), error("dropped", 2, 3, 3)]
    truth = scoring.Truth(errors, np.array([-1, 1, -1]), np.array([0, -1, 0, -1]))
    found = scoring.Suspicions(np.array([0.1, 0.4, 0.6]), np.array([0.7, 0.2, 0.9, 0.0]))
    assert scoring.precision(found, truth) == 2 / 50
    scoring.FIRST = 2  # the second prediction of the dropped object is skipped
    assert scoring.precision(found, truth) == 1 / 2
    # shifted 0.4 against the annotations 0.1 and 0.6; dropped 0.9 and 0 against 0.2 and 0
    assert scoring.auc(found, truth, ["shifted"]) == 0.5
    assert scoring.auc(found, truth, ["dropped"]) == pytest.approx((1 + 0.25) / 2)
    # all kinds against 0.1 0.6 0.2 0
    assert scoring.auc(found, truth, scoring.KINDS) == pytest.approx((1 + 3 / 4 + 1 / 8) / 3)
    assert np.isnan(scoring.auc(found, truth, ["eroded"]))
