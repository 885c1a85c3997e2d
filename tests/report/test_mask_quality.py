"""The mask-quality report: every number from an independent computation."""

import contextlib
import copy
import io
import json
import re

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from maskrcnn_benchmark.evaluation import evaluate_coco
from maskrcnn_benchmark.evaluation.mask_ious import MaskIous
from maskrcnn_benchmark.evaluation.ranked_masks import RankedMasks
from maskrcnn_benchmark.report.mask_quality import report_mask_quality, write_mask_quality
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.fields import SCORE_KINDS
from maskrcnn_benchmark.structures.rle import decode_rle
from maskrcnn_benchmark.structures.rle_masks import RleMasks
from tests.evaluation.dataset import StandInDataset
from tests.report.cases import CLASSES, SIZE, drawn_case, write_case
from tests.report.test_page import Reader


@pytest.fixture(scope="module")
def case():
    return drawn_case()


@pytest.fixture(scope="module")
def made(case, tmp_path_factory):
    """Return the content of the json and the page."""
    folder = tmp_path_factory.mktemp("case")
    predictions, annotations, images = write_case(folder, *case)
    page = report_mask_quality(predictions, annotations, folder / "out", images=images)
    assert page == folder / "out" / "mask_quality.html"
    assert {path.name for path in page.parent.iterdir()} == {
        "mask_quality.html",
        "mask_quality.json",
    }
    return json.loads(page.with_suffix(".json").read_text()), page.read_text()


def report(tmp_path, annotations, rows, **more):
    predictions, truth, _ = write_case(tmp_path, annotations, rows)
    page = report_mask_quality(predictions, truth, tmp_path / "out", **more)
    return json.loads(page.with_suffix(".json").read_text()), page.read_text()


# --- independent computations, from full-size masks


def is_region(annotation):
    return annotation["iscrowd"] or not annotation["segmentation"]


def region_mask(annotation):
    if annotation["segmentation"]:
        return decode_rle(annotation["segmentation"]).astype(bool)
    x, y, w, h = annotation["bbox"]
    mask = np.zeros((SIZE, SIZE), bool)
    mask[y : y + h, x : x + w] = True
    return mask


def box_iou(a, b):
    w = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    h = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    shared = max(w, 0) * max(h, 0)
    return shared / (a[2] * a[3] + b[2] * b[3] - shared)


def slow_matches(annotations, rows):
    """Return (true IoU, best box IoU, is judged) of each row."""
    made = []
    for row in rows:
        mask = decode_rle(row["segmentation"]).astype(bool)
        same = [
            a
            for a in annotations["annotations"]
            if (a["image_id"], a["category_id"]) == (row["image_id"], row["category_id"])
        ]
        ious, boxes, inside = [0.0], [0.0], [0.0]
        for one in same:
            other = region_mask(one)
            if is_region(one):
                inside.append((mask & other).sum() / mask.sum())
            else:
                ious.append((mask & other).sum() / (mask | other).sum())
                boxes.append(box_iou(row["bbox"], one["bbox"]))
        made.append((max(ious), max(boxes), max(ious) >= 0.5 or max(inside) < 0.5))
    return tuple(np.array(column) for column in zip(*made, strict=True))


def coco_stats(annotations, rows, scores):
    """Return COCO's metrics of the masks with other scores, by pycocotools on its own."""
    content = copy.deepcopy(annotations)
    for one in content["annotations"]:
        if not one["segmentation"]:
            x, y, w, h = one["bbox"]
            one |= {"iscrowd": 1, "segmentation": [[x, y, x + w, y, x + w, y + h, x, y + h]]}
    truth = COCO()
    truth.dataset = content
    results = [
        {
            "image_id": row["image_id"],
            "category_id": row["category_id"],
            "segmentation": row["segmentation"],
            "score": float(score),
        }
        for row, score in zip(rows, scores, strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), "segm")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def columns(rows):
    return {
        key: np.array([row[key] for row in rows]) for key in ("score", "mask_iou", "mask_score")
    }


def ranks(values):
    return np.array([(values < v).sum() + ((values == v).sum() + 1) / 2 for v in values])


# --- the numbers


