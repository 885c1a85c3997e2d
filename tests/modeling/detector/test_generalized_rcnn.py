"""Whole models against the recorded runs, empty images, batches."""

import numpy as np
import pytest
import torch

from maskrcnn_benchmark.modeling.detector import build_detection_model
from maskrcnn_benchmark.modeling.roi_heads.mask_head import build_mask_targets
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.image_list import to_image_list
from maskrcnn_benchmark.structures.mask_paste import Masker
from maskrcnn_benchmark.structures.segmentation_mask import SegmentationMask
from tests.helpers.recorded_model import (
    load_config,
    recorded_image,
    recorded_images,
    recorded_model,
    recorded_target,
    use_recorded_samplers,
)
from tests.helpers.vectors import load_vector

BOXES = {"rtol": 0, "atol": 1e-2}  # pixels
SCORES = {"rtol": 0, "atol": 1e-4}


@pytest.fixture(scope="module")
def eval_case():
    meta, arrays = load_vector("e2e_ms_R50_FPN_eval")
    return recorded_model(meta["arguments"]).eval(), arrays


def check_image(model, arrays, image):
    images = recorded_images(arrays, [image])
    prefix = f"im{image}"
    with torch.no_grad():
        features = model.backbone(images.tensors)
        for level, feature in enumerate(features):
            expected = arrays[f"{prefix}_feat{level}_slice"]
            got = feature[0, :6, :6, :6]
            np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-3)
        proposals = model.rpn.predict(images, model.rpn(features))[0]
        detections = model(images)[0]
    np.testing.assert_allclose(proposals.bbox, arrays[f"{prefix}_proposals"], **BOXES)
    np.testing.assert_allclose(
        proposals.get_field("objectness"), arrays[f"{prefix}_objectness"], **SCORES
    )
    np.testing.assert_array_equal(detections.get_field("labels"), arrays[f"{prefix}_labels"])
    np.testing.assert_allclose(detections.bbox, arrays[f"{prefix}_boxes"], **BOXES)
    for field, name in (
        ("scores", "scores"),
        ("mask_ious", "maskiou"),
        ("mask_scores", "mask_scores"),
    ):
        np.testing.assert_allclose(
            detections.get_field(field), arrays[f"{prefix}_{name}"], **SCORES
        )
    masks = detections.get_field("mask")
    np.testing.assert_allclose(masks[:24], arrays[f"{prefix}_masks"], rtol=0, atol=2e-3)
    np.testing.assert_allclose(masks.mean(dim=(1, 2, 3)), arrays[f"{prefix}_mask_mean"], **SCORES)
    pasted = Masker().forward_single_image(masks, detections)[:, 0]
    areas = pasted.sum(dim=(1, 2)).numpy()
    np.testing.assert_allclose(areas, arrays[f"{prefix}_pasted_area"], rtol=0.01, atol=4)
    bits = np.unpackbits(arrays[f"{prefix}_pasted_bits"], axis=1)
    same = pasted[:24].flatten(1).numpy() == bits[:, : pasted[0].numel()].astype(bool)
    assert same.mean() > 0.999


def test_recorded_detections(eval_case):
    model, arrays = eval_case
    for image in range(2):
        check_image(model, arrays, image)


def test_a_batch_gives_what_single_images_give(eval_case):
    model, arrays = eval_case
    images = [recorded_image(arrays, 0), recorded_image(arrays, 1), torch.zeros(3, 64, 96)]
    common = to_image_list(images, size_divisible=32)
    with torch.no_grad():
        together = model(common)
        alone = [
            model(type(common)(common.tensors[i : i + 1], common.image_sizes[i : i + 1]))[0]
            for i in range(3)
        ]
    for got, expected in zip(together, alone, strict=True):
        assert len(got) == len(expected)
        torch.testing.assert_close(got.bbox, expected.bbox, rtol=0, atol=1e-2)
        for field in ("labels", "scores", "mask", "mask_ious", "mask_scores"):
            torch.testing.assert_close(
                got.get_field(field), expected.get_field(field), rtol=0, atol=1e-4
            )


def training_model(meta):
    arguments = meta["arguments"]
    model = recorded_model(arguments).train()
    use_recorded_samplers(model, arguments)
    return model


@pytest.fixture(scope="module")
def train_case():
    meta, arrays = load_vector("e2e_ms_R50_FPN_train")
    model = training_model(meta)
    targets = [recorded_target(arrays, i) for i in range(2)]
    return meta, arrays, model, recorded_images(arrays, [0, 1]), targets


