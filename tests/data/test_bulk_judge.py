"""Annotations validated together are what validating each of them gives."""

import json

import pytest
from hypothesis import HealthCheck, given, settings

from maskrcnn_benchmark.data.coco_json.annotation_columns import PackedAnnotations
from maskrcnn_benchmark.data.coco_json.bulk import BulkJudge
from maskrcnn_benchmark.data.coco_json.entries import judge_categories, judge_images
from maskrcnn_benchmark.data.coco_json.judge import Judge
from tests.data.fuzz import base


def judged(content):
    """Return what bulk validation gives, and the records and problems of validation one by one."""
    images, _ = judge_images(content["images"])
    categories, _ = judge_categories(content["categories"])
    problems = []
    judge = Judge(images, categories, problems)
    entries = content["annotations"]
    records = [judge.annotation(entry, n) for n, entry in enumerate(entries, 1)]
    return BulkJudge(images, categories).annotations(entries), images, records, problems


def assert_equal(bulk, images, records, problems):
    assert problems == []
    packed = PackedAnnotations([bulk.block])
    assert repr(list(packed)) == repr(records)  # the types of numbers and the order of keys too
    assert repr([packed[row] for row in range(len(packed))]) == repr(records)
    image_ids = [image["id"] for image in images.records]
    assert [image_ids[row] for row in bulk.rows] == [record["image_id"] for record in records]
    assert bulk.boxes.tolist() == [record["bbox"] for record in records]
    assert bulk.is_crowd.tolist() == [record["iscrowd"] == 1 for record in records]
    assert bulk.has_mask.tolist() == [record["segmentation"] is not None for record in records]


def without(key):
    return lambda entries: [entry.pop(key) for entry in entries]


def first(**change):
    return lambda entries: entries[0].update(change)


USUAL = {
    "nothing": lambda entries: None,
    "no crowds": without("iscrowd"),
    "no areas": without("area"),
    "no masks": without("segmentation"),
    "no mask": first(segmentation=[]),
    "ids as text": first(id="a"),
    "all ids as text": lambda entries: [entry.update(id=f"名 {entry['id']}") for entry in entries],
    "id twice": first(id=2),
    "floats": first(bbox=[1.5, 2, -3.25, 1e7], area=2.5),
    "two polygons": first(segmentation=[[1, 2, 3, 4, 5, 6.5], [-60, 0, 100, 0, 9, 9]]),
    "none": lambda entries: entries.clear(),
}
UNUSUAL = {
    "not an object": lambda entries: entries.append([]),
    "text": lambda entries: entries.append("bbox"),
    "no box": without("bbox"),
    "unknown image": first(image_id=4),
    "image id of another type": first(image_id=3.0),
    "image id a list": first(image_id=[3]),
    "unknown category": first(category_id=1),
    "category id true": first(category_id=True),
    "id of many digits": first(id=2**63),
    "box of truths": first(bbox=[1, 2, True, 4]),
    "box of text": first(bbox=[1, 2, "3", 4]),
    "box of three": first(bbox=[1, 2, 3]),
    "box of NaN": first(bbox=[1, 2, float("nan"), 4]),
    "box far away": first(bbox=[1, 2, 1.1e7, 4]),
    "box of many digits": first(bbox=[1, 2, 10**400, 4]),
    "crowd true": first(iscrowd=True),
    "crowd 2": first(iscrowd=2),
    "area negative": first(area=-1),
    "area NaN": first(area=float("nan")),
    "area missing": first(area=None),
    "area too large": first(area=1.1e10),
    "a box as mask": first(segmentation=[1, 2, 3, 4]),
    "mask of text": first(segmentation=[[1, 2, 3, 4, 5, "6"]]),
    "mask of truths": first(segmentation=[[1, 2, 3, 4, 5, True]]),
    "mask of NaN": first(segmentation=[[1, 2, 3, 4, 5, float("nan")]]),
    "two vertices": first(segmentation=[[1, 2, 3, 4]]),
    "odd coordinates": first(segmentation=[[1, 2, 3, 4, 5, 6, 7]]),
    "vertex far right": first(segmentation=[[1, 2, 3, 4, 121, 6]]),
    "vertex far left": first(segmentation=[[1, 2, 3, 4, -61, 6]]),
    "broken RLE": first(segmentation={"size": [40, 60], "counts": [7]}),
}


@pytest.mark.parametrize("kind", USUAL)
def test_usual_annotations_are_taken(kind):
    content = base.make_base()
    USUAL[kind](content["annotations"])
    assert_equal(*judged(content))


@pytest.mark.parametrize("kind", UNUSUAL)
def test_anything_unusual_is_left_to_the_judge(kind):
    content = base.make_base()
    UNUSUAL[kind](content["annotations"])
    assert judged(content)[0] is None


def with_keypoints(value):
    """Return annotations of a category with two keypoints, among others; ``value`` is the first."""
    content = base.make_base()
    content["categories"][0] |= {"keypoints": ["head", "tail"], "skeleton": [[1, 2]]}
    for number, entry in enumerate(content["annotations"]):
        if entry["category_id"] == 7:
            entry["keypoints"] = [number, 2, number % 3, 5.5, 6, 1]
    content["annotations"][0]["keypoints"] = value
    return content


@pytest.mark.parametrize("value", [None, [], [0] * 6, [1, 2, 2, 3, 4.5, 0], [-9, 0, 0, 0, 1e7, 1]])
def test_usual_keypoints_are_taken(value):
    bulk, *others = judged(with_keypoints(value))
    assert_equal(bulk, *others)
    assert sum("keypoints" in record for record in PackedAnnotations([bulk.block])) == 6


@pytest.mark.parametrize(
    "value",
    [
        *("", {}, 0, [1, 2, 2], [1, 2, 2] * 3, [1, 2, 3, 4, 5, 1], [1, 2, 0.5, 4, 5, 1]),
        *([1, 2, True, 4, 5, 1], ["1", 2, 2, 4, 5, 1], [float("nan"), 2, 2, 4, 5, 1]),
        *([1e8, 2, 2, 4, 5, 1], [[1], 2, 2, 4, 5, 1]),
    ],
)
def test_unusual_keypoints_are_left_to_the_judge(value):
    assert judged(with_keypoints(value))[0] is None


@settings(
    max_examples=300,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(text=base.mutated())
def test_what_is_taken_is_right_for_any_json(text):
    try:
        content = json.loads(text)
        lists = [content[key] for key in ("images", "categories", "annotations")]
    except (ValueError, KeyError, TypeError, RecursionError):
        return
    if not all(type(entries) is list for entries in lists):
        return
    bulk, *others = judged(content)
    if bulk is not None:
        assert_equal(bulk, *others)
