"""Selection by each of the three scores, and pasting, on hand-made detections."""

import numpy as np
import pytest
import torch

from maskrcnn_benchmark.predict.prediction import Prediction
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.fields import SCORE_KINDS
from maskrcnn_benchmark.structures.mask_paste import Masker

# every kind of score puts the four detections into another order
SCORES = [0.5, 0.75, 0.25, 1.0]
MASK_IOUS = [0.75, 0.5, 1.0, 0.125]
MASK_SCORES = [0.375, 0.5, 0.25, 0.125]

VALUES = {"score": SCORES, "mask_iou": MASK_IOUS, "mask_score": MASK_SCORES}


def prediction(*masker):
    boxes = BoxList(
        [[10 * n + 0.7, 2.6, 10 * n + 19.6, 27.3] for n in range(4)], (50, 30), pixel_offset=0
    )
    boxes.add_field("labels", torch.tensor([1, 2, 1, 2]))
    for name, values in (
        ("scores", SCORES),
        ("mask_ious", MASK_IOUS),
        ("mask_scores", MASK_SCORES),
    ):
        boxes.add_field(name, torch.tensor(values))
    boxes.add_field("mask", torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(0)))
    return Prediction(boxes, ["__background__", "cat", "dog"], *masker)


def left_edges(chosen):
    return [int(box[0]) // 10 for box in chosen.boxes]


@pytest.mark.parametrize("key", SCORE_KINDS)
def test_each_score_key_ranks_by_its_score(key):
    order = {"score": [3, 1, 0, 2], "mask_iou": [2, 0, 1, 3], "mask_score": [1, 0, 2, 3]}[key]
    assert left_edges(prediction().select(key)) == order
    np.testing.assert_array_equal(prediction().ranking(key), np.float32(VALUES[key]))


@pytest.mark.parametrize("key", SCORE_KINDS)
def test_a_detection_at_the_threshold_is_kept(key):
    values = VALUES[key]
    for threshold in values:  # powers of 2 are the same in float32
        expected = sorted((n for n in range(4) if values[n] >= threshold), key=lambda n: -values[n])
        assert left_edges(prediction().select(key, threshold)) == expected
    just_above = float(np.nextafter(np.float32(max(values)), np.float32(2)))
    assert len(prediction().select(key, just_above)) == 0


@pytest.mark.parametrize(
    "masker", [Masker(0.25), Masker(0.6), Masker(0.25, aligned=True), Masker(0.6, aligned=True)]
)
def test_the_masker_pastes_the_masks_also_of_a_selection(masker):
    found = prediction(masker)
    soft = torch.from_numpy(found.soft_masks)[:, None]
    boxes = BoxList(found.boxes, found.size)
    expected = masker.forward_single_image(soft, boxes)[:, 0].numpy()
    np.testing.assert_array_equal(found.masks(), expected)
    chosen = prediction(masker).select("score")
    np.testing.assert_array_equal(chosen.masks(), expected[[3, 1, 0, 2]])
    np.testing.assert_array_equal(
        [chosen.mask(index, (30, 50)) for index in range(4)], expected[[3, 1, 0, 2]]
    )
    others = [Masker(0.25), Masker(0.6), Masker(0.25, aligned=True), Masker(0.6, aligned=True)]
    for other in others:
        assert (other == masker) == np.array_equal(prediction(other).masks(), expected)


def test_the_default_masker_uses_the_originals_rule():
    expected = prediction(Masker(0.5, padding=1)).masks()
    np.testing.assert_array_equal(prediction().masks(), expected)
