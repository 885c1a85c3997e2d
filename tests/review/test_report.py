"""The files of a review and of unlabeled images."""

import csv
import json

import pytest
from pycocotools.coco import COCO

from maskrcnn_benchmark.predict.results_file import load_results_file
from maskrcnn_benchmark.review.findings import review_labels
from maskrcnn_benchmark.review.report import write_review
from maskrcnn_benchmark.review.unlabeled import doubt, order_images, write_unlabeled
from maskrcnn_benchmark.utils.user_error import UserError
from tests.review.world import CAT, DOG, World, annotation, prediction

BOX, OTHER = (4, 4, 10, 10), (30, 20, 10, 10)
HOSTILE = "=1+1,\"<b>\n;'é.png"
NOT_UTF8 = "<i>,\udcff.png"  # as Python reads the byte 255


@pytest.fixture
def world(tmp_path):
    annotations = [
        annotation("a7", "x", (4, 4, 10, 5)),
        annotation(10**12, 2, OTHER, DOG),
    ]
    del annotations[0]["area"]
    predictions = [prediction("x", BOX), prediction(2, OTHER), prediction(2, BOX, score=0.5)]
    return World(tmp_path, annotations, predictions, names={"x": HOSTILE, 2: "2.png"})


def write(world, **options):
    coco, detected = world.read()
    found = review_labels(coco, detected)
    return write_review(
        found, coco, detected, world.images, world.output, title="Review", **options
    )


def rows_of(path):
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        return list(csv.DictReader(file))


def test_ids_and_names_are_those_of_the_file(world):
    world.draw()
    write(world)
    found = json.loads((world.output / "findings.json").read_text())
    assert [(row["kind"], row["image_id"], row["annotation_id"]) for row in found] == [
        ("poor mask", "x", "a7"),
        ("wrong class", 2, 10**12),
        ("missing object", 2, None),
    ]
    poor, wrong, missing = found
    assert (wrong["category"], wrong["predicted_category"]) == ("dog", "cat")
    assert (wrong["rank"], wrong["annotation_number"], wrong["bbox"]) == (2, 2, list(OTHER))
    assert (missing["category"], missing["bbox"]) == (None, list(BOX))
    assert poor["file_name"] == HOSTILE
    assert poor["segmentation"] == prediction("x", BOX)["segmentation"]
    assert [poor[key] for key in ("score", "mask_iou", "mask_score")] == pytest.approx(
        [0.9, 0.8, 0.72]
    )


def test_the_csv_is_read_back_as_it_was_whatever_the_names(world):
    world.draw()
    write(world)
    rows = rows_of(world.output / "findings.csv")
    assert [row["file_name"] for row in rows] == [HOSTILE, "2.png", "2.png"]
    assert [row["annotation_id"] for row in rows] == ["a7", str(10**12), ""]
    assert rows[0]["bbox"] == "4 4 10 5"
    assert float(rows[1]["suspicion"]) == pytest.approx(0.72)
    assert "segmentation" not in rows[0]


def test_the_page_shows_the_first_and_escapes_names(world):
    world.draw()
    page = write(world, top=1).read_text()
    assert page.count("<img") == 1
    assert "The first 1 of 3" in page
    page = write(world).read_text()
    assert page.count("<img") == 3
    assert "<b>\n" not in page
    assert "&lt;b&gt;" in page
    assert page.index("poor mask, suspicion 0.89") < page.index("wrong class, suspicion 0.72")
    assert "annotation id &#x27;a7&#x27; (cat)" in page


def test_the_page_warns_of_a_model_that_finds_little(tmp_path):
    annotations = [annotation(1, 1, BOX), annotation(2, 2, BOX), annotation(3, 2, OTHER)]
    for predictions, warns in (([], True), ([prediction(1, BOX), prediction(2, BOX)], False)):
        world = World(tmp_path, annotations, predictions)
        coco, detected = world.read()
        review = review_labels(coco, detected)
        page = write_review(review, coco, detected, world.images, world.output, title="", top=0)
        assert ("finds only 0 % of the annotated objects" in page.read_text()) == warns