def test_recorded_losses_and_gradients(train_case):
    meta, arrays, model, images, targets = train_case
    model.zero_grad()
    losses = model(images, targets)
    for name, loss in losses.items():
        np.testing.assert_allclose(loss.item(), arrays[name], rtol=1e-4, err_msg=name)
    total = sum(losses.values())
    np.testing.assert_allclose(total.item(), arrays["total"], rtol=1e-4)
    total.backward()
    parameters = dict(model.named_parameters())
    for name, norm in meta["arguments"]["gradient_norms"].items():
        got = parameters[name].grad.double().norm().item()
        assert got == pytest.approx(norm, rel=2e-3), name
    for name in meta["arguments"]["frozen"]:
        assert not parameters[name].requires_grad
    for key in (k for k in arrays if k.startswith("grad:")):
        name = key.removeprefix("grad:")
        rows = torch.from_numpy(arrays[f"gradidx:{name}"])
        got = parameters[name].grad.flatten()[rows]
        scale = np.abs(arrays[key]).max()
        np.testing.assert_allclose(got, arrays[key], rtol=1e-2, atol=1e-3 * scale, err_msg=name)


def test_recorded_sampling_and_mask_targets(train_case):
    _, arrays, model, images, targets = train_case
    with torch.no_grad():
        features = model.backbone(images.tensors)
        proposals = model.rpn.train_proposals(images, model.rpn(features))
    sampled = model.roi_heads.sampler(proposals, targets)
    positives = sampled[[labels > 0 for labels in sampled.labels]]
    gt = build_mask_targets(positives, 28)
    counts = [len(b) for b in positives.boxes]
    for i, (masks, fractions) in enumerate(
        zip(gt.masks.split(counts), gt.visible_fraction.split(counts), strict=True)
    ):
        gt_boxes = targets[i].bbox.numpy()
        with_gt = np.concatenate([proposals[i].bbox, gt_boxes])
        np.testing.assert_allclose(with_gt, arrays[f"im{i}_proposals"], **BOXES)
        np.testing.assert_allclose(sampled.boxes[i].bbox, arrays[f"im{i}_sampled_boxes"], **BOXES)
        np.testing.assert_array_equal(sampled.labels[i], arrays[f"im{i}_sampled_labels"])
        offsets = model.roi_heads.box.box_coder.encode(sampled.gt_boxes[i], sampled.boxes[i].bbox)
        np.testing.assert_allclose(offsets, arrays[f"im{i}_reg_targets"], rtol=1e-3, atol=1e-2)
        np.testing.assert_array_equal(positives.labels[i], arrays[f"im{i}_mask_labels"])
        assert (masks.numpy() != arrays[f"im{i}_mask_targets"]).mean() < 1e-3
        np.testing.assert_allclose(fractions, arrays[f"im{i}_mask_ratios"], rtol=1e-2)


def test_the_maskiou_loss_alone_reaches_mask_head_and_pyramid(train_case):
    """Gradient norms of the original; the totals above would not reveal missing ones."""
    _, _, model, images, targets = train_case
    model.zero_grad()
    model(images, targets)["loss_maskiou"].backward()

    def norm(name):
        return model.get_parameter(name).grad.norm().item()

    assert norm("roi_heads.mask.predictor.mask_fcn_logits.weight") == pytest.approx(0.013, abs=5e-4)
    first = "roi_heads.mask.feature_extractor.mask_fcn1.weight"
    assert norm(first) == pytest.approx(0.009, abs=5e-4)
    assert norm("backbone.fpn.fpn_inner1.weight") == pytest.approx(0.61, abs=5e-3)
    box_and_rpn = [
        p.grad for n, p in model.named_parameters() if n.startswith(("roi_heads.box", "rpn"))
    ]
    assert all(grad is None or not grad.any() for grad in box_and_rpn)


def empty_target(size):
    target = BoxList([], size)
    target.add_field("labels", torch.zeros(0, dtype=torch.int64))
    target.add_field("masks", SegmentationMask([], size))
    return target


def gradients(model, losses):
    model.zero_grad()
    sum(losses.values()).backward()
    return {n: p.grad for n, p in model.named_parameters() if p.requires_grad}


def test_an_image_without_ground_truth(train_case):
    _, _, model, images, targets = train_case
    first = type(images)(images.tensors[:1], images.image_sizes[:1])
    losses = model(first, [empty_target(targets[0].size)])
    assert all(torch.isfinite(loss) for loss in losses.values())
    assert losses["loss_mask"] == losses["loss_maskiou"] == losses["loss_box_reg"] == 0
    assert losses["loss_rpn_box_reg"] == 0
    assert losses["loss_objectness"] > 0 and losses["loss_classifier"] > 0
    assert all(grad is not None for grad in gradients(model, losses).values())


