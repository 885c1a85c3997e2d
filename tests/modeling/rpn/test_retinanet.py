"""RetinaNet against the recorded values, oracles and edge cases."""

import copy
import math

import numpy as np
import pytest
import torch

from maskrcnn_benchmark.layers import sigmoid_focal_loss
from maskrcnn_benchmark.modeling.box_coder import BoxCoder
from maskrcnn_benchmark.modeling.detector import build_detection_model
from maskrcnn_benchmark.modeling.matcher import Matcher
from maskrcnn_benchmark.modeling.rpn.anchor_generator import AnchorGenerator
from maskrcnn_benchmark.modeling.rpn.retinanet.candidates import (
    CandidateLimits,
    Candidates,
    select_candidates,
)
from maskrcnn_benchmark.modeling.rpn.retinanet.loss import (
    LossWeights,
    anchor_classes,
    retinanet_losses,
)
from maskrcnn_benchmark.modeling.rpn.retinanet.retinanet import (
    RetinaNet,
    RetinaNetHead,
    make_retinanet_anchors,
)
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.image_list import ImageList
from tests.helpers import ops_oracles
from tests.helpers.every_key import config_with
from tests.helpers.recorded_model import (
    load_config,
    recorded_images,
    recorded_model,
    recorded_target,
)
from tests.helpers.thin_model import two_objects
from tests.helpers.vectors import load_vector

UPSTREAM = "vectors_upstream"
CODER = BoxCoder((10.0, 10.0, 5.0, 5.0))
WEIGHTS = LossWeights(alpha=0.25, gamma=2.0, box_beta=0.11, box_divisor=4.0)


def tensors(arrays, prefix, count=3):
    return [torch.from_numpy(arrays[f"{prefix}{i}"].copy()) for i in range(count)]


class GivenHead(torch.nn.Module):
    """Return given logits and offsets."""

    def __init__(self, logits, deltas):
        super().__init__()
        self.maps = logits, deltas

    def forward(self, features):
        return self.maps


def recorded_net(arguments, arrays, limits=None):
    """Return a RetinaNet whose head gives the recorded maps."""
    config = config_with(
        {
            "MODEL.RETINANET.ANCHOR_SIZES": tuple(arguments["anchor_sizes"]),
            "MODEL.RETINANET.ANCHOR_STRIDES": tuple(arguments["strides"]),
        }
    )
    logits, deltas = tensors(arrays, "cls"), tensors(arrays, "box")
    net = RetinaNet(
        GivenHead(logits, deltas),
        make_retinanet_anchors(config),
        matcher=Matcher(arguments.get("fg", 0.5), arguments.get("bg", 0.4), True),
        weights=WEIGHTS,
        limits=limits or CandidateLimits(0.05, 1000, 0.4, 100),
        box_coder=CODER,
    )
    sizes = [(height, width) for width, height in arguments["image_sizes_wh"]]
    return net, ImageList(torch.zeros(2, 3, 40, 56), sizes), logits, deltas


def by_label_and_score(boxes, scores, labels):
    order = np.lexsort((*boxes.round(1).T, scores.round(5), labels))
    return np.concatenate([boxes, scores[:, None], labels[:, None]], axis=1)[order]


def rows(detections):
    fields = (detections.get_field(name).numpy() for name in ("scores", "labels"))
    return by_label_and_score(detections.bbox.numpy(), *fields)


def test_anchors_recorded():
    meta, arrays = load_vector("retinanet_anchors", UPSTREAM)
    arguments = meta["arguments"]
    generator = make_retinanet_anchors(config_with({}))
    assert generator.num_anchors_per_location() == [9] * 5
    features = [torch.zeros(1, 1, *shape) for shape in arguments["feature_shapes"]]
    for level, anchors in enumerate(generator(features)):
        cell = list(generator.cell_anchors)[level]
        np.testing.assert_array_equal(cell, arrays[f"cell{level}"])
        np.testing.assert_array_equal(anchors, arrays[f"anchors{level}"])


def test_several_sizes_on_one_level():
    one = AnchorGenerator([(32, 48)], (1.0,), (16,))
    assert [cell.tolist() for cell in one.cell_anchors] == [
        cell.tolist() for cell in AnchorGenerator((32, 48), (1.0,), (16,)).cell_anchors
    ]