def test_groups_and_correlations(made, case):
    true, boxes, judged = slow_matches(*case)
    scores = columns(case[1])
    groups = {
        "all": judged,
        "found": judged & (boxes > 0.5),
        "confident": judged & (boxes > 0.5) & (scores["score"] > 0.5),
    }
    assert made[0]["not_judged"] == (~judged).sum() == 2
    assert made[0]["masks"] == len(judged)
    assert made[0]["objects"] == sum(not is_region(a) for a in case[0]["annotations"])
    for name, chosen in groups.items():
        found = made[0]["correlation"][name]
        assert found["count"] == chosen.sum() > 5
        assert found["mean_true"] == pytest.approx(true[chosen].mean())
        for key, values in scores.items():
            x, y = values[chosen], true[chosen]
            assert found[key]["pearson"] == pytest.approx(np.corrcoef(x, y)[0, 1])
            expected = np.corrcoef(ranks(x), ranks(y))[0, 1]
            assert found[key]["spearman"] == pytest.approx(expected)


def test_calibration(made, case):
    true, boxes, judged = slow_matches(*case)
    chosen = judged & (boxes > 0.5)
    predicted, true = columns(case[1])["mask_iou"][chosen], true[chosen]
    found = made[0]["calibration"]["found"]
    total = 0.0
    for one in found["bins"]:
        inside = (predicted >= one["from"]) & (predicted < one["to"])
        assert one["count"] == inside.sum()
        if inside.any():
            assert one["mean_true"] == pytest.approx(true[inside].mean())
            total += inside.sum() * abs(predicted[inside].mean() - true[inside].mean())
        else:
            assert one["mean_true"] is None
    assert found["ece"] == pytest.approx(total / len(true))
    assert found["bias"] == pytest.approx((predicted - true).mean())
    assert found["mae"] == pytest.approx(np.abs(predicted - true).mean())


def test_every_ap_is_that_of_pycocotools_with_these_scores(made, case):
    annotations, rows = case
    scores = columns(rows)
    rankings = {
        "score": scores["score"],
        "mask_score": scores["mask_score"],
        "oracle": scores["score"] * slow_matches(*case)[0],
    }
    metrics = ("AP", "AP50", "AP75", "APs", "APm", "APl")
    values = {}
    for key, ranking in rankings.items():
        expected = coco_stats(annotations, rows, ranking)
        actual = made[0]["ap"][key]
        values[key] = actual
        stats = dict(zip(metrics, expected.stats, strict=False))
        assert actual == {m: None if v < 0 else pytest.approx(v) for m, v in stats.items()}
        precision = expected.eval["precision"]  # [thresholds, recalls, classes, areas, limits]
        known = precision[:, :, :2, 0, 2]  # the third class has no object
        np.testing.assert_allclose(
            made[0]["precision"]["0.75"][key], known[5].mean(axis=1), atol=1e-5
        )
        np.testing.assert_allclose(
            made[0]["ap_by_iou"]["ap"][key], known.mean(axis=(1, 2)), atol=1e-5
        )
        for place, name in enumerate([*CLASSES.values()][:2]):
            of_class = made[0]["ap_per_class"][name][key]
            assert of_class == pytest.approx(known[:, :, place].mean())
    assert set(made[0]["ap_per_class"]) == {*CLASSES.values()} - {"never annotated"}
    assert values["oracle"]["AP"] > max(values[k]["AP"] for k in ("score", "mask_score"))
    room = made[0]["head_room"]["AP"]
    assert room["head_room"] == pytest.approx(values["oracle"]["AP"] - values["score"]["AP"])
    assert room["gain"] == pytest.approx(values["mask_score"]["AP"] - values["score"]["AP"])
    assert room["reached"] == pytest.approx(room["gain"] / room["head_room"])
    assert made[0]["head_room"]["APl"] == {"head_room": None, "gain": None, "reached": None}


