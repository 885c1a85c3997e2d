"""Converted torchvision detectors give the same results as the originals."""

import pytest
import torch
from torch import nn
from torchvision.models import detection
from torchvision.ops.misc import FrozenBatchNorm2d

from maskrcnn_benchmark.checkpoint.convert import Options, convert_detector
from maskrcnn_benchmark.checkpoint.loading import load_state_dict
from maskrcnn_benchmark.config import make_default_config
from maskrcnn_benchmark.data.transforms.transforms import Normalize
from maskrcnn_benchmark.modeling.detector import build_detection_model
from maskrcnn_benchmark.structures.image_list import to_image_list
from maskrcnn_benchmark.structures.mask_paste import Masker
from tests.helpers.torchvision_detector import random_images, torchvision_detector
from tests.helpers.whole_check import check_whole

UNUSED_IDS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)


def converted_config(conversion):
    cfg = make_default_config()
    cfg.merge_from_other_cfg(conversion.settings)
    check_whole(cfg)
    return cfg


def detect(conversion, images):
    """Return the converted model's detections sorted by score, as in torchvision."""
    cfg = converted_config(conversion)
    cfg.MODEL.MASKIOU_ON = False  # a full-width new head, which takes most of the time
    model = build_detection_model(cfg).eval()
    report = load_state_dict(model, conversion.state)
    from_config = ("rpn.anchor_generator", "num_batches_tracked")
    assert all(any(part in name for part in from_config) for name in report.missing)
    assert not report.unexpected and not report.mismatched
    inputs = cfg.INPUT
    normalize = Normalize(inputs.PIXEL_MEAN, inputs.PIXEL_STD, to_bgr255=inputs.TO_BGR255)
    batch = to_image_list([normalize(i)[0] for i in images], cfg.DATALOADER.SIZE_DIVISIBILITY)
    with torch.no_grad():
        found = model(batch)
    return [d[d.get_field("scores").argsort(descending=True, stable=True)] for d in found]


def detect_theirs(model, images):
    """Return torchvision's detections, and the mask probabilities ``[N, 28, 28]`` of each."""
    logits = []
    hook = model.roi_heads.mask_predictor.register_forward_hook(lambda *a: logits.append(a[2]))
    with torch.no_grad():
        found = model(images)
    hook.remove()
    labels = torch.cat([d["labels"] for d in found])
    masks = logits[0][torch.arange(len(labels)), labels].sigmoid()
    return found, masks.split([len(d["labels"]) for d in found])


def compare(theirs, masks, ours, label_of):
    for expected, soft, got in zip(theirs, masks, ours, strict=True):
        assert len(got) == len(expected["boxes"]) > 20
        assert got.get_field("labels").tolist() == [
            label_of[i] for i in expected["labels"].tolist()
        ]
        torch.testing.assert_close(got.bbox, expected["boxes"], rtol=0, atol=1e-3)
        torch.testing.assert_close(got.get_field("scores"), expected["scores"], rtol=0, atol=1e-5)
        probabilities = got.get_field("mask")
        torch.testing.assert_close(probabilities[:, 0], soft, rtol=0, atol=1e-4)
        pasted = Masker(threshold=0.5).forward_single_image(probabilities, got)
        certain = (
            expected["masks"] - 0.5
        ).abs() > 1e-4  # the others may fall on either side of the threshold
        assert (~certain).float().mean() < 1e-3
        assert (pasted == (expected["masks"] > 0.5))[certain].all()
        assert 0.02 < pasted.float().mean() < 0.98


def test_the_same_detections_and_masks():
    model, images = torchvision_detector(5), random_images()
    theirs, masks = detect_theirs(model, images)
    conversion = convert_detector(model.state_dict())
    assert not conversion.is_coco and not conversion.has_maskiou
    assert len({int(i) for d in theirs for i in d["labels"]}) > 1
    compare(theirs, masks, detect(conversion, images), list(range(5)))


def test_the_same_detections_in_the_order_of_cocos_classes():
    """torchvision's labels are category ids; unused ids are never predicted."""
    model, images = torchvision_detector(91), random_images()
    with torch.no_grad():
        model.roi_heads.box_predictor.cls_score.bias[list(UNUSED_IDS)] = -1e4
    theirs, masks = detect_theirs(model, images)
    conversion = convert_detector(model.state_dict())
    assert conversion.is_coco
    ids = [0, *(i for i in range(1, 91) if i not in UNUSED_IDS)]
    label_of = {category: label for label, category in enumerate(ids)}
    compare(theirs, masks, detect(conversion, images), label_of)


def test_two_models_of_different_conventions_in_one_process():
    model, images = torchvision_detector(5), random_images()
    conversion = convert_detector(model.state_dict())
    before = detect(conversion, images)
    inclusive = converted_config(conversion)
    legacy = ["MODEL.PIXEL_OFFSET", 1, "MODEL.RPN.ANCHOR_RULE", "legacy", "MODEL.MASKIOU_ON", False]
    inclusive.merge_from_list(legacy)
    other = build_detection_model(inclusive).eval()
    with torch.no_grad():
        assert other([torch.zeros(3, 64, 64)])[0].pixel_offset == 1
    for first, second in zip(before, detect(conversion, images), strict=True):
        assert first.pixel_offset == second.pixel_offset == 0
        assert first.bbox.equal(second.bbox)