def test_head_recorded():
    meta, arrays = load_vector("retinanet_head", UPSTREAM)
    head = RetinaNetHead(8, num_anchors=9, num_classes=5, num_convs=2, prior_prob=0.01)
    bias = meta["arguments"]["initial_cls_bias"]
    assert head.cls_logits.bias.detach().numpy() == pytest.approx(bias, abs=1e-6)
    assert head.bbox_pred.bias.abs().max() == 0
    head.load_state_dict({k[2:]: torch.from_numpy(v) for k, v in arrays.items() if k[:2] == "w:"})
    logits, deltas = head(tensors(arrays, "feature"))
    for level in range(3):
        np.testing.assert_allclose(logits[level].detach(), arrays[f"cls{level}"], atol=1e-5)
        np.testing.assert_allclose(deltas[level].detach(), arrays[f"box{level}"], atol=1e-5)


def test_targets_losses_and_gradients_recorded():
    meta, arrays = load_vector("retinanet_loss", UPSTREAM)
    arguments = meta["arguments"]
    net, images, logits, deltas = recorded_net(arguments, arrays)
    for maps in logits + deltas:
        maps.requires_grad_()
    targets = []
    for image, size in enumerate(arguments["image_sizes_wh"]):
        target = BoxList(torch.from_numpy(arrays[f"gt_boxes{image}"]), tuple(size))
        target.add_field("labels", torch.from_numpy(arrays[f"gt_labels{image}"]))
        targets.append(target)
    output = net(logits)
    for image, target in enumerate(targets):
        labels, offsets = anchor_classes(
            torch.cat(output.anchors), target, matcher=net.matcher, box_coder=CODER
        )
        np.testing.assert_array_equal(labels, arrays[f"labels{image}"])
        np.testing.assert_allclose(offsets, arrays[f"reg_targets{image}"], rtol=1e-4, atol=1e-4)
    losses, _ = net.losses(images, logits, targets)
    assert losses["loss_retina_cls"].item() == pytest.approx(arrays["loss_cls"].item(), rel=1e-5)
    assert losses["loss_retina_reg"].item() == pytest.approx(arrays["loss_reg"].item(), rel=1e-5)
    sum(losses.values()).backward()
    for level in range(3):
        np.testing.assert_allclose(logits[level].grad, arrays[f"grad_cls{level}"], atol=1e-6)
        np.testing.assert_allclose(deltas[level].grad, arrays[f"grad_box{level}"], atol=1e-6)


def test_detections_recorded():
    meta, arrays = load_vector("retinanet_postprocess", UPSTREAM)
    arguments = meta["arguments"]
    limits = CandidateLimits(
        arguments["pre_nms_thresh"],
        arguments["pre_nms_top_n"],
        arguments["nms"],
        arguments["detections_per_img"],
    )
    net, images, logits, _ = recorded_net(arguments, arrays, limits)
    found = net.detections(images, net(logits))
    for image, detections in enumerate(found):
        assert detections.size == tuple(arguments["image_sizes_wh"][image])
        names = ("boxes", "scores", "labels")
        expected = by_label_and_score(*(arrays[f"{name}{image}"] for name in names))
        np.testing.assert_allclose(rows(detections), expected, atol=1e-3)


@pytest.fixture(scope="module")
def whole():
    """Return the model of both recorded runs, whose weights are the same."""
    return recorded_model(load_vector("e2e_retinanet_R50_FPN_eval", UPSTREAM)[0]["arguments"])


def test_whole_model_recorded(whole):
    _, arrays = load_vector("e2e_retinanet_R50_FPN_eval", UPSTREAM)
    for image in range(2):
        with torch.no_grad():
            detections = whole.eval()(recorded_images(arrays, [image], 32))[0]
        names = ("boxes", "scores", "labels")
        expected = by_label_and_score(*(arrays[f"im{image}_{name}"] for name in names))
        np.testing.assert_allclose(rows(detections), expected, atol=1e-2)
        np.testing.assert_allclose(rows(detections)[:, 4], expected[:, 4], atol=1e-4)


def test_training_step_of_the_whole_model_recorded(whole):
    meta, arrays = load_vector("e2e_retinanet_R50_FPN_train", UPSTREAM)
    model = whole.train()
    targets = [recorded_target(arrays, image) for image in range(2)]
    losses = model(recorded_images(arrays, [0, 1], 32), targets)
    for loss, value in losses.items():
        np.testing.assert_allclose(value.item(), arrays[loss], rtol=1e-4, err_msg=loss)
    sum(losses.values()).backward()
    for name, norm in meta["arguments"]["gradient_norms"].items():
        got = model.get_parameter(name).grad.double().norm().item()
        assert got == pytest.approx(norm, rel=5e-3), name
    for key in (key for key in arrays if key.startswith("grad:")):
        gradient = model.get_parameter(key.removeprefix("grad:")).grad.flatten()
        got = gradient[arrays[key.replace("grad:", "gradidx:")]]
        np.testing.assert_allclose(got, arrays[key], atol=5e-3 * np.abs(arrays[key]).max())


