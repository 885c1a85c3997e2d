"""The VOC metric against recorded values and cases computed by hand."""

import json

import numpy as np
import pytest
import torch

from maskrcnn_benchmark.evaluation import EVALUATIONS, evaluate_voc
from maskrcnn_benchmark.evaluation.original_frame import original_size, to_original_frame
from maskrcnn_benchmark.evaluation.voc_eval import average_precision, precision_recall
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.mask_paste import Masker
from tests.helpers.vectors import load_vector

META, ARRAYS = load_vector("voc_eval", "vectors_upstream")
SIZE = tuple(META["arguments"]["image_size_wh"])
RESULTS = META["arguments"]["results"]
IMAGES = range(sum(name.startswith("gt_boxes_") for name in ARRAYS))


def boxes(kind, number, *names):
    result = BoxList(torch.from_numpy(ARRAYS[f"{kind}_boxes_{number}"]), SIZE)
    for name in names:
        result.add_field(name, torch.from_numpy(ARRAYS[f"{kind}_{name}_{number}"]))
    return result


GROUND_TRUTHS = [boxes("gt", n, "labels", "difficult") for n in IMAGES]
PREDICTIONS = [boxes("pred", n, "labels", "scores") for n in IMAGES]


@pytest.mark.parametrize("threshold", [0.5, 0.7])
def test_curves_and_areas_are_the_recorded_ones(threshold):
    curves = precision_recall(GROUND_TRUTHS, PREDICTIONS, threshold)
    none = RESULTS[f"prec_rec_none_classes_{threshold}"]
    for name, expected in ARRAYS.items():
        if name.startswith((f"prec_t{threshold}_", f"rec_t{threshold}_")):
            curve = curves[int(name.partition("class")[2])]
            got = curve.precision if name.startswith("prec") else curve.recall
            np.testing.assert_allclose(got, expected, rtol=1e-6, err_msg=name)
    for label in none["rec_none"]:
        assert label not in curves or curves[label].recall is None
    for kind, eleven_points in (("07", True), ("area", False)):
        expected = ARRAYS[f"ap_t{threshold}_{kind}"]
        aps = [
            average_precision(curves[label], eleven_points=eleven_points)
            if label in curves
            else np.nan
            for label in range(len(expected))
        ]
        np.testing.assert_allclose(aps, expected, rtol=1e-6)
        assert np.nanmean(aps) == pytest.approx(RESULTS[f"map_t{threshold}_{kind}"])


class Recorded:
    """Data set of the recorded ground truth."""

    class_names = ("__background__", "a", "b", "c", "d", "e", "f", "g")
    metric = "voc"

    def get_groundtruth(self, index):
        return GROUND_TRUTHS[index]


def test_the_evaluation_of_a_data_set(tmp_path):
    larger = [p.resize((SIZE[0] * 2, SIZE[1] * 2)) for p in PREDICTIONS]
    assert EVALUATIONS["voc"] is evaluate_voc
    results = evaluate_voc(Recorded(), larger, output_folder=tmp_path)
    assert results["voc"]["mAP"] == pytest.approx(RESULTS["map_t0.5_07"])
    expected = ARRAYS["ap_t0.5_07"]
    for label in range(1, 7):
        value = -1 if np.isnan(expected[label]) else expected[label]
        assert results.per_class["voc"][Recorded.class_names[label]] == pytest.approx(value)
    assert results.per_class["voc"]["g"] == -1  # does not occur
    content = json.loads((tmp_path / "results.json").read_text())
    assert content["results"] == results.results
    assert (tmp_path / "voc_results.pth").is_file()
    assert "mAP" in str(results)
    with pytest.raises(ValueError, match="cocostyle"):
        evaluate_voc(Recorded(), larger, box_only=True)


class Sized(Recorded):
    def get_img_info(self, index):
        return {"width": SIZE[0], "height": SIZE[1]}


def test_predictions_in_the_original_frame_are_evaluated_alike():
    larger = [p.resize((SIZE[0] * 2, SIZE[1] * 2)) for p in PREDICTIONS]
    for prediction in larger:
        prediction.add_field("mask", torch.rand(len(prediction), 1, 4, 4))
    found = [
        to_original_frame(p, original_size(Sized(), index), Masker())
        for index, p in enumerate(larger)
    ]
    assert all(p.has_field("rles") and p.size == SIZE for p in found)
    expected = evaluate_voc(Sized(), larger)
    assert evaluate_voc(Sized(), found).per_class == expected.per_class
    assert expected["voc"]["mAP"] == pytest.approx(RESULTS["map_t0.5_07"])


def test_no_detections_and_no_ground_truth():
    empty = boxes("pred", 0, "labels", "scores")[torch.zeros(0, dtype=torch.int64)]
    results = evaluate_voc(Recorded(), [empty] * len(IMAGES))
    assert results["voc"]["mAP"] == 0
    nothing = boxes("gt", 0, "labels", "difficult")[torch.zeros(0, dtype=torch.int64)]

    class Empty(Recorded):
        def get_groundtruth(self, index):
            return nothing

    assert evaluate_voc(Empty(), PREDICTIONS)["voc"]["mAP"] == -1
