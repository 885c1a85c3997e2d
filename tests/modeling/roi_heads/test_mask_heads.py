"""Mask targets, MaskIoU targets, their losses and the MaskIoU head."""

import numpy as np
import pytest
import torch

from maskrcnn_benchmark.modeling.matcher import Matcher
from maskrcnn_benchmark.modeling.roi_heads.mask_head import (
    MaskTargets,
    build_mask_targets,
    mask_loss,
    select_class,
)
from maskrcnn_benchmark.modeling.roi_heads.maskiou_head import (
    MaskIoUFeatureExtractor,
    MaskIoUPredictor,
    ROIMaskIoUHead,
    mask_iou_loss,
    mask_iou_target,
    mask_score,
    select_iou,
)
from maskrcnn_benchmark.modeling.roi_heads.sampling import ProposalSampler, SampledProposals
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.segmentation_mask import SegmentationMask
from tests.helpers.first_n_sampler import FirstNSampler
from tests.helpers.polygons import unflatten
from tests.helpers.recorded_model import set_recorded_weights
from tests.helpers.vectors import load_vector


def with_masks(boxes, size, labels, masks):
    target = BoxList(boxes, size)
    target.add_field("labels", labels)
    target.add_field("masks", SegmentationMask(masks, size))
    return target


@pytest.mark.parametrize("side", [14, 28])
def test_projected_masks_and_visible_fractions(side):
    meta, arrays = load_vector("project_masks")
    size = tuple(meta["arguments"]["image_size_wh"])
    masks = unflatten(arrays, "poly")
    index = torch.from_numpy(arrays["instance_index"])
    proposals = BoxList(torch.from_numpy(arrays["proposals"]), size)
    count = len(masks)
    target = with_masks(torch.zeros(count, 4), size, torch.ones(count).long(), masks)
    positives = SampledProposals([proposals], [torch.ones(29).long()], [index], [target])
    gt = build_mask_targets(positives, side)
    np.testing.assert_array_equal(gt.masks, arrays[f"mask_targets_{side}"])
    np.testing.assert_allclose(gt.visible_fraction, arrays["mask_ratios"], rtol=1e-6)


@pytest.mark.parametrize("name", ["mask_maskiou_targets_14", "mask_maskiou_targets_28"])
def test_mask_and_maskiou_targets_and_losses(name):
    meta, arrays = load_vector(name)
    arguments = meta["arguments"]
    size = tuple(arguments["image_size_wh"])
    proposals, targets = [], []
    for i in range(arguments["num_images"]):
        targets.append(
            with_masks(
                torch.from_numpy(arrays[f"gt_boxes{i}"]),
                size,
                torch.from_numpy(arrays[f"gt_labels{i}"]),
                unflatten(arrays, f"poly{i}"),
            )
        )
        proposals.append(BoxList(torch.from_numpy(arrays[f"proposals{i}"]), size))
    matcher = Matcher(arguments["fg_iou"], arguments["bg_iou"])
    sampler = ProposalSampler(matcher, FirstNSampler(512, 1))
    positives = sampler.match(proposals, targets)
    labels = positives.all_labels()
    np.testing.assert_array_equal(labels, arrays["labels"])
    gt = build_mask_targets(positives, arguments["resolution"])
    np.testing.assert_array_equal(gt.masks, arrays["mask_targets"])
    np.testing.assert_allclose(gt.visible_fraction, arrays["mask_ratios"], rtol=1e-6)

    logits = torch.from_numpy(arrays["logits_matched"]).requires_grad_()
    loss = mask_loss(logits, gt.masks)
    np.testing.assert_allclose(loss.item(), arrays["loss_mask"], rtol=1e-5)
    loss.backward()
    np.testing.assert_allclose(logits.grad, arrays["grad_logits"], atol=1e-7)
    np.testing.assert_allclose(
        logits.detach().sigmoid()[:, None], arrays["selected_mask"], atol=1e-6
    )
    iou_target = mask_iou_target(logits.detach(), gt)
    np.testing.assert_allclose(iou_target, arrays["maskiou_targets"], rtol=1e-5, atol=1e-7)

    pred = torch.from_numpy(arrays["pred_maskiou"]).requires_grad_()
    loss = mask_iou_loss(select_iou(pred, labels), iou_target)
    np.testing.assert_allclose(loss.item(), arrays["loss_maskiou"], rtol=1e-5)
    np.testing.assert_allclose(2.5 * loss.item(), arrays["loss_maskiou_w2_5"], rtol=1e-5)
    loss.backward()
    np.testing.assert_allclose(
        select_iou(pred.grad, labels), arrays["grad_pred_maskiou"], atol=1e-7
    )