def slow_losses(logits, deltas, labels, offsets):
    """Return the two losses in float64, anchor by anchor."""
    classes, boxes, positives = 0.0, 0.0, int((labels > 0).sum())
    for image, anchor in np.ndindex(*labels.shape):
        label = labels[image, anchor]
        if label < 0:
            continue
        for number, logit in enumerate(logits[image, anchor].double().tolist(), start=1):
            signed = logit if number == label else -logit
            wrong = 1 / (1 + math.exp(signed))
            weight = WEIGHTS.alpha if number == label else 1 - WEIGHTS.alpha
            classes += weight * wrong**2 * math.log1p(math.exp(-signed))
        if label > 0:
            for error in (deltas - offsets)[image, anchor].abs().double().tolist():
                small = error < WEIGHTS.box_beta
                loss = 0.5 * error**2 / WEIGHTS.box_beta if small else error - WEIGHTS.box_beta / 2
                boxes += loss
    return classes / (positives + len(labels)), boxes / max(1, positives * WEIGHTS.box_divisor)


@pytest.mark.parametrize("positives", [0, 3])
def test_losses_by_hand(positives):
    generator = torch.Generator().manual_seed(0)
    logits, deltas, offsets = (torch.randn(2, 6, width, generator=generator) for width in (3, 4, 4))
    labels = torch.tensor([[0, -1, 0, 0, 0, -1], [0] * 6])
    labels[0, :positives] = torch.tensor([2, 1, 3])[:positives]
    offsets[labels <= 0] = torch.nan  # of a degenerate ground truth: must not leak
    for maps in (logits, deltas):
        maps.requires_grad_()
    got = retinanet_losses(logits, deltas, labels, offsets, WEIGHTS)
    expected = slow_losses(logits.detach(), deltas.detach(), labels, offsets)
    torch.testing.assert_close(torch.stack(got).detach(), torch.tensor(expected))
    sum(got).backward()
    assert logits.grad.isfinite().all() and deltas.grad.isfinite().all()
    assert (logits.grad[labels < 0] == 0).all() and (deltas.grad[labels <= 0] == 0).all()


@pytest.mark.parametrize("logit", [-1e4, 1e4])
def test_losses_of_extreme_logits_are_finite(logit):
    logits = torch.full((1, 3, 2), logit, requires_grad=True)
    labels = torch.tensor([[1, 0, -1]])
    boxes = torch.zeros(1, 3, 4)
    loss, _ = retinanet_losses(logits, boxes, labels, boxes, WEIGHTS)
    loss.backward()
    assert loss.isfinite() and logits.grad.isfinite().all()
    of_two = sigmoid_focal_loss(logits[0, :2], torch.tensor([[1.0, 0], [0, 0]])).sum() / 2
    assert loss.item() == pytest.approx(of_two.item())


def test_images_without_ground_truth_train():
    labels, offsets = anchor_classes(
        torch.tensor([[0.0, 0, 9, 9]]),
        BoxList([], (20, 20)),
        matcher=Matcher(0.5, 0.4, True),
        box_coder=CODER,
    )
    assert labels.tolist() == [0] and labels.dtype == torch.int64
    assert offsets.tolist() == [[0, 0, 0, 0]]


