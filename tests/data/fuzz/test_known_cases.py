"""Common irregular JSON files: how each is handled, and the correct AP."""

import json

import pytest
import torch

from maskrcnn_benchmark.data.datasets import COCODataset
from maskrcnn_benchmark.data.inspection import inspect_coco
from maskrcnn_benchmark.evaluation import evaluate_coco
from maskrcnn_benchmark.evaluation.proposal_recall import evaluate_box_proposals
from tests.data.fuzz import base


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("cases")
    base.write_images(made)
    return made


def evaluated(folder, content):
    """Return the results of the fixed detections, and the recall of their boxes as proposals."""
    path = folder / "case.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    assert inspect_coco(path, folder).num_errors == 0
    dataset = COCODataset(path, folder)
    assert [len(dataset[i][1]) for i in range(len(dataset))]
    infos = [dataset.get_img_info(index) for index in range(len(dataset))]
    found = [base.detections(info["file_name"], 2) for info in infos]
    results = evaluate_coco(dataset, found, iou_types=("bbox", "segm"))
    for boxes in found:
        boxes.add_field("objectness", boxes.get_field("scores"))
    recall = evaluate_box_proposals(dataset, found).ar
    return results.results, results.mask_quality, recall


def each(key, values):
    """Return a function that sets one annotation key to the given values in turn."""

    def change(content):
        for number, annotation in enumerate(content["annotations"]):
            annotation[key] = values[number % len(values)]

    return change


def without(key):
    return lambda content: [annotation.pop(key) for annotation in content["annotations"]]


def text_ids(content):
    for entry in content["images"]:
        entry["id"] = f"image {entry['id']}"
    for annotation in content["annotations"]:
        annotation["image_id"] = f"image {annotation['image_id']}"


def mixed_ids(content):
    """Change a file to have images 3 and "3"."""
    content["images"][1]["id"] = "3"
    for annotation in content["annotations"]:
        annotation["image_id"] = {6: "3"}.get(annotation["image_id"], annotation["image_id"])


def text_sizes(content):
    for entry in content["images"]:
        entry |= {"width": str(entry["width"]), "height": float(entry["height"])}


def crowd_texts(content):
    for annotation in content["annotations"]:
        annotation["iscrowd"] = [str(annotation["iscrowd"]), bool(annotation["iscrowd"])][
            annotation["id"] % 2
        ]


def many_polygons(content):
    first = content["annotations"][0]
    first["segmentation"] = first["segmentation"] * 300


def zero_runs(content):
    rle = content["annotations"][5]["segmentation"]
    rle["counts"] = [part for count in rle["counts"] for part in (count - 1, 0, 1)]


SAME = {
    "ids repeated": each("id", [5]),
    "ids from 0": each("id", range(8)),
    "ids of any type": each("id", [None, "a", [1], 0, 2.5, True, {}, 7]),
    "no ids": without("id"),
    "areas missing": each("area", [None, float("nan")]),
    "no areas": without("area"),
    "areas as text": lambda content: [
        a.update(area=str(a["area"])) for a in content["annotations"]
    ],
    "crowds as text": crowd_texts,
    "text ids": text_ids,
    "ids of mixed type": mixed_ids,
    "sizes as text": text_sizes,
    "300 polygons": many_polygons,
    "runs of nothing": zero_runs,
    "name a number": lambda content: content["categories"][0].update(name=7),
    "names alike": lambda content: content["categories"][0].update(name="dog"),
    "bytes of a mark": lambda content: b"\xef\xbb\xbf" + json.dumps(content).encode(),
}


@pytest.mark.parametrize("kind", SAME)
def test_results_equal_those_of_the_clean_file(folder, kind):
    content = base.make_base()
    changed = SAME[kind](content)
    found = evaluated(folder, changed if isinstance(changed, bytes) else content)
    results, quality, recall = evaluated(folder, base.make_base())
    assert found[0] == results
    for group, values in quality.items():
        assert found[1][group] == pytest.approx(values, nan_ok=True)
    assert found[2] == recall > 0


def test_an_instance_without_a_mask_is_ignored_where_masks_are_evaluated(folder):
    """For segm it counts as a crowd with its box; bbox is unaffected."""
    content = base.make_base()
    content["annotations"][1]["segmentation"] = []
    results, _, recall = evaluated(folder, content)
    clean, _, clean_recall = evaluated(folder, base.make_base())
    content = base.make_base()
    content["annotations"][1]["iscrowd"] = 1
    crowd, _, _ = evaluated(folder, content)
    assert results["bbox"] == clean["bbox"] != crowd["bbox"]
    assert results["segm"] == crowd["segm"] != clean["segm"]
    assert recall == clean_recall