def test_the_masks_kept_are_those_of_a_loop(made, case):
    true, _, judged = slow_matches(*case)
    scores = columns(case[1])
    for key, values in {**scores, "best": true}.items():
        order = np.argsort(-values[judged], kind="stable")
        sorted_true = true[judged][order]
        means = [sorted_true[:k].mean() for k in range(1, len(sorted_true) + 1)]
        found = made[0]["kept"]["all"][key]
        assert found["area"] == pytest.approx(np.mean(means))
        for share in (1 / 101, 50 / 101, 1):
            count = int(np.ceil(share * len(means) - 1e-9))
            assert found["curve"][round(share * 101) - 1] == pytest.approx(
                means[count - 1], abs=1e-5
            )


@pytest.mark.parametrize(("name", "sign"), [("over_rated", 1), ("under_rated", -1)])
def test_the_masks_rated_worst(made, case, name, sign):
    true, boxes, judged = slow_matches(*case)
    scores = columns(case[1])
    gaps = {}
    for index in range(len(case[1])):
        gap = sign * (scores["mask_iou"][index] - true[index])
        if judged[index] and boxes[index] > 0.5 and scores["score"][index] > 0.5 and gap > 0:
            gaps[index] = gap
    found = made[0][name]
    assert 3 < len(found) <= 12
    assert found[0]["row"] == max(gaps, key=gaps.get)
    listed = [gaps[one["row"]] for one in found]
    assert listed == sorted(listed, reverse=True)
    ids = [one["annotation_id"] for one in found]
    assert len(set(ids)) == len(ids)  # each object once
    by_id = {a["id"]: a for a in case[0]["annotations"]}
    for one in found:
        row = case[1][one["row"]]
        assert (one["image_id"], one["category"]) == (row["image_id"], CLASSES[row["category_id"]])
        assert by_id[one["annotation_id"]]["image_id"] == row["image_id"]
        assert one["true_iou"] == pytest.approx(true[one["row"]])
        assert one["mask_iou"] == row["mask_iou"]


# --- the page


def test_the_page_shows_the_numbers_and_pictures(made):
    content, text = made
    page = Reader(text)
    assert len(page.sources) == 2 + 2 + 4 + 2 + len(content["over_rated"] + content["under_rated"])
    assert "a <b> & dog" in page.texts
    for value in (content["ap"]["oracle"]["AP"], content["ap"]["mask_score"]["AP75"]):
        assert f"{100 * value:.1f}" in page.texts
    assert f"{content['calibration']['found']['ece']:.3f}" in page.texts
    assert f"{content['correlation']['found']['mask_iou']['pearson']:.2f}" in page.texts
    assert any("2 masks lie at least by half in a crowd" in t for t in page.texts)


# --- other systems, and nothing at all


def test_results_without_mask_scores_say_what_cannot_be_told(case, tmp_path):
    annotations, rows = case
    plain = [{k: v for k, v in r.items() if k not in ("mask_iou", "mask_score")} for r in rows]
    content, text = report(tmp_path, annotations, plain)
    assert len(content["unknown"]) == 2
    assert "no mask_iou" in content["unknown"][0]
    assert "no mask_score" in content["unknown"][1]
    assert all(sentence in Reader(text).texts for sentence in content["unknown"])
    assert set(content["ap"]) == {"score", "oracle"}
    room = content["head_room"]["AP"]
    assert room["gain"] is room["reached"] is None
    assert room["head_room"] > 0
    assert content["calibration"] == {}
    assert content["over_rated"] == content["under_rated"] == []
    assert set(content["correlation"]["all"]) == {"count", "mean_true", "score"}
    assert "calibrat" not in text.replace(content["unknown"][0], "")


def test_results_without_class_scores(case, tmp_path):
    annotations, rows = case
    for_server = [
        {k: v for k, v in row.items() if k != "mask_score"} | {"score": row["mask_score"]}
        for row in rows
    ]
    content, text = report(tmp_path, annotations, for_server)
    assert "class scores are unknown" in content["unknown"][0]
    assert set(content["ap"]) == {"mask_score"}
    assert set(content["correlation"]) == {"all", "found"}
    assert content["over_rated"][0]["file_name"] in Reader(text).texts  # listed without images
    assert "oracle" not in text.replace(content["unknown"][0], "")