def random_candidates(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(2, count, 2, generator=generator) * 20
    boxes = torch.cat([corner, corner + 5 + torch.rand(2, count, 2, generator=generator) * 10], 2)
    scores = torch.rand(2, count, generator=generator)
    return Candidates(boxes, scores, torch.randint(1, 4, (2, count), generator=generator))


@pytest.mark.parametrize("most", [0, 5])
def test_selection_is_that_of_each_image_and_class(most):
    candidates, limits = random_candidates(40), CandidateLimits(0.3, 1000, 0.3, most)
    sizes = [(40, 40), (30, 50)]
    found = select_candidates(candidates, sizes, limits, pixel_offset=1.0)
    for image, detections in enumerate(found):
        parts = (candidates.boxes, candidates.scores, candidates.labels)
        boxes, scores, labels = (part[image].numpy() for part in parts)
        kept = ops_oracles.nms(boxes, scores, limits.nms, labels)
        kept = [row for row in kept if scores[row] > limits.score_thresh][: most or None]
        expected = by_label_and_score(boxes[kept], scores[kept], labels[kept])
        np.testing.assert_array_equal(rows(detections), expected)
        assert detections.size == sizes[image] and len(kept) > 3


def test_ties_at_the_limit_are_kept():
    boxes = torch.tensor([[[0.0, 0, 4, 4], [10, 0, 14, 4], [20, 0, 24, 4]]])
    candidates = Candidates(boxes, torch.tensor([[0.9, 0.5, 0.5]]), torch.tensor([[1, 1, 1]]))
    (found,) = select_candidates(
        candidates, [(40, 40)], CandidateLimits(0.05, 10, 0.5, 2), pixel_offset=1.0
    )
    assert len(found) == 3


def test_nothing_is_selected_without_candidates():
    empty = Candidates(torch.zeros(2, 0, 4), torch.zeros(2, 0), torch.zeros(2, 0, dtype=torch.long))
    limits = CandidateLimits(0.05, 10, 0.5, 2)
    for candidates in (empty, random_candidates(4)):
        low = Candidates(candidates.boxes, candidates.scores * 0, candidates.labels)
        found = select_candidates(low, [(40, 40)] * 2, limits, pixel_offset=1.0)
        assert [len(detections) for detections in found] == [0, 0]
        assert [sorted(detections.fields()) for detections in found] == [["labels", "scores"]] * 2


SMALL = {
    "MODEL.RESNETS.RES2_OUT_CHANNELS": 8,
    "MODEL.RESNETS.STEM_OUT_CHANNELS": 8,
    "MODEL.BACKBONE.CONV_BODY": "R-18-FPN-RETINANET",
    "MODEL.BACKBONE.OUT_CHANNELS": 8,
    "MODEL.RETINANET.NUM_CLASSES": 4,
    "MODEL.RETINANET.NUM_CONVS": 1,
}


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    options = [part for pair in SMALL.items() for part in pair]
    config = load_config("retinanet/retinanet_R-50-FPN_1x.yaml", options)
    model = build_detection_model(config)
    torch.nn.init.normal_(model.rpn.head.cls_logits.weight, std=0.3)  # some detections
    torch.nn.init.constant_(model.rpn.head.cls_logits.bias, -2)
    return model


def test_strides_follow_from_any_pyramid():
    config = config_with(SMALL | {"MODEL.RETINANET_ON": True})
    config.MODEL.BACKBONE.CONV_BODY = "R-18-FPN"
    model = build_detection_model(config)
    assert config.MODEL.RETINANET.ANCHOR_STRIDES == (4, 8, 16, 32, 64)
    assert config.MODEL.RPN.ANCHOR_STRIDE == (16,)  # no key of this model
    with torch.no_grad():
        model.eval()(torch.zeros(1, 3, 64, 64))
    assert model.roi_heads is None
    config.MODEL.RETINANET.ANCHOR_STRIDES = (8, 16, 32, 64, 128)
    with pytest.raises(ValueError, match=r"RETINANET.ANCHOR_STRIDES is .* R-18-FPN have strides"):
        build_detection_model(config)


def test_batches_equal_single_images(small):
    images = torch.randn(2, 3, 64, 96) * 50
    with torch.no_grad():
        together = small.eval()(images)
        alone = [small.eval()(images[i : i + 1])[0] for i in range(2)]
    for one, other in zip(together, alone, strict=True):
        assert len(one) > 5
        np.testing.assert_allclose(rows(one), rows(other), atol=1e-3)


def test_a_batch_with_an_empty_image_trains(small):
    empty = BoxList([], (64, 64))
    empty.add_field("labels", torch.zeros(0, dtype=torch.int64))
    images = torch.randn(2, 3, 64, 64) * 50
    for targets in ([two_objects(), empty], [empty, empty]):
        losses = small.train()(images, targets)
        assert set(losses) == {"loss_retina_cls", "loss_retina_reg"}
        small.zero_grad()
        sum(losses.values()).backward()
        trained = [p for p in small.parameters() if p.requires_grad]
        assert all(p.grad is not None and p.grad.isfinite().all() for p in trained)
    assert losses["loss_retina_reg"] == 0 and losses["loss_retina_cls"] > 0


@pytest.mark.parametrize("layer", ["cls_logits", "bbox_pred"])
def test_a_diverged_model_detects_nothing(small, layer):
    model = copy.deepcopy(small).eval()
    images = torch.zeros(1, 3, 64, 64)
    with torch.no_grad():
        assert len(model(images)[0]) > 0
        model.rpn.head.get_submodule(layer).bias.fill_(torch.nan)
        assert len(model(images)[0]) == 0
