"""Non-finite values propose, suppress and detect nothing, and do not affect the rest."""

import pytest
import torch

from maskrcnn_benchmark.layers import SoftNMS, nms, soft_nms
from maskrcnn_benchmark.modeling.box_coder import BoxCoder
from maskrcnn_benchmark.modeling.roi_heads.detections import DetectionLimits, select_detections
from maskrcnn_benchmark.modeling.rpn.proposals import ProposalLimits, RPNOutput, select_proposals
from tests.layers.conftest import backend  # noqa: F401

NAN = float("nan")
BOXES = torch.tensor([[0.0, 0, 20, 20], [1, 1, 21, 21], [30, 30, 50, 50], [31, 30, 50, 52]])


@pytest.mark.usefixtures("backend")
def test_a_score_of_nan_suppresses_nothing():
    scores = torch.tensor([NAN, 0.5, 0.9, 0.7])
    assert nms(BOXES, scores, 0.5).tolist() == [2, 1]
    assert nms(BOXES, torch.tensor([0.1, NAN, NAN, NAN]), 0.5).tolist()[0] == 0


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("method", ["linear", "gaussian"])
def test_soft_nms_drops_nan_scores_and_continues(method):
    rule = SoftNMS(method, threshold=0.3, sigma=0.5, min_score=0.0)
    valid = BOXES[:1] + torch.tensor([[0.0], [3.0], [6.0]])  # each lowers the others in turn
    expected, lowered = soft_nms(valid, torch.tensor([0.5, 0.9, 0.7]), rule)
    for place in range(4):  # wherever in the list it stands
        boxes, scores = valid.tolist(), [0.5, 0.9, 0.7]
        boxes.insert(place, [0.0, 0, 20, 20])
        scores.insert(place, NAN)
        kept, new = soft_nms(torch.tensor(boxes), torch.tensor(scores), rule)
        assert [index - (index > place) for index in kept.tolist()] == expected.tolist()
        torch.testing.assert_close(new, lowered)


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("method", ["linear", "gaussian"])
def test_soft_nms_between_boxes_without_area_lowers_nothing(method):
    point = torch.tensor([[5.0, 5, 5, 5]]).repeat(3, 1)
    scores = torch.tensor([0.9, 0.8, 0.7])
    kept, new = soft_nms(point, scores, SoftNMS(method), pixel_offset=0.0)
    assert kept.tolist() == [0, 1, 2]
    torch.testing.assert_close(new, scores)


def proposals_of(objectness, deltas, anchors, top_n):
    output = RPNOutput([objectness], [deltas], [anchors])
    limits = ProposalLimits(top_n, top_n, top_n, per_batch=False)
    return select_proposals(
        output, [(64, 64)], limits, box_coder=BoxCoder((1.0,) * 4), nms_thresh=0.7, min_size=0
    )[0]


def test_nan_anchors_are_not_among_the_best():
    corner = torch.arange(12.0) * 5
    anchors = torch.stack([corner, corner, corner + 8, corner + 8], dim=1)
    objectness, deltas = torch.randn(1, 1, 1, 12), 0.1 * torch.randn(1, 4, 1, 12)
    good = [i for i in range(12) if i not in (2, 7)]
    expected = proposals_of(objectness[..., good], deltas[..., good], anchors[good], 4)
    for spoil in ("score", "box"):
        scores, offsets = objectness.clone(), deltas.clone()
        if spoil == "score":
            scores[..., [2, 7]] = NAN
        else:
            scores[..., [2, 7]] = -99.0
            offsets[:, 1, :, [2, 7]] = NAN
        got = proposals_of(scores, offsets, anchors, 4)
        assert got.bbox.equal(expected.bbox), spoil
        assert got.get_field("objectness").equal(expected.get_field("objectness"))
        everything = proposals_of(scores, offsets, anchors, 12)
        assert len(everything) == 10
        assert everything.bbox.isfinite().all()
        assert everything.get_field("objectness").isfinite().all()


@pytest.mark.parametrize("min_size", [0.0, 1.0])
@pytest.mark.parametrize("soft", [None, SoftNMS()])
def test_rois_of_nan_detect_nothing(min_size, soft):
    boxes = BOXES[:, None].repeat(1, 3, 1)
    scores = torch.tensor([[0.1, 0.6, 0.3], [0.1, 0.2, 0.7], [0.2, 0.5, 0.3], [0.1, 0.8, 0.1]])
    limits = DetectionLimits(0.05, 0.5, 100, min_size, soft)
    expected = select_detections(boxes[2:], scores[2:], (64, 64), limits, pixel_offset=1)
    boxes[0, :, 2], scores[1] = NAN, NAN
    got = select_detections(boxes, scores, (64, 64), limits, pixel_offset=1)
    assert got.bbox.equal(expected.bbox)
    for field in ("scores", "labels"):
        assert got.get_field(field).equal(expected.get_field(field))
