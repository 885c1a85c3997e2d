"""A data set with one defect of each kind: each is reported once, with its id."""

import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from pycocotools import mask as coco_mask

from maskrcnn_benchmark.data.coco_json.problems import Problem
from maskrcnn_benchmark.data.inspection import inspect_coco, summary, write_report
from tests.data.helpers import square, write_coco

WIDTH, HEIGHT = 60, 40


def _good(x: float = 10, y: float = 10, side: float = 20, **more: object) -> dict:
    return {**square(x, y, side), "area": side * side, **more}


def _rle(x: int, y: int, side: int) -> dict:
    pixels = np.zeros((HEIGHT, WIDTH), np.uint8)
    pixels[y : y + side, x : x + side] = 1
    rle = coco_mask.encode(np.asfortranarray(pixels))
    return {"size": rle["size"], "counts": rle["counts"].decode()}


def _without(key: str) -> dict:
    return {k: v for k, v in _good().items() if k != key}


def _inspect(folder: Path, annotations: list[dict], **change: object) -> list[Problem]:
    """Return the problems of an image with valid annotations and these, from id 3 on."""
    sound = [_good(), _good(30, 10, 10, category_id=7)]
    path, root = write_coco(folder, [(WIDTH, HEIGHT, sound + annotations)])
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, **change}))
    return inspect_coco(path, root).problems


ERRORS = {
    "malformed box": _good(bbox=[1, 2, float("nan"), 4]),
    "unknown image": _good(image_id=99),
    "unknown category": _good(category_id=99),
    "annotation entry": _without("bbox"),
    "malformed mask": _good(segmentation=[[1, 2, 3, float("inf"), 5, 6]]),
    "malformed iscrowd": _good(segmentation=_rle(10, 10, 20), iscrowd=2),
    "malformed area": _good(area="large"),
    "polygon far outside": _good(segmentation=[[10, 10, 1e9, 10, 30, 30]]),
    "broken RLE": _good(
        segmentation={**_rle(10, 10, 20), "counts": _rle(10, 10, 20)["counts"][:-2]}
    ),
}
WARNINGS = {
    "box without area": _good(bbox=[10, 10, 0, 20]),
    "box outside its image": _good(bbox=[70, 10, 20, 20], segmentation=[]),
    "box of a pixel or less inside its image": _good(bbox=[59, 10, 20, 20], segmentation=[]),
    "box beyond its image": _good(
        bbox=[50, 10, 20, 20], segmentation=[[50, 10, 60, 10, 60, 30, 50, 30]], area=200
    ),
    "box elsewhere than the mask": _good(bbox=[40, 10, 10, 10]),
    "box unlike the mask": _good(bbox=[10, 10, 24, 20]),
    "no mask": _good(segmentation={"size": [HEIGHT, WIDTH], "counts": [WIDTH * HEIGHT]}),
    "short polygon": _good(segmentation=[_good()["segmentation"][0], [1, 1, 2, 2]]),
    "polygon beyond its image": _good(40, 10, 20, segmentation=[[40, 10, 65, 10, 65, 30, 40, 30]]),
    "polygon without area": _good(
        segmentation=[_good()["segmentation"][0], [12, 12, 20, 20, 28, 28]]
    ),
    "empty mask": _good(segmentation=[[12, 12, 20, 20, 28, 28]]),
    "area unlike the mask": _good(area=100),
    "no area": _good(area=None),
    "no iscrowd": _without("iscrowd"),
    "crowd with polygons": _good(iscrowd=1),
    "odd annotation id": _good(id=0),
    "duplicate annotation": _good(),
}
DEFECTS = ERRORS | WARNINGS


@pytest.mark.parametrize("kind", DEFECTS)
def test_each_defect_is_reported_with_its_id(tmp_path: Path, kind: str) -> None:
    annotation = DEFECTS[kind]
    problems = _inspect(tmp_path, [annotation])
    found = [p for p in problems if p.kind == kind]
    assert len(found) == 1, problems
    number = annotation.get("id", 3)
    assert (found[0].annotation_id, found[0].number) == (number, 3)
    assert f"annotation id {number}" in found[0].text
    assert found[0].severity == ("error" if kind in ERRORS else "warning")


def test_a_duplicate_id_is_reported_for_both(tmp_path: Path) -> None:
    problems = _inspect(tmp_path, [_good(12, 12, 10, id=2)])
    assert [(p.kind, p.annotation_id, p.number) for p in problems] == [
        ("annotation id twice", 2, 2),
        ("annotation id twice", 2, 3),
    ]


