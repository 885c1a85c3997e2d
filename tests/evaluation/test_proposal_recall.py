import json
from typing import Any

import numpy as np
import pytest
import torch

from maskrcnn_benchmark.evaluation.proposal_recall import evaluate_box_proposals
from maskrcnn_benchmark.structures.bounding_box import BoxList
from tests.evaluation.dataset import StandInDataset, recorded_dataset, recorded_predictions
from tests.helpers.vectors import REFERENCE, load_vector

FOLDER = REFERENCE / "vectors_upstream"
META: dict[str, Any] = json.loads((FOLDER / "box_proposal_recall.json").read_text())
ARGUMENTS = META["arguments"]
FORK = load_vector("coco_eval")[0]["arguments"]["results"]


def upstream_case():
    dataset = StandInDataset(
        {
            "images": ARGUMENTS["images"],
            "annotations": ARGUMENTS["annotations"],
            "categories": [{"id": 1, "name": "thing"}],
        }
    )
    predictions = []
    with np.load(FOLDER / "box_proposal_recall.npz") as arrays:
        for index, size in enumerate(ARGUMENTS["proposal_frame_wh"]):
            boxes = BoxList(torch.from_numpy(arrays[f"proposals_{index}"]), tuple(size))
            boxes.add_field("objectness", torch.from_numpy(arrays[f"objectness_{index}"]))
            predictions.append(boxes)
    return dataset, predictions


def assert_recall(actual, recorded):
    if isinstance(recorded, str):  # the original raised: no ground truth of that area
        assert (actual.ar, actual.num_pos, len(actual.gt_overlaps)) == (-1, 0, 0)
        return
    assert actual.num_pos == recorded["num_pos"]
    assert actual.ar == pytest.approx(recorded["ar"], abs=1e-6)
    assert actual.recalls.tolist() == pytest.approx(recorded["recalls"], abs=1e-6)
    assert actual.gt_overlaps.tolist() == pytest.approx(recorded["gt_overlaps"], abs=1e-5)


@pytest.mark.parametrize("case", ARGUMENTS["results"])
def test_equals_upstream(case):
    area, limit = case.split("@")
    dataset, predictions = upstream_case()
    count = None if limit == "None" else int(limit)
    recall = evaluate_box_proposals(dataset, predictions, area=area, limit=count)
    assert_recall(recall, ARGUMENTS["results"][case])


@pytest.mark.parametrize("area", ["all", "small", "medium"])
@pytest.mark.parametrize("limit", [1, 100])
def test_equals_the_fork(area, limit):
    predictions = recorded_predictions("objectness")
    recall = evaluate_box_proposals(recorded_dataset(), predictions, area=area, limit=limit)
    assert_recall(recall, FORK[f"ar_{area}_{limit}"])
    assert recall.thresholds.tolist() == pytest.approx(FORK["ar_all_1"]["thresholds"])


def test_no_proposals_cover_nothing():
    dataset, predictions = upstream_case()
    none = [boxes[:0] for boxes in predictions]
    recall = evaluate_box_proposals(dataset, none)
    assert (recall.ar, recall.num_pos) == (0, 11)


def test_an_unknown_area_is_an_error():
    with pytest.raises(ValueError, match="'tiny' is unknown.*small"):
        evaluate_box_proposals(*upstream_case(), area="tiny")
