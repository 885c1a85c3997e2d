"""Keypoints beside masks and mask scores; batches with images that have nothing to learn."""

import pytest
import torch

from maskrcnn_benchmark.modeling.analysis import analyze_parts
from maskrcnn_benchmark.modeling.detector import build_detection_model, check_model
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.keypoints import Keypoints
from maskrcnn_benchmark.structures.segmentation_mask import SegmentationMask
from tests.helpers.tiny_detector import tiny_config

HEAD = {"CONV_LAYERS": (8,), "NUM_CLASSES": 3}
SIZE = (96, 64)


def config(**model):
    return tiny_config(KEYPOINT_ON=True, ROI_KEYPOINT_HEAD=HEAD, **model)


def target(corners, visibility=2.0):
    boxes = BoxList(corners, SIZE)
    boxes.add_field("labels", torch.ones(len(boxes), dtype=torch.int64))
    outlines = [[[x1, y1, x2, y1, x2, y2, x1, y2]] for x1, y1, x2, y2 in boxes.bbox.tolist()]
    boxes.add_field("masks", SegmentationMask(outlines, SIZE))
    centers = (boxes.bbox[:, None, :2] + boxes.bbox[:, None, 2:]) / 2
    points = torch.cat([centers, torch.full_like(centers[..., :1], visibility)], dim=2)
    keypoints = Keypoints(points.expand(-1, 3, 3), SIZE, names=["a", "b", "c"])
    boxes.add_field("keypoints", keypoints)
    return boxes


OBJECT, EMPTY = target([[10, 10, 50, 50]]), target([])
UNSEEN = target([[10, 10, 50, 50]], visibility=0.0)


def images(count):
    return torch.randn(count, 3, 64, 96, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize(
    ("model", "others"),
    [
        ({"MASKIOU_ON": False, "MASK_ON": False}, set()),
        ({"MASKIOU_ON": False}, {"loss_mask"}),
        ({}, {"loss_mask", "loss_maskiou"}),
    ],
)
def test_alone_and_with_masks_and_their_scores(model, others):
    torch.manual_seed(0)
    detector = build_detection_model(config(**model))
    losses = detector.train()(images(2), [OBJECT, EMPTY])
    losses_of_others = {"loss_objectness", "loss_rpn_box_reg", "loss_classifier", "loss_box_reg"}
    assert set(losses) == losses_of_others | others | {"loss_kp"}
    assert losses["loss_kp"] > 0
    with torch.no_grad():
        for found in detector.eval()(images(2)):
            keypoints = found.get_field("keypoints")
            assert keypoints.keypoints.shape == (len(found), 3, 3)
            assert found.has_field("mask_scores") == ("loss_maskiou" in others)


def test_the_other_losses_do_not_depend_on_the_keypoint_head():
    torch.manual_seed(0)
    detector = build_detection_model(config()).train()
    torch.manual_seed(1)
    losses = detector(images(2), [OBJECT, EMPTY])
    detector.roi_heads._further.clear()
    torch.manual_seed(1)
    without = detector(images(2), [OBJECT, EMPTY])
    del losses["loss_kp"]
    assert {n: v.item() for n, v in losses.items()} == {n: v.item() for n, v in without.items()}


@pytest.mark.parametrize("targets", [[EMPTY, EMPTY], [UNSEEN, EMPTY], [UNSEEN, UNSEEN]])
def test_a_batch_without_any_keypoint_has_a_loss_of_0_with_a_gradient(targets):
    torch.manual_seed(0)
    detector = build_detection_model(config()).train()
    losses = detector(images(2), targets)
    assert losses["loss_kp"] == 0
    sum(losses.values()).backward()
    gradients = [p.grad for p in detector.roi_heads.keypoint.parameters()]
    assert all(g is not None and not g.any() for g in gradients)


def test_an_unseen_instance_does_not_change_the_loss_of_the_others():
    torch.manual_seed(0)
    detector = build_detection_model(config()).eval()  # without dropout or statistics
    features = detector.backbone(images(1))
    head = detector.roi_heads.keypoint
    both = target([[10, 10, 50, 50], [60, 5, 90, 60]])
    both.get_field("keypoints").keypoints = both.get_field("keypoints").keypoints.clone()
    both.get_field("keypoints").keypoints[1, :, 2] = 0
    sampler = detector.roi_heads.sampler
    alone, of_both = (
        head.losses(features, sampler([t], [t]))["loss_kp"].item() for t in (OBJECT, both)
    )
    assert of_both == pytest.approx(alone)


def test_no_detections():
    made = config()
    made.MODEL.ROI_HEADS.SCORE_THRESH = 1.0
    with torch.no_grad():
        found = build_detection_model(made).eval()(images(2))
    assert [len(f) for f in found] == [0, 0]
    assert found[0].get_field("keypoints").keypoints.shape == (0, 3, 3)


def test_mixed_precision_decodes_in_full():
    made = config()
    made.DTYPE = "bfloat16"
    torch.manual_seed(0)
    with torch.no_grad():
        found = build_detection_model(made).eval()(images(1))[0]
    keypoints = found.get_field("keypoints")
    assert keypoints.keypoints.dtype == keypoints.get_field("logits").dtype == torch.float32


def test_what_the_head_needs_is_checked():
    made = config()
    made.merge_from_list(["MODEL.ROI_KEYPOINT_HEAD.POOLER_SCALES", (0.125,)])
    assert [problem.split()[0] for problem in check_model(made)] == [
        "MODEL.ROI_KEYPOINT_HEAD.POOLER_SCALES",
        "MODEL.ROI_KEYPOINT_HEAD.RESOLUTION",
        "MODEL.ROI_KEYPOINT_HEAD.SHARE_BOX_FEATURE_EXTRACTOR",
    ]


def test_the_analysis_counts_the_head():
    made = config(MASK_ON=False, MASKIOU_ON=False)
    with torch.device("meta"):
        detector = build_detection_model(made)
    parts = {p.name: p for p in analyze_parts(detector, (64, 96), proposals=10, detections=4)}
    part = parts["keypoint head, 4 regions"]
    assert part.shapes == [(4, 3, 56, 56)]
    assert part.parameters == 16 * 8 * 9 + 8 + 8 * 3 * 16 + 3