@pytest.mark.parametrize("box", [[30, 10, 0, 24], [70, 10, 24, 24], [30, 10, 1, 24]])
def test_a_box_that_is_not_learned_is_ignored(folder, box):
    content = base.make_base()
    content["annotations"][1]["bbox"] = box
    results, _, _ = evaluated(folder, content)
    content["annotations"][1]["iscrowd"] = 1
    assert evaluated(folder, content)[0] == results


def set_first(**change):
    return lambda content: content["annotations"][0].update(change)


RLE = base.make_base()["annotations"][4]["segmentation"]
REFUSED = {
    "iscrowd of another kind": (set_first(iscrowd=[]), r"id 1: iscrowd \[\]"),
    "area of another kind": (set_first(area="large"), "id 1: area 'large'"),
    "area infinite": (set_first(area=float("inf")), "id 1: area inf"),
    "a box of 400 digits": (set_first(bbox=[10**400, 1, 2, 3]), r"id 1: bbox \[1000"),
    "a box of truths": (set_first(bbox=[True, 1, 2, 3]), r"id 1: bbox \[True"),
    "runs short of the image": (
        set_first(segmentation={"size": [40, 60], "counts": [10, 20]}),
        "id 1: RLE counts add up to 30, not to the 2400",
    ),
    "text of bytes": (
        set_first(segmentation={"size": [40, 60], "counts": f"b'{RLE['counts']}'"}),
        "id 1: .*the repr of bytes",
    ),
    "a crowd of swapped size": (
        set_first(iscrowd=1, segmentation={"size": [60, 40], "counts": [0, 2400]}),
        r"id 1: RLE size must be \[40, 60\]",
    ),
    "a vertex far outside": (
        set_first(segmentation=[[208543216.0, 352186880.0, 4, 5, 6, 7]]),
        "id 1: a polygon reaches 3.52187e.08 pixels beyond",
    ),
    "a mask as text": (set_first(segmentation="x"), "id 1: segmentation 'x'"),
    "an image id as text": (set_first(image_id="3"), "id 1: there is no image id '3'"),
    "true as an id": (lambda content: content["images"][0].update(id=True), "'id': True"),
    "all crowd": (each("iscrowd", [1]), r"nothing is left to learn: 0 of 8 .*8 \(crowd\)"),
    "boxes of zeros": (each("bbox", [[0, 0, 0, 0]]), r"0 of 8 .*7 \(box without area\)"),
    "normalized": (each("bbox", [[0.1, 0.2, 0.3, 0.4]]), "look normalized to 0..1"),
    "name null": (lambda content: content["categories"][0].update(name=None), "id 7: name None"),
    "name a list": (lambda content: content["categories"][0].update(name=[]), "id 7: name"),
    "image size": (lambda content: content["images"][0].update(width="wide"), "width 'wide'"),
    "image size half": (lambda content: content["images"][0].update(width=60.5), "width 60.5"),
    "UTF-16": (lambda content: json.dumps(content).encode("utf-16"), "it is UTF-16"),
    "Latin-1": (lambda content: b'{"images": "\xe9"}', "byte 0xe9 at 12 is not UTF-8"),
    "nested": (lambda content: b"[" * 99999, "nested too deep"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_it_is_refused_in_one_line_everywhere(folder, kind):
    change, message = REFUSED[kind]
    content = base.make_base()
    changed = change(content)
    path = folder / "case.json"
    path.write_bytes(changed if isinstance(changed, bytes) else json.dumps(content).encode())
    with pytest.raises(ValueError, match=message) as caught:
        COCODataset(path, folder)
    assert "\n" not in str(caught.value)
    try:
        problems = inspect_coco(path, folder).problems
    except ValueError as error:
        assert str(error) == str(caught.value)
    else:
        errors = [problem.text for problem in problems if problem.severity == "error"]
        assert errors
        assert all(text in str(caught.value) for text in errors[:3])


def test_two_classes_of_one_name_keep_their_ap(folder):
    content = base.make_base()
    content["categories"][0]["name"] = "dog"
    path = folder / "case.json"
    path.write_text(json.dumps(content))
    dataset = COCODataset(path, folder)
    infos = [dataset.get_img_info(index) for index in range(len(dataset))]
    found = [base.detections(info["file_name"], 2) for info in infos]
    results = evaluate_coco(dataset, found)
    assert list(results.per_class["bbox"]) == ["dog (id 7)", "dog (id 2)"]
    assert results["bbox"]["AP"] == pytest.approx(
        torch.tensor(list(results.per_class["bbox"].values()), dtype=torch.float64).mean().item()
    )


def test_ignored_instances_are_logged(folder, caplog):
    content = base.make_base()
    content["annotations"][0]["bbox"] = [1, 1, 0, 5]
    content["annotations"][1]["segmentation"] = None
    caplog.set_level("INFO")
    evaluated(folder, content)
    assert (
        "6 of 8 instances are evaluated; ignored: 1 (box without area), 1 (crowd); "
        "1 have no mask and are ignored in mask evaluation" in caplog.text
    )