def test_nothing_suspicious_is_a_page_too(tmp_path):
    world = World(tmp_path, [], [])
    assert "Nothing is suspicious" in write(world).read_text()
    assert rows_of(world.output / "findings.csv") == []
    assert (world.output / "findings.csv").read_text().startswith("rank,kind,suspicion")


def test_an_annotation_without_id_is_named_by_its_position(tmp_path):
    first = annotation(5, 1, BOX)
    nameless = {**annotation(None, 1, OTHER, DOG), "id": None}
    world = World(tmp_path, [first, nameless], [prediction(1, BOX), prediction(1, OTHER)])
    world.draw()
    assert "annotation number 2 (dog)" in write(world).read_text()
    (row,) = rows_of(world.output / "findings.csv")
    assert (row["annotation_id"], row["annotation_number"]) == ("", "2")


def test_a_missing_image_leaves_an_earlier_review_as_it_was(world):
    world.draw()
    page = write(world)
    before = page.read_text()
    (world.images / "2.png").unlink()
    with pytest.raises(UserError, match=r"2\.png"):
        write(world)
    assert page.read_text() == before


@pytest.mark.parametrize(
    ("scores", "expected"),
    [([], 1), ([0.0], 1), ([1.0], 0), ([0.5], 0.5), ([0.9, 0.1], 0.18), ([1.2, -0.3], 0)],
)
def test_doubt_is_the_share_that_is_expected_to_be_wrong(scores, expected):
    assert doubt(scores) == pytest.approx(expected)


@pytest.fixture
def unlabeled(tmp_path):
    rows = [
        {**prediction(image, box, **scores), "id": number, "bbox": list(box), "area": 100}
        for number, (image, box, scores) in enumerate(
            [
                (4, BOX, {"score": 1.0, "mask_iou": 0.9}),
                (9, BOX, {"score": 0.9, "mask_iou": 0.7}),
                (9, OTHER, {"score": 0.9, "mask_iou": 0.3, "category_id": DOG}),
            ],
            11,
        )
    ]
    world = World(tmp_path, rows, [], names={4: "sure.png", 9: NOT_UTF8, 5: "empty.png"})
    world.draw()
    return world


def test_the_most_doubtful_image_comes_first_with_its_own_id(unlabeled):
    doubts = order_images(unlabeled.ann_file)
    write_unlabeled(doubts, unlabeled.ann_file, unlabeled.images, unlabeled.output)
    rows = rows_of(unlabeled.output / "order.csv")
    assert [(row["image_id"], row["objects"]) for row in rows] == [
        ("5", "0"),
        ("9", "1"),
        ("4", "1"),
    ]
    assert [row["file_name"] for row in rows] == ["empty.png", NOT_UTF8, "sure.png"]
    listed = json.loads((unlabeled.output / "order.json").read_text())
    assert [row["doubt"] for row in listed] == pytest.approx([1, 0.478, 0.1], abs=1e-3)
    assert (unlabeled.output / "index.html").read_text().count("<img") == 3


def test_predictions_above_the_threshold_are_annotations_to_start_from(unlabeled):
    doubts = order_images(unlabeled.ann_file)
    write_unlabeled(
        doubts, unlabeled.ann_file, unlabeled.images, unlabeled.output, threshold=0.63, top=1
    )
    path = unlabeled.output / "pre_annotations.json"
    coco = COCO(path)
    assert [image["id"] for image in coco.dataset["images"]] == [5, 9, 4]
    assert [(one["id"], one["category_id"]) for one in coco.dataset["annotations"]] == [
        (11, CAT),
        (12, CAT),
    ]
    assert coco.annToMask(coco.anns[12]).sum() == 100
    assert [len(found) for _, found in load_results_file(path)] == [0, 1, 1]
    assert (unlabeled.output / "index.html").read_text().count("<img") == 1


def test_a_file_without_images_gives_empty_files(tmp_path):
    path = tmp_path / "none.json"
    path.write_text(json.dumps({"images": [], "categories": [], "annotations": []}))
    page = write_unlabeled(order_images(path), path, tmp_path, tmp_path / "output")
    assert "There are no images" in page.read_text()
    assert rows_of(tmp_path / "output" / "order.csv") == []