def test_a_mixed_batch(train_case):
    _, _, model, images, targets = train_case
    size = (images.image_sizes[1][1], images.image_sizes[1][0])
    both = model(images, [targets[0], empty_target(size)])
    assert all(grad is not None for grad in gradients(model, both).values())
    parts = [type(images)(images.tensors[i : i + 1], images.image_sizes[i : i + 1]) for i in (0, 1)]
    # the limits of proposals count over the batch, so leave them wide for the comparison
    limits = model.rpn.train_limits
    model.rpn.train_limits = type(limits)(500, 2000, 10**6, per_batch=True)
    both = model(images, [targets[0], empty_target(size)])
    full, empty = model(parts[0], [targets[0]]), model(parts[1], [empty_target(size)])
    model.rpn.train_limits = limits
    for name in ("loss_mask", "loss_maskiou"):
        torch.testing.assert_close(both[name], full[name], rtol=1e-4, atol=1e-6)
    # each image gives as many samples here, so the joint loss is the mean of the two
    for name in ("loss_objectness", "loss_rpn_box_reg", "loss_classifier", "loss_box_reg"):
        mean = (full[name] + empty[name]) / 2
        torch.testing.assert_close(both[name], mean, rtol=1e-4, atol=1e-6)


def tiny(name="e2e_ms_rcnn_R_50_FPN_1x.yaml", *overrides, paste_masks=True):
    widths = ["MODEL.RESNETS.WIDTH_PER_GROUP", 8, "MODEL.RESNETS.RES2_OUT_CHANNELS", 32]
    heads = ["MODEL.ROI_BOX_HEAD.MLP_HEAD_DIM", 32, "MODEL.BACKBONE.OUT_CHANNELS", 16]
    masks = ["MODEL.ROI_MASK_HEAD.CONV_LAYERS", (16, 16)]
    cfg = load_config(name, [*widths, *heads, *masks, *overrides])
    torch.manual_seed(0)
    return build_detection_model(cfg, paste_masks=paste_masks)


def test_no_detections():
    model = tiny("e2e_ms_rcnn_R_50_FPN_1x.yaml", "MODEL.ROI_HEADS.SCORE_THRESH", 1.0).eval()
    with torch.no_grad():
        results = model([torch.randn(3, 64, 96), torch.randn(3, 96, 64)])
    for result in results:
        assert len(result) == 0
        assert result.get_field("mask").shape == (0, 1, 28, 28)
        for field in ("scores", "mask_ious", "mask_scores", "labels"):
            assert result.get_field(field).shape == (0,)


def test_pasting_in_the_model_keeps_the_scores():
    images = torch.randn(2, 3, 64, 96) * 50
    thresholds = ["MODEL.ROI_HEADS.SCORE_THRESH", 0.0]
    plain = tiny("e2e_ms_rcnn_R_50_FPN_1x.yaml", *thresholds).eval()
    pasting = tiny(
        "e2e_ms_rcnn_R_50_FPN_1x.yaml",
        *thresholds,
        "MODEL.ROI_MASK_HEAD.POSTPROCESS_MASKS",
        True,
    ).eval()
    with torch.no_grad():
        for soft, pasted in zip(plain(images), pasting(images), strict=True):
            torch.testing.assert_close(
                soft.get_field("mask_scores"), pasted.get_field("mask_scores")
            )
            expected = Masker().forward_single_image(soft.get_field("mask"), soft)
            assert torch.equal(pasted.get_field("mask"), expected)


def test_callers_that_paste_get_probabilities():
    """For any config; and pasted masks are not pasted again."""
    options = ["MODEL.ROI_HEADS.SCORE_THRESH", 0.0, "MODEL.ROI_MASK_HEAD.POSTPROCESS_MASKS", True]
    name = "e2e_ms_rcnn_R_50_FPN_1x.yaml"
    images = torch.randn(1, 3, 64, 96) * 50
    with torch.no_grad():
        soft = tiny(name, *options, paste_masks=False).eval()(images)[0]
        pasted = tiny(name, *options).eval()(images)[0]
    assert soft.get_field("mask").shape[1:] == (1, 28, 28)
    assert len(Masker().forward_single_image(soft.get_field("mask"), soft)) == len(soft) > 0
    assert pasted.get_field("mask").shape[1:] == (1, 64, 96)
    with pytest.raises(ValueError, match=r"dtype torch.bool are pasted already.*POSTPROCESS_MASKS"):
        Masker().forward_single_image(pasted.get_field("mask"), pasted)


def test_rpn_only():
    model = tiny("e2e_ms_rcnn_R_50_FPN_1x.yaml", "MODEL.RPN_ONLY", True)
    target = empty_target((96, 64))
    losses = model(torch.randn(1, 3, 64, 96), [target])
    assert set(losses) == {"loss_objectness", "loss_rpn_box_reg"}
    with torch.no_grad():
        proposals = model.eval()(torch.randn(1, 3, 64, 96))[0]
    objectness = proposals.get_field("objectness")
    assert (objectness[:-1] >= objectness[1:]).all()


def test_targets_are_needed_in_training():
    model = tiny()
    with pytest.raises(ValueError, match="got none for 2 images"):
        model(torch.zeros(2, 3, 64, 64))
