"""Recorded inputs for which the original failed or gave NaN, with the correct results."""

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

from maskrcnn_benchmark.modeling.detector import build_detection_model
from maskrcnn_benchmark.modeling.matcher import Matcher
from maskrcnn_benchmark.modeling.roi_heads.mask_head import (
    build_mask_targets,
    mask_loss,
    select_class,
)
from maskrcnn_benchmark.modeling.roi_heads.maskiou_head import (
    mask_iou_loss,
    mask_iou_target,
    select_iou,
)
from maskrcnn_benchmark.modeling.roi_heads.sampling import ProposalSampler, SampledProposals
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.segmentation_mask import SegmentationMask
from tests.helpers.first_n_sampler import FirstNSampler
from tests.helpers.thin_model import thin_config
from tests.helpers.vectors import load_vector

RECORDED, _ = load_vector("edge_behaviour")
C4_CASES = load_vector("mask_R50_C4_eval_in_fork")[0]["cases"]
SIZE = (60, 50)
SQUARE = [[10.0, 10.0, 40.0, 10.0, 40.0, 40.0, 10.0, 40.0]]


def mask_targets(masks, boxes, size=SIZE):
    """Targets of one image: each box stands for the mask of its row."""
    target = BoxList(torch.zeros(len(masks), 4), size)
    target.add_field("masks", SegmentationMask(masks, size))
    rois = torch.tensor(boxes).reshape(-1, 4)
    rows = torch.arange(len(rois))
    positives = SampledProposals([BoxList(rois, size)], [torch.ones_like(rows)], [rows], [target])
    return build_mask_targets(positives, 28)


def no_proposals():
    gt = mask_targets([], [])
    assert gt.masks.shape == (0, 28, 28)
    assert gt.visible_fraction.shape == (0,)


def degenerate_proposal():
    gt = mask_targets([SQUARE], [[20.0, 20.0, 20.0, 20.0]])
    recorded = RECORDED["project_masks degenerate proposal (zero size)"]["result"]
    assert str([gt.masks.sum().item(), gt.visible_fraction.item()]) == recorded


def outside_the_image():
    outside = [[70.0, 10.0, 90.0, 10.0, 90.0, 30.0]]
    gt = mask_targets([outside], [[10.0, 10.0, 40.0, 40.0]])
    assert gt.visible_fraction.isnan().all()  # as recorded
    assert mask_iou_target(torch.ones(1, 28, 28), gt).tolist() == [0]  # and left out of the loss


def window_of_one_pixel():
    thin = [[0.0, 10.0, 0.4, 10.0, 0.4, 30.0, 0.0, 30.0]]
    gt = mask_targets([thin], [[0.0, 10.0, 0.0, 30.0]], (1, 50))
    assert gt.visible_fraction.isnan().all()
    assert mask_iou_target(torch.ones(1, 28, 28), gt).tolist() == [0]


def losses_without_positives():
    labels = torch.zeros(0, dtype=torch.int64)
    logits = torch.zeros(0, 3, 28, 28, requires_grad=True)
    ious = torch.zeros(0, 3, requires_grad=True)
    selected, gt = select_class(logits, labels), mask_targets([], [])
    target = mask_iou_target(selected.detach(), gt)
    total = mask_loss(selected, gt.masks) + mask_iou_loss(select_iou(ious, labels), target)
    assert total == 0
    total.backward()
    assert logits.grad is not None and ious.grad is not None


def image_without_ground_truth():
    target = BoxList([], SIZE)
    target.add_field("labels", torch.zeros(0))
    proposals = BoxList([[0, 0, 5, 5], [1, 1, 9, 9]], SIZE)
    sampled = ProposalSampler(Matcher(0.5, 0.5), FirstNSampler(6, 0.25))([proposals], [target])
    assert sampled.labels[0].tolist() == [0, 0]


def crowd_as_rle():
    pixels = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    pixels[5:20, 8:30] = 1
    masks = SegmentationMask([coco_mask.encode(np.asfortranarray(pixels))], SIZE)
    np.testing.assert_array_equal(masks.decode()[0], pixels)


def refused(polygons):
    with pytest.raises(ValueError, match="instance 0: no polygon with 3 finite vertices"):
        SegmentationMask([polygons], SIZE)


REPAIRED = {
    "project_masks no proposals, maskiou on": no_proposals,
    "project_masks no proposals, maskiou off": no_proposals,
    "project_masks degenerate proposal (zero size)": degenerate_proposal,
    "instance fully outside the image: full area 0": outside_the_image,
    "instance one pixel wide window": window_of_one_pixel,
    "nan ratio through torch.max(ratio, 1e-10)": outside_the_image,
    "mask loss with maskiou on: image without positives": losses_without_positives,
    "mask loss with maskiou off: image without positives": losses_without_positives,
    "maskiou loss without positives": losses_without_positives,
    "box head subsample with an image without gt": image_without_ground_truth,
    "RLE (crowd) segmentation given to SegmentationMask": crowd_as_rle,
    "polygon with 2 vertices only": lambda: refused([[1.0, 1.0, 5.0, 5.0]]),
    "empty polygon list": lambda: refused([]),
}


@pytest.mark.parametrize("name", RECORDED)
def test_edge(name):
    REPAIRED[name]()


@pytest.fixture(scope="module")
def c4():
    torch.manual_seed(0)
    options = {"MODEL.ROI_HEADS.SCORE_THRESH": 0.0, "MODEL.ROI_HEADS.DETECTIONS_PER_IMG": 5}
    model = build_detection_model(thin_config("e2e_mask_rcnn_R_50_C4_1x.yaml", options)).eval()
    images = torch.randn(2, 3, 64, 64) * 50
    with torch.no_grad():
        return model, images, model(images)


@pytest.mark.parametrize("case", C4_CASES)
def test_c4_predicts_masks(c4, case, monkeypatch):
    """The original raised in each of the recorded cases; the masks are those of the box kept."""
    model, images, everything = c4
    assert not C4_CASES[case]["ok"]
    count = 5 if case == "natural" else int(case.split("_")[1])
    box = model.roi_heads.box
    find = box.detections
    monkeypatch.setattr(box, "detections", lambda *given: [d[:count] for d in find(*given)])
    with torch.no_grad():
        cut = model(images)
    for some, full in zip(cut, everything, strict=True):
        assert some.get_field("mask").shape == (count, 1, 14, 14)
        assert some.bbox.equal(full.bbox[:count])
        torch.testing.assert_close(some.get_field("mask"), full.get_field("mask")[:count])