def test_a_valid_data_set_has_no_problems(tmp_path: Path) -> None:
    more = [
        _good(segmentation=_rle(10, 10, 20)),
        _good(5, 5, 12, segmentation=_rle(5, 5, 12), iscrowd=1),
        _good(-0.5, 5, 12),
    ]
    assert _inspect(tmp_path, more) == []


def test_all_problems_of_all_annotations_at_once(tmp_path: Path) -> None:
    two = _good(category_id=99, bbox=[1, 2, 3])
    problems = _inspect(tmp_path, [two, DEFECTS["broken RLE"], DEFECTS["no mask"]])
    assert [(p.annotation_id, p.kind) for p in problems] == [
        (3, "unknown category"),
        (3, "malformed box"),
        (4, "broken RLE"),
        (5, "no mask"),
    ]


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ("0" * 5, "add up to"),
        ("\x20\x21", "character ' '"),
        ("o", "truncated"),
        ([5, -5, WIDTH * HEIGHT], "range from -5"),
        ([1.5, 2], "non-negative integers"),
        ([10**400], "range from 1000"),
        ([True, WIDTH * HEIGHT - 1], "non-negative integers"),
        (None, "neither a list nor a string"),
        ("b'" + _rle(10, 10, 20)["counts"] + "'", "the repr of bytes"),
        ("oooooooo0", "more than 32 bits"),
        ([10, 10], "add up to 20, not to the 2400 pixels"),
        (17, "neither a list nor a string"),
    ],
)
def test_broken_run_lengths(tmp_path: Path, counts: object, message: str) -> None:
    mask = {"size": [HEIGHT, WIDTH], "counts": counts}
    (problem,) = _inspect(tmp_path, [_good(segmentation=mask)])
    assert problem.kind == "broken RLE"
    assert message in problem.text


def test_run_lengths_of_random_masks_are_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    masks = []
    for i in range(20):
        pixels = np.asfortranarray(rng.random((HEIGHT, WIDTH)) < (i + 1) / 21).astype(np.uint8)
        pixels[[0, -1]] = pixels[:, [0, -1]] = 1
        rle = coco_mask.encode(np.asfortranarray(pixels))
        masks.append(
            _good(
                bbox=[0, 0, WIDTH, HEIGHT],
                area=int(pixels.sum()),
                segmentation={"size": rle["size"], "counts": rle["counts"].decode()},
            )
        )
    assert _inspect(tmp_path, masks) == []