@pytest.mark.parametrize("frozen", [False, True])
def test_epsilon_of_the_norms(frozen):
    """The published COCO weights have frozen norms, whose epsilon torchvision sets to 0."""
    state = torchvision_detector(91).state_dict()
    variance = state["backbone.body.layer2.1.bn2.running_var"].clone()
    if frozen:
        state = {n: t for n, t in state.items() if not n.endswith("num_batches_tracked")}
    own = [f"thing {number}" for number in range(90)]
    for options, eps in (
        (Options(), 0 if frozen else 1e-5),
        (Options(bn_eps=0.5), 0.5),
        (Options(class_names=own), 1e-5),
    ):
        conversion = convert_detector(state, options)
        folded = conversion.state["backbone.body.layer2.1.bn2.running_var"]
        assert folded.equal(variance + eps)
        assert f"epsilon {eps:g}" in conversion.assumed


def test_frozen_norms_with_epsilon_compute_the_same():
    model, images = torchvision_detector(5), random_images()
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                norm = FrozenBatchNorm2d(child.num_features, eps=0.05)
                norm.load_state_dict(child.state_dict(), strict=False)
                setattr(parent, name, norm)
    theirs, masks = detect_theirs(model, images)
    conversion = convert_detector(model.state_dict(), Options(bn_eps=0.05))
    compare(theirs, masks, detect(conversion, images), list(range(5)))


def test_names_of_older_files():
    state = torchvision_detector(5).state_dict()
    older = {}
    for name, tensor in state.items():
        name = name.replace("rpn.head.conv.0.0.", "rpn.head.conv.")
        for level in range(4):
            for block in ("inner_blocks", "layer_blocks"):
                name = name.replace(f"{block}.{level}.0.", f"{block}.{level}.")
            name = name.replace(f"mask_head.{level}.0.", f"mask_head.mask_fcn{level + 1}.")
        older[name] = tensor
    assert set(older) != set(state)
    expected, got = convert_detector(state).state, convert_detector(older).state
    assert list(got) == list(expected)
    assert all(got[name].equal(expected[name]) for name in got)


@pytest.mark.parametrize(
    "name",
    [
        *("maskrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn_v2"),
        *("fasterrcnn_resnet50_fpn", "fasterrcnn_resnet50_fpn_v2"),
    ],
)
def test_every_tensor_of_the_model_is_converted(name):
    with torch.device("meta"):
        build = getattr(detection, name)
        theirs = build(weights=None, weights_backbone=None, num_classes=7)
        conversion = convert_detector(theirs.state_dict())
        ours = build_detection_model(converted_config(conversion)).state_dict()
    skipped = ("roi_heads.maskiou", "rpn.anchor_generator")
    expected = {n: t.shape for n, t in ours.items() if not n.startswith(skipped)}
    assert {n: t.shape for n, t in conversion.state.items()} == expected
    model = conversion.settings["MODEL"]
    assert model["BACKBONE"]["CONV_BODY"] == "R-50-FPN"
    assert model["MASK_ON"] is ("mask" in name)


def test_the_second_version_detects_the_same():
    model, images = torchvision_detector(5, version=2), random_images()
    theirs, masks = detect_theirs(model, images)
    conversion = convert_detector(model.state_dict())
    assert "batch norm epsilon 1e-05" in conversion.assumed
    compare(theirs, masks, detect(conversion, images), list(range(5)))


@pytest.mark.parametrize("version", [1, 2])
def test_faster_rcnn_detects_the_same(version):
    model, images = torchvision_detector(5, version=version, masks=False), random_images()
    with torch.no_grad():
        model.roi_heads.box_predictor.cls_score.bias[0] -= 8 - version  # so that both detect
        theirs = model(images)
    ours = detect(convert_detector(model.state_dict()), images)
    for expected, got in zip(theirs, ours, strict=True):
        assert len(got) == len(expected["boxes"]) > 20
        assert got.get_field("labels").equal(expected["labels"])
        torch.testing.assert_close(got.bbox, expected["boxes"], rtol=0, atol=1e-3)
        torch.testing.assert_close(got.get_field("scores"), expected["scores"], rtol=0, atol=1e-5)
        assert not got.has_field("mask")


def test_trained_norms_of_a_converted_model_compute_the_same_in_evaluation():
    """With epsilon 0 the variances stay theirs, for NORM BN or SyncBN, which add it."""
    model, images = torchvision_detector(5, version=2), random_images()
    theirs, masks = detect_theirs(model, images)
    conversion = convert_detector(model.state_dict(), Options(bn_eps=0))
    for part in ("RESNETS", "FPN", "ROI_BOX_HEAD", "ROI_MASK_HEAD"):
        conversion.settings["MODEL"].setdefault(part, {})["NORM"] = "SyncBN"
    compare(theirs, masks, detect(conversion, images), list(range(5)))
