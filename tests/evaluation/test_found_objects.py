"""The best detection of each object, compared with all pairs."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from maskrcnn_benchmark.evaluation.coco_eval import run_coco_eval
from maskrcnn_benchmark.evaluation.coco_evaluator import find_evaluator
from maskrcnn_benchmark.evaluation.found_objects import found_objects
from maskrcnn_benchmark.evaluation.ground_truth import renumber_ground_truth
from maskrcnn_benchmark.evaluation.mask_ious import MaskIous
from maskrcnn_benchmark.evaluation.ranked_masks import RankedMasks
from maskrcnn_benchmark.structures.rle import to_rle
from tests.evaluation.test_coco_evaluator import CROWDED, HEIGHT, WIDTH, drawn  # noqa: F401


def shape(row, iou_type):
    return row["bbox"] if iou_type == "bbox" else to_rle(row["segmentation"], HEIGHT, WIDTH)


@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
@pytest.mark.parametrize("min_score", [0.5, 0.95])
def test_the_best_detection_of_the_class_above_the_score(drawn, iou_type, min_score):  # noqa: F811
    dataset, _, all_rows = drawn
    truth = renumber_ground_truth(dataset.coco, iou_type)
    rows = all_rows["bbox" if iou_type == "bbox" else "segm_by_class_score"]
    if iou_type == "bbox":
        evaluation = run_coco_eval(truth, rows, "bbox")
    else:
        masks = RankedMasks(MaskIous(truth, rows))
        evaluation = masks.evaluate([r["score"] for r in rows], find_evaluator("pycocotools"))
    found = found_objects(evaluation, min_score)
    some = 0
    for index, annotation in enumerate(truth.coco.dataset["annotations"]):
        if annotation["iscrowd"]:
            assert np.isnan(found.ious[index])
            assert found.rows[index] == -1
            continue
        original = dataset.coco.dataset["annotations"][index]
        keys = ("image_id", "category_id")
        ious = {
            number: coco_mask.iou([shape(row, iou_type)], [shape(original, iou_type)], [0])[0, 0]
            for number, row in enumerate(rows)
            if row["score"] >= min_score and all(row[key] == original[key] for key in keys)
        }
        best = max((iou for iou in ious.values() if iou >= 0.1), default=0)
        if original["image_id"] != CROWDED:  # there, pycocotools cuts the detections
            assert found.ious[index] == pytest.approx(best, abs=1e-12)
        if found.ious[index] > 0:
            assert ious[found.rows[index]] == pytest.approx(found.ious[index], abs=1e-12)
            some += 1
    assert some > 1


def test_without_detections_nothing_is_found(drawn):  # noqa: F811
    truth = renumber_ground_truth(drawn[0].coco, "bbox")
    found = found_objects(run_coco_eval(truth, [], "bbox"), 0)
    assert np.nanmax(found.ious) == 0
    assert (found.rows == -1).all()