def test_images_and_categories(tmp_path: Path) -> None:
    path, root = write_coco(tmp_path, [(WIDTH, HEIGHT, [_good()])] * 7)
    content = json.loads(path.read_text())
    images = {image["id"]: image for image in content["images"]}
    name = {number: root / image["file_name"] for number, image in images.items()}
    name[10].unlink()
    whole = name[20].read_bytes()
    name[20].write_bytes(whole[: len(whole) // 2])
    images[30]["width"] = 61
    exif = Image.Exif()
    exif[0x0112] = 6
    # image 40 is rotated as annotated, image 50 is not
    for number, size in ((40, (HEIGHT, WIDTH)), (50, (WIDTH, HEIGHT))):
        images[number]["file_name"] = f"{number}.jpg"
        Image.new("RGB", size).save(root / f"{number}.jpg", exif=exif)
    images[60]["file_name"] = images[70]["file_name"]
    content["images"] += [images[70], {"id": 80}, "what", {**images[70], "id": 90, "height": 0}]
    content["categories"] += [
        {"id": 7, "name": "twice"},
        {"name": "no id"},
        {"id": 8, "name": "cat"},
    ]
    path.write_text(json.dumps(content))
    inspection = inspect_coco(path, root)
    found = [(p.severity, p.kind, p.image_id) for p in inspection.problems if p.image_id]
    assert sorted(found) == [
        ("error", "image entry", 80),
        ("error", "image entry", 90),
        ("error", "image id twice", 70),
        ("error", "missing file", 10),
        ("error", "size unlike the file's", 30),
        ("error", "unreadable file", 20),
        ("warning", "EXIF orientation", 50),
        ("warning", "file used twice", 70),
    ]
    of_kind = {p.kind: p.text for p in inspection.problems}
    assert "orientation 6" in of_kind["EXIF orientation"]
    entries = [p.text for p in inspection.problems if p.kind == "image entry"]
    for text, part in zip(
        entries,
        ("{'id': 80}", "'what'", "image id 90: height 0, width 60 must be whole"),
        strict=True,
    ):
        assert part in text
    assert "category id 7 occurs twice" in of_kind["category id twice"]
    assert "'no id'" in of_kind["category entry"]
    assert "'cat' occurs 2 times" in of_kind["category name twice"]
    unused = [p.text for p in inspection.problems if p.kind == "unused category"]
    assert unused == [
        "category id 7 (dog) has no annotation",
        "category id 8 (cat) has no annotation",
    ]


def test_the_report(tmp_path: Path) -> None:
    annotations = list(DEFECTS.values())
    images = [(WIDTH, HEIGHT, annotations), (WIDTH, HEIGHT, [_good()]), (WIDTH, HEIGHT, [])]
    path, root = write_coco(tmp_path, images)
    (root / "stray.png").write_bytes(b"")
    inspection = inspect_coco(path, root)
    report = write_report(inspection, root, tmp_path / "new" / "out", title="the title")
    page = report.read_text()
    assert page.startswith("# the title\n")
    for row in (
        "| images without annotations | 1, the first ids are [10]",
        "files without an entry     | 1 ",
    ):
        assert row in page
    assert summary(inspection) in page
    assert inspection.empty_images() == [10]
    lines = (report.parent / "problems.csv").read_text().splitlines()
    assert len(lines) >= 1 + len(inspection.problems)
    for name in ("histograms.png", "overlays.png", "problems.png"):
        assert Image.open(report.parent / name).size[0] > 300
        assert f"({name})" in page


def test_an_empty_data_set_and_boxes_alone_have_a_report(tmp_path: Path) -> None:
    path, root = write_coco(tmp_path, [(WIDTH, HEIGHT, [])])
    report = write_report(inspect_coco(path, root), root, tmp_path / "a", title="empty")
    assert not (report.parent / "overlays.png").exists()
    boxes = [_without("segmentation"), {**_good(), "category_id": 7, "segmentation": []}]
    path, root = write_coco(tmp_path, [(WIDTH, HEIGHT, boxes)])
    inspection = inspect_coco(path, root)
    assert inspection.problems == []
    write_report(inspection, root, tmp_path / "b", title="boxes")
    assert (tmp_path / "b" / "overlays.png").exists()


def test_names_that_look_like_markup_are_shown_as_they_are_written(tmp_path):
    names = ["$\\frac{$", "a\nb|<b>_c_"]
    sound = [_good(), _good(30, 10, 10, category_id=7)]
    path, root = write_coco(tmp_path, [(WIDTH, HEIGHT, sound)])
    content = json.loads(path.read_text(encoding="utf-8"))
    for category, name in zip(content["categories"], names, strict=True):
        category["name"] = name
    image = content["images"][0]
    (root / image["file_name"]).rename(root / "$x$.png")
    image["file_name"] = "$x$.png"
    path.write_text(json.dumps(content), encoding="utf-8")
    report = write_report(inspect_coco(path, root), root, tmp_path / "out", title="a_b_*c*.json")
    page = report.read_text(encoding="utf-8")
    assert page.startswith("# a\\_b\\_\\*c\\*.json\n")
    rows = [[cell.strip() for cell in line[2:-2].split(" | ")] for line in page.splitlines()]
    shown = [row[1] for row in rows if len(row) == 4][-2:]
    assert shown == ["\\$\\\\frac{\\$", "a b\\|\\<b\\>\\_c\\_"]
    assert Image.open(tmp_path / "out" / "histograms.png").size[0] > 300


@pytest.mark.parametrize("sides", [(20, 25), (5, 35)])
def test_sizes_have_numbers_without_markup(sides, tmp_path, monkeypatch):
    saved, save = [], Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda f, *a, **k: saved.append(f) or save(f, *a, **k))
    sound = [_good(2, 2, side, category_id=7) for side in sides]
    path, root = write_coco(tmp_path, [(WIDTH, HEIGHT, sound)])
    write_report(inspect_coco(path, root), root, tmp_path / "out", title="")
    axis = saved[0].axes[1].xaxis
    texts = [text.get_text() for text in axis.get_ticklabels(which="both")]
    assert any(text.isdigit() for text in texts)
    assert not any("$" in text for text in texts)