@pytest.mark.parametrize("kind", ["no predictions", "no annotations", "no matches"])
def test_nothing_is_a_valid_report(case, tmp_path, kind):
    annotations, rows = copy.deepcopy(case)
    if kind == "no predictions":
        rows = []
    if kind == "no annotations":
        annotations["annotations"] = []
    if kind == "no matches":
        rows = [row | {"category_id": 8} for row in rows]
    content, text = report(tmp_path, annotations, rows, images=tmp_path / "images")
    page = Reader(text)
    assert any("No mask found an object" in t for t in page.texts)
    assert content["masks"] == len(rows)
    expected = None if not annotations["annotations"] else 0
    assert content["ap"]["score"]["AP"] == expected
    if kind == "no matches":
        assert content["correlation"]["all"]["mask_iou"]["pearson"] is None
        assert content["correlation"]["all"]["mean_true"] == 0
        assert content["head_room"]["AP"]["reached"] is None


# --- mistakes


def test_a_failure_leaves_the_earlier_report(case, tmp_path):
    predictions, truth, images = write_case(tmp_path, *case)
    (images / "0.png").write_bytes(b"")
    output = tmp_path / "out"
    output.mkdir()
    (output / "mask_quality.html").write_text("earlier")
    with pytest.raises(ValueError, match=r"0\.png cannot be read: the file is empty"):
        report_mask_quality(predictions, truth, output, images=images)
    assert [path.name for path in output.iterdir()] == ["mask_quality.html"]
    assert (output / "mask_quality.html").read_text() == "earlier"


def test_an_image_folder_that_does_not_exist_is_refused_first(case, tmp_path):
    with pytest.raises(FileNotFoundError, match="image folder .*nowhere does not exist"):
        report(tmp_path, *case, images=tmp_path / "nowhere")
    assert not (tmp_path / "out").exists()


def predictions_of(rows, dataset):
    """Return rows as a model would predict them, one list of boxes for each image."""
    made = []
    labels = {i: label for label, i in dataset.contiguous_category_id_to_json_id.items()}
    for image_id in dataset.id_to_img_map.values():
        own = [row for row in rows if row["image_id"] == image_id]
        boxes = BoxList([row["bbox"] for row in own], (SIZE, SIZE), mode="xywh").convert("xyxy")
        boxes.add_field("labels", torch.tensor([labels[row["category_id"]] for row in own]))
        for kind in SCORE_KINDS.values():
            values = [row[kind.key] for row in own]
            boxes.add_field(kind.field, torch.tensor(values, dtype=torch.float64))
        counts = [row["segmentation"]["counts"] for row in own]
        boxes.add_field("rles", RleMasks((SIZE, SIZE), counts))
        made.append(boxes)
    return made


def test_an_evaluation_shares_its_ious_and_its_ap(case, made, tmp_path, monkeypatch):
    annotations, rows = case
    dataset, received = StandInDataset(copy.deepcopy(annotations)), []
    results = evaluate_coco(
        dataset,
        predictions_of(rows, dataset),
        iou_types=("bbox", "segm"),
        receive_masks=received.append,
    )
    (evaluated,) = received

    def never(*_):
        raise AssertionError("computed a second time")

    monkeypatch.setattr(MaskIous, "_compute", never)
    ranked = []
    evaluate = RankedMasks.evaluate
    monkeypatch.setattr(
        RankedMasks, "evaluate", lambda *args: ranked.append(args[1]) or evaluate(*args)
    )
    page = write_mask_quality(evaluated, tmp_path, title="as evaluated")
    content = json.loads(page.with_suffix(".json").read_text())
    assert len(ranked) == 1  # the oracle
    for key, task in (("mask_score", "segm"), ("score", "segm_by_class_score")):
        expected = results[task]
        assert content["ap"][key] == {k: None if v < 0 else v for k, v in expected.items()}
    for key in ("ap", "correlation", "head_room"):  # as from the file
        flat = [json.dumps(one[key], sort_keys=True) for one in (content, made[0])]
        numbers = [[float(n) for n in re.findall(r"-?\d+\.?\d*(?:e-\d+)?", one)] for one in flat]
        np.testing.assert_allclose(numbers[0], numbers[1], atol=1e-6)
