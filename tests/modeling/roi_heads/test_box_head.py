import numpy as np
import pytest
import torch

from maskrcnn_benchmark.layers import SoftNMS
from maskrcnn_benchmark.modeling.box_coder import BoxCoder
from maskrcnn_benchmark.modeling.matcher import Matcher
from maskrcnn_benchmark.modeling.roi_heads.box_head import BoxOutput, ROIBoxHead, box_losses
from maskrcnn_benchmark.modeling.roi_heads.detections import (
    DetectionLimits,
    make_soft_nms,
    select_detections,
)
from maskrcnn_benchmark.modeling.roi_heads.sampling import ProposalSampler
from maskrcnn_benchmark.structures.bounding_box import BoxList
from tests.helpers import ops_oracles
from tests.helpers.first_n_sampler import FirstNSampler
from tests.helpers.recorded_model import load_config
from tests.helpers.vectors import load_vector
from tests.helpers.whole_check import check_whole

NO_BOXES = torch.zeros(0, 4)


def test_class_agnostic_boxes_are_those_of_a_head_that_repeats_them():
    """As if the last four offsets were those of every class."""
    torch.manual_seed(0)
    logits, deltas = torch.randn(6, 5), torch.randn(6, 8)
    repeated = torch.cat([deltas[:, :4], deltas[:, 4:].repeat(1, 4)], dim=1)
    labels, targets = torch.tensor([0, 1, 4, 2, 0, 3]), torch.randn(6, 4)
    for found, expected in zip(
        box_losses(logits, deltas, labels, targets),
        box_losses(logits, repeated, labels, targets),
        strict=True,
    ):
        torch.testing.assert_close(found, expected)
    corner = torch.rand(6, 2) * 50
    boxes = BoxList(torch.cat([corner, corner + 20], dim=1), (100, 100))
    coder, limits = BoxCoder((10, 10, 5, 5)), DetectionLimits(0.05, 0.5, 20)
    nothing = torch.nn.Identity()
    head = ROIBoxHead(nothing, nothing, box_coder=coder, limits=limits)
    found, expected = (
        head.detections(BoxOutput(logits, offsets, NO_BOXES, NO_BOXES), [boxes])[0]
        for offsets in (deltas, repeated)
    )
    assert len(set(found.get_field("labels").tolist())) == 4
    for name in ("labels", "scores"):
        assert found.get_field(name).equal(expected.get_field(name))
    torch.testing.assert_close(found.bbox, expected.bbox)


@pytest.mark.parametrize("case", ["a", "b"])
def test_targets_and_losses(case):
    meta, arrays = load_vector("box_loss")
    arguments = meta["arguments"]
    coder = BoxCoder(arguments["weights"])
    sizes = [tuple(s) for s in arguments["image_sizes_wh"]]
    targets = [BoxList(torch.from_numpy(arrays[f"gt_{i}"]), sizes[i]) for i in range(2)]
    for i, target in enumerate(targets):
        target.add_field("labels", torch.from_numpy(arrays[f"gt_labels_{i}"]))
    proposals = [BoxList(torch.from_numpy(arrays[f"proposals_{i}"]), sizes[i]) for i in range(2)]
    sampler = ProposalSampler(
        Matcher(arguments[case]["fg"], arguments[case]["bg"]),
        FirstNSampler(arguments["batch_size_per_image"], arguments["positive_fraction"]),
    )
    matched = sampler.match(proposals, targets)
    drawn = sampler.sampler(matched.labels)
    sampled = matched[[torch.cat(pair).sort().values for pair in zip(*drawn, strict=True)]]
    for i in range(2):
        np.testing.assert_array_equal(matched.labels[i], arrays[f"labels_{case}_{i}"])
        encoded = coder.encode(matched.gt_boxes[i], proposals[i].bbox)
        np.testing.assert_allclose(encoded, arrays[f"reg_targets_{case}_{i}"], rtol=1e-4, atol=1e-4)
        np.testing.assert_array_equal(sampled.boxes[i].bbox, arrays[f"sampled_boxes_{case}_{i}"])
        np.testing.assert_array_equal(sampled.labels[i], arrays[f"sampled_labels_{case}_{i}"])
    logits = torch.from_numpy(arrays[f"logits_{case}"]).requires_grad_()
    deltas = torch.from_numpy(arrays[f"regression_{case}"]).requires_grad_()
    regression = coder.encode(
        torch.cat(sampled.gt_boxes), torch.cat([b.bbox for b in sampled.boxes])
    )
    losses = box_losses(logits, deltas, sampled.all_labels(), regression)
    np.testing.assert_allclose(losses[0].item(), arrays[f"loss_classifier_{case}"], rtol=1e-5)
    np.testing.assert_allclose(losses[1].item(), arrays[f"loss_box_reg_{case}"], rtol=1e-5)
    sum(losses).backward()
    np.testing.assert_allclose(logits.grad, arrays[f"grad_logits_{case}"], atol=1e-6)
    np.testing.assert_allclose(deltas.grad, arrays[f"grad_reg_{case}"], atol=1e-6)


def test_losses_of_nothing_are_zero_with_a_gradient():
    logits, deltas = torch.zeros(0, 5, requires_grad=True), torch.zeros(0, 20, requires_grad=True)
    losses = box_losses(logits, deltas, torch.zeros(0, dtype=torch.int64), NO_BOXES)
    assert [loss.item() for loss in losses] == [0, 0]
    sum(losses).backward()
    assert logits.grad is not None and deltas.grad is not None


