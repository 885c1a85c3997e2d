"""Comparison of two result files, from the command line to the page."""

import json
import math

import numpy as np
import pytest
from PIL import Image

from maskrcnn_benchmark.evaluation.comparison import AP_METRICS
from maskrcnn_benchmark.report.annotations import read_annotations
from maskrcnn_benchmark.report.comparison import (
    Settings,
    compare_results,
    names_of,
    read_model,
    write_comparison,
)
from maskrcnn_benchmark.report.comparison.results import common_tasks
from maskrcnn_benchmark.structures.rle import encode_rle
from maskrcnn_benchmark.tools import compare as tool
from maskrcnn_benchmark.utils.user_error import UserError

WIDTH, HEIGHT = 48, 40
IMAGES = range(3, 15)  # 12 of them
NAMES = {7: "cat", 2: "dog & <b>", 9: "never"}
BOX = (8, 6, 20, 24)  # of every object


def segmentation(x, y, width, height):
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[y : y + height, x : x + width] = 1
    return encode_rle(mask)


def annotation(number, image_id, category_id, **more):
    x, y, width, height = BOX
    outline = [[x, y, x + width, y, x + width, y + height, x, y + height]]
    common = {"id": number, "image_id": image_id, "category_id": category_id, "iscrowd": 0}
    return {**common, "bbox": list(BOX), "area": width * height, "segmentation": outline, **more}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Return a folder with annotations and images: a cat in each, a dog in three."""
    folder = tmp_path_factory.mktemp("data")
    rows = [annotation(100 + i, i, 7) for i in IMAGES] + [annotation(i, i, 2) for i in (3, 4, 5)]
    content = {
        "images": [
            {"id": i, "file_name": f"{i}.png", "width": WIDTH, "height": HEIGHT} for i in IMAGES
        ],
        "categories": [{"id": i, "name": name} for i, name in NAMES.items()],
        "annotations": rows,
    }
    (folder / "annotations.json").write_text(json.dumps(content))
    for i in IMAGES:
        Image.new("RGB", (WIDTH, HEIGHT), (90, 20 * (i - 3), 90)).save(folder / f"{i}.png")
    return folder


def detections(shift=0, *, without=(), score=0.9, mask_iou=0.5):
    """Return the rows of boxes and of masks: one for every cat, moved to the right by pixels."""
    x, y, width, height = BOX
    boxes, masks = [], []
    for i in IMAGES:
        if i in without:
            continue
        ids = {"image_id": i, "category_id": 7}
        boxes.append({**ids, "bbox": [x + shift, y, width, height], "score": score - i / 1000})
        mask = {**ids, "segmentation": segmentation(x + shift, y, width, height)}
        own = boxes[-1]["score"]
        masks.append(
            {**mask, "score": own}
            if mask_iou is None
            else {**mask, "score": own * mask_iou, "mask_iou": mask_iou}
        )
    return boxes, masks


def write(folder, rows):
    folder.mkdir(parents=True, exist_ok=True)
    for name, part in zip(("bbox", "segm"), rows, strict=True):
        if part is not None:
            (folder / f"{name}.json").write_text(json.dumps(part))
    return folder


@pytest.fixture
def compared(data, tmp_path):
    """Return a function that compares two sets of rows and gives the JSON and the page."""

    def compare(a, b, *more):
        folders = [write(tmp_path / name, rows) for name, rows in (("first", a), ("second", b))]
        arguments = [*map(str, folders), "--annotations", str(data / "annotations.json")]
        output = tmp_path / "out"
        tool.main([*arguments, "--output", str(output), "--resamples", "20", *more])
        page = (output / "comparison.html").read_text(encoding="utf-8")
        return json.loads((output / "comparison.json").read_text(encoding="utf-8")), page

    return compare


def test_a_better_model_by_boxes_and_by_masks_of_both_rankings(compared, data, capsys):
    found, page = compared(
        detections(shift=4), detections(without=(5,)), "--images", str(data), "--pictures", "3"
    )
    assert list(found["tasks"]) == ["bbox", "segm", "segm_by_class_score"]
    for task in found["tasks"].values():
        assert list(task["overall"]) == list(AP_METRICS)
        cat, dog, never = (task["per_class"][name]["AP"] for name in NAMES.values())
        # an IoU of 2/3 is a hit at 4 of 10 thresholds; 11 of 12 objects reach 92 of 101 recalls
        assert cat["a"] == pytest.approx(0.4)
        assert cat["b"] == pytest.approx(92 / 101)
        assert (cat["images"], cat["verdict"]) == (12, "B")
        assert cat["low"] < cat["difference"] < cat["high"]
        assert (dog["difference"], dog["images"], dog["verdict"]) == (0, 3, "few images")
        assert (dog["low"], dog["p_value"]) == (None, None)
        assert (never["a"], never["verdict"]) == (None, "no objects")
        assert task["overall"]["AP"]["b"] == pytest.approx(92 / 101 / 2)
    only = found["objects"]["a_is_better"]
    assert [(one["annotation_id"], one["image_id"], one["class"]) for one in only] == [
        (105, 5, "cat")
    ]
    assert only[0]["a"]["iou"] == pytest.approx(2 / 3)
    assert only[0]["a"]["mask_iou"] == 0.5
    assert only[0]["b"] == {"iou": 0}
    others = found["objects"]["b_is_better"]
    assert len(others) == 3
    assert all(one["b"]["iou"] == 1 and one["a"]["iou"] == pytest.approx(2 / 3) for one in others)
    assert page.count("data:image/jpeg") == 4
    assert page.count("data:image/svg") == 6  # metrics and classes of three tasks
    assert "dog &amp; &lt;b&gt;" in page
    assert "not found" in page
    assert "second is better" in capsys.readouterr().out
    assert "http" not in page.replace("http://www.w3.org", "")


def test_equal_results_do_not_differ(compared):
    found, page = compared(detections(shift=3), detections(shift=3))
    values = [
        one
        for task in found["tasks"].values()
        for one in [*task["overall"].values(), *(m["AP"] for m in task["per_class"].values())]
        if one["a"] is not None
    ]
    assert {one["difference"] for one in values} == {0}
    assert {one["verdict"] for one in values if one["images"] >= 10} == {"none"}
    assert found["objects"]["a_is_better"] == found["objects"]["b_is_better"] == []
    assert "No pictures" in page


def test_a_low_class_score_finds_no_object_in_the_pictures(compared):
    rows = (detections()[0], None), (detections(score=0.4)[0], None)
    found, _ = compared(*rows)
    assert len(found["objects"]["a_is_better"]) == 12
    assert found["tasks"]["bbox"]["overall"]["AP"]["difference"] == 0
    found, _ = compared(*rows, "--min-score", "0.1")
    assert found["objects"]["a_is_better"] == []


def test_a_model_without_mask_scores_is_ranked_by_class_score(compared):
    found, page = compared(detections(mask_iou=None), detections())
    assert list(found["tasks"]) == ["bbox", "segm", "segm_by_class_score"]
    assert "first has no mask scores" in page
    found, page = compared(detections(mask_iou=None), detections(mask_iou=None))
    assert {key: task["title"] for key, task in found["tasks"].items()} == {
        "bbox": "boxes",
        "segm": "masks ranked by the score of the file",
    }
    assert "has no mask scores" not in page


def test_boxes_alone(compared, data):
    rows = (detections(shift=4)[0], None), (detections()[0], None)
    found, page = compared(*rows, "--images", str(data), "--pictures", "2", "--names", "x", "y<")
    assert list(found["tasks"]) == ["bbox"]
    assert found["objects"]["iou"] == "bbox"
    assert (found["a"]["name"], found["b"]["name"]) == ("x", "y<")
    assert "y&lt; is better" in page
    assert page.count("data:image/jpeg") == 2


def test_one_class_has_no_table_of_classes(data, tmp_path):
    content = json.loads((data / "annotations.json").read_text())
    content["categories"] = content["categories"][:1]
    content["annotations"] = [a for a in content["annotations"] if a["category_id"] == 7]
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps(content))
    coco = read_annotations(path)
    a, b = (
        read_model(write(tmp_path / name, detections(shift)), name, coco)
        for name, shift in (("a", 0), ("b", 2))
    )
    comparison = compare_results(a, b, Settings(resamples=5))
    write_comparison(comparison, tmp_path / "out", images=None)
    page = (tmp_path / "out" / "comparison.html").read_text(encoding="utf-8")
    assert page.count("<table>") == 3


def test_what_cannot_be_compared_is_refused_in_one_line(compared, data, capsys):
    boxes, masks = detections()

    def error(*rows_and_options):
        with pytest.raises(SystemExit) as ended:
            compared(*rows_and_options)
        assert ended.value.code == 2
        return capsys.readouterr().err

    def fails(message, a, b, *options):
        text = error(a, b, *options)
        assert message in text
        assert text.count("\n") == 1

    fails("resamples is 1", (boxes, None), (boxes, None), "--resamples", "1")
    fails("pictures is -1", (boxes, None), (boxes, None), "--pictures", "-1")
    fails("images nowhere does not exist", (boxes, None), (boxes, None), "--images", "nowhere")
    fails("seed is -1", (boxes, None), (boxes, None), "--seed", "-1")
    other = [{**boxes[0], "image_id": 99}]
    fails("row 1: image_id 99 is not in the annotation file", (boxes, None), (other, None))
    fails("bbox [1, 2] is not", ([{**boxes[0], "bbox": [1, 2]}], None), (boxes, None))


def test_the_same_masks_are_ranked_by_both_scores(data, tmp_path):
    coco = read_annotations(data / "annotations.json")
    boxes, masks = detections(mask_iou=0.9)
    # every false positive has a higher class score than the object, and a poor mask
    more_boxes, more_masks = detections(shift=18, score=0.95, mask_iou=0.1)
    rows = (boxes + more_boxes, masks + more_masks)
    models = [read_model(write(tmp_path / name, rows), name, coco) for name in "ab"]
    comparison = compare_results(*models, Settings(resamples=3))
    aps = {task: one.overall["AP"].a for task, one in comparison.tasks.items()}
    assert aps["segm"] == pytest.approx(0.5)  # of two classes
    assert aps["segm_by_class_score"] == aps["bbox"] < 0.3


def test_boxes_and_masks_have_nothing_in_common(data, tmp_path):
    coco = read_annotations(data / "annotations.json")
    boxes, masks = detections()
    a = read_model(write(tmp_path / "a", (boxes, None)), "a", coco)
    b = read_model(write(tmp_path / "b", (None, masks)), "b", coco)
    with pytest.raises(ValueError, match="one has boxes only, the other masks only"):
        common_tasks(a, b)
    assert not b.has_class_scores
    with pytest.raises(FileNotFoundError, match="no bbox.json and no segm.json"):
        read_model(write(tmp_path / "c", (None, None)), "c", coco)


def test_files_of_other_systems_and_an_image_of_another_size(data, tmp_path):
    coco = read_annotations(data / "annotations.json")
    boxes, masks = detections(mask_iou=None)
    rows = [{**mask, "bbox": box["bbox"]} for mask, box in zip(masks, boxes, strict=True)]
    paths = [tmp_path / "other.json", tmp_path / "nothing.json"]
    for path, content in zip(paths, (rows, []), strict=True):
        path.write_text(json.dumps(content))
    a, b = (read_model(path, path.stem, coco) for path in paths)
    assert set(common_tasks(a, b)) == {"bbox", "segm"}
    comparison = compare_results(a, b, Settings(resamples=10))
    nothing = comparison.tasks["segm"].overall["AP"]
    assert (nothing.b, nothing.verdict) == (0, "A")
    assert not math.isnan(nothing.low)
    wrong = tmp_path / "images"
    wrong.mkdir()
    for i in IMAGES:
        Image.new("RGB", (9, 9)).save(wrong / f"{i}.png")
    with pytest.raises(UserError, match=r"has 9 x 9 pixels"):
        write_comparison(comparison, tmp_path / "out", images=wrong)
    assert not list((tmp_path / "out").glob("*"))


def test_names_are_the_last_part_in_which_the_paths_differ(tmp_path):
    runs = [tmp_path / name / "inference" / "val" for name in ("seed0", "seed1")]
    assert names_of(runs) == ["seed0", "seed1"]
    assert names_of([tmp_path / "a.json", tmp_path / "b.json"]) == ["a", "b"]
    assert names_of([runs[0], runs[0]]) == ["A", "B"]
    assert names_of([tmp_path / "a" / "val", tmp_path / "val"]) == ["a", tmp_path.name]