def test_an_instance_without_area_is_left_out():
    logits = torch.full((2, 4, 4), 5.0)
    gt = MaskTargets(torch.ones(2, 4, 4), torch.tensor([float("nan"), 1.0]))
    assert mask_iou_target(logits, gt).tolist() == [0, 1]


def test_empty_losses_are_zero_and_keep_the_graph():
    labels = torch.zeros(0, dtype=torch.int64)
    logits = torch.zeros(0, 5, 28, 28, requires_grad=True)
    selected = select_class(logits, labels)
    gt = MaskTargets(torch.zeros(0, 28, 28), torch.zeros(0))
    head = ROIMaskIoUHead(MaskIoUFeatureExtractor(8, 14), MaskIoUPredictor(1024, 5))
    pred = head(torch.zeros(0, 8, 14, 14), selected.sigmoid())
    loss_maskiou = mask_iou_loss(select_iou(pred, labels), mask_iou_target(selected.detach(), gt))
    total = mask_loss(selected, gt.masks) + loss_maskiou
    assert total.item() == 0
    total.backward()
    assert logits.grad is not None
    assert all(p.grad is not None and not p.grad.any() for p in head.parameters())


def test_zero_targets_do_not_count():
    pred = torch.tensor([[0.0, 0.9], [0.0, 0.5]], requires_grad=True)
    loss = mask_iou_loss(select_iou(pred, torch.tensor([1, 1])), torch.tensor([0.0, 0.7]))
    assert loss.item() == pytest.approx(0.5 * 0.2**2)


def test_maskiou_head():
    meta, arrays = load_vector("maskiou_head")
    head = ROIMaskIoUHead(MaskIoUFeatureExtractor(256, 14), MaskIoUPredictor(1024, 81))
    arguments = meta["arguments"]
    assert sorted(head.state_dict()) == arguments["state_dict_keys_sorted"]
    rule = arguments["weight_rule"]
    set_recorded_weights(head, arguments["base_seed"], rule)
    features = torch.from_numpy(arrays["features"].astype(np.float32))
    masks = torch.from_numpy(arrays["mask"])[:, 0]
    with torch.no_grad():
        np.testing.assert_allclose(
            head.feature_extractor(features, masks), arrays["fc_features"], rtol=1e-4, atol=1e-4
        )
        ious = head(features, masks)
    np.testing.assert_allclose(ious, arrays["maskiou"], rtol=1e-4, atol=1e-4)
    mask_ious = select_iou(ious, torch.from_numpy(arrays["labels"]))
    got = mask_score(torch.from_numpy(arrays["scores"]), mask_ious)
    np.testing.assert_allclose(got, arrays["mask_scores"], rtol=1e-4)


@pytest.mark.parametrize(
    ("roi_side", "mask_side"), [(14, 28), (14, 14), (7, 28), (9, 18), (7, 14), (10, 20), (20, 20)]
)
def test_the_mask_lies_beside_the_features_max_pooled_to_their_side(roi_side, mask_side):
    """By RESOLUTION / POOLER_RESOLUTION: 2 on FPN, 1 on C4."""
    extractor = MaskIoUFeatureExtractor(6, roi_side)
    seen = []
    extractor.maskiou_fcn1.register_forward_hook(lambda _, arguments, __: seen.append(arguments[0]))
    features, masks = torch.randn(2, 6, roi_side, roi_side), torch.rand(2, mask_side, mask_side)
    extractor(features, masks)
    assert seen[0][:, :6].equal(features)
    step = mask_side // roi_side
    blocks = masks.reshape(2, roi_side, step, roi_side, step)
    assert seen[0][:, 6].equal(blocks.amax(dim=(2, 4)))


@pytest.mark.parametrize(("roi_side", "mask_side"), [(14, 28), (14, 14), (7, 28), (9, 18)])
def test_sizes_are_not_hard_coded(roi_side, mask_side):
    extractor = MaskIoUFeatureExtractor(6, roi_side)
    features = torch.randn(2, 6, roi_side, roi_side)
    assert extractor(features, torch.rand(2, mask_side, mask_side)).shape == (2, 1024)


def test_masks_of_the_predicted_class():
    _, arrays = load_vector("mask_postprocess")
    labels = torch.from_numpy(np.concatenate([arrays["labels0"], arrays["labels1"]]))
    masks = select_class(torch.from_numpy(arrays["logits"]), labels).sigmoid()[:, None]
    np.testing.assert_allclose(masks[:4], arrays["mask0"], atol=1e-6)
    np.testing.assert_allclose(masks[4:], arrays["mask1"], atol=1e-6)
    ious = select_iou(torch.from_numpy(arrays["pred_maskiou"]), labels[:4])
    got = mask_score(torch.from_numpy(arrays["scores0"]), ious)
    np.testing.assert_allclose(got, arrays["mask_scores0"], rtol=1e-5, atol=1e-6)