def test_sampling_without_ground_truth_gives_background():
    sampler = ProposalSampler(Matcher(0.5, 0.5), FirstNSampler(2, 0.25))
    proposals = [BoxList([[0, 0, 5, 5], [1, 1, 9, 9], [2, 2, 8, 8]], (20, 20))]
    target = BoxList([], (20, 20))
    target.add_field("labels", torch.zeros(0))
    sampled = sampler(proposals, [target])
    assert sampled.labels[0].tolist() == [0, 0]
    assert sampled.labels[0].dtype == torch.int64
    nothing = sampler([target], [target])
    assert len(nothing.boxes[0]) == 0


@pytest.mark.parametrize(
    "case", load_vector("box_postprocess")[0]["arguments"]["cases"], ids=lambda c: str(c["case"])
)
def test_detections(case):
    _, arrays = load_vector("box_postprocess")
    number = case["case"]
    limits = DetectionLimits(case["score_thresh"], case["nms"], case["detections_per_img"])
    logits = torch.from_numpy(arrays[f"logits_{number}"])
    deltas = torch.from_numpy(arrays[f"regression_{number}"])
    first = 0
    for image in range(case["num_images"]):
        proposals = torch.from_numpy(arrays[f"proposals_{number}_{image}"])
        rows = slice(first, first + len(proposals))
        first += len(proposals)
        boxes = BoxCoder(case["reg_weights"]).decode(deltas[rows], proposals)
        detections = select_detections(
            boxes.unflatten(1, (-1, 4)),
            logits[rows].softmax(dim=1),
            tuple(case["image_sizes_wh"][image]),
            limits,
            pixel_offset=1,
        )
        np.testing.assert_array_equal(
            detections.get_field("labels"), arrays[f"labels_{number}_{image}"]
        )
        np.testing.assert_allclose(detections.bbox, arrays[f"boxes_{number}_{image}"], atol=1e-3)
        np.testing.assert_allclose(
            detections.get_field("scores"), arrays[f"scores_{number}_{image}"], atol=1e-6
        )


def test_no_proposals_no_detections():
    detections = select_detections(
        torch.zeros(0, 7, 4),
        torch.zeros(0, 7),
        (10, 10),
        DetectionLimits(0.05, 0.5, 100),
        pixel_offset=1,
    )
    assert len(detections) == 0
    assert detections.get_field("labels").dtype == torch.int64


@pytest.mark.parametrize("method", ["linear", "gaussian"])
@pytest.mark.parametrize("offset", [0.0, 1.0])
def test_soft_nms_ranks_by_the_decayed_scores(method, offset):
    """Three classes, among them one without any box above the threshold."""
    corner = torch.rand(60, 4, 2) * 40
    boxes = torch.cat([corner, corner + 5 + torch.rand(60, 4, 2) * 40], dim=2)
    scores = torch.randn(60, 4).mul(2).softmax(dim=1)
    scores[:, 2] = 0.01
    soft = SoftNMS(method, threshold=0.3, sigma=0.5)
    factor = {
        "linear": lambda o: 1 - o if o >= 0.3 else 1,
        "gaussian": lambda o: np.exp(-(o**2) / 0.5),
    }[method]
    expected = []
    for label in (1, 3):
        rows = (scores[:, label] > 0.05).nonzero().flatten()
        clipped = boxes[rows, label].clamp(0, 64 - offset)
        arrays = clipped.double().numpy(), scores[rows, label].double().numpy()
        kept = ops_oracles.soft_nms(*arrays, factor, offset=offset)
        expected += [(score, label, clipped[i]) for i, score in kept]
    best = sorted(expected, key=lambda row: -row[0])[:15]
    limits = DetectionLimits(0.05, 0.3, 15, soft_nms=soft)
    got = select_detections(boxes, scores, (64, 64), limits, pixel_offset=offset)
    assert len(got) == 15
    labels = got.get_field("labels")
    assert (labels.diff() >= 0).all()  # grouped by class, as without Soft-NMS
    order = got.get_field("scores").argsort(descending=True)
    np.testing.assert_allclose(
        got.get_field("scores")[order], [score for score, _, _ in best], rtol=1e-5
    )
    assert labels[order].tolist() == [label for _, label, _ in best]
    torch.testing.assert_close(got.bbox[order], torch.stack([box for _, _, box in best]))
    nothing = select_detections(
        torch.zeros(0, 4, 4),
        torch.zeros(0, 4),
        (64, 64),
        limits,
        pixel_offset=offset,
    )
    assert len(nothing) == 0


def test_soft_nms_of_the_config():
    cfg = load_config("e2e_ms_rcnn_R_50_FPN_1x.yaml")
    assert make_soft_nms(cfg) is None
    key = "MODEL.ROI_HEADS.SOFT_NMS"
    cfg.merge_from_list([f"{key}.ENABLED", True, "MODEL.ROI_HEADS.NMS", 0.3])
    assert make_soft_nms(cfg) == SoftNMS("linear", threshold=0.3, sigma=0.5, min_score=0.001)
    cfg.merge_from_list([f"{key}.METHOD", "gaussian", f"{key}.SIGMA", 0.7])
    assert make_soft_nms(cfg) == SoftNMS("gaussian", threshold=0.3, sigma=0.7, min_score=0.001)
    cfg.merge_from_list([f"{key}.METHOD", "cubic", f"{key}.SIGMA", 0.0])
    with pytest.raises(ValueError, match="SOFT_NMS.METHOD is 'cubic'") as error:
        check_whole(cfg)
    assert "SOFT_NMS.SIGMA is 0.0; it must be positive" in str(error.value)
