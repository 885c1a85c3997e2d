"""Every YAML of configs/ builds, trains one step and predicts, at 64 pixels.

Files whose models are equal but for weights and numbers of boxes (1x, quick, caffe2) share one
run, at a fraction of their width. R-101, X-101 and X-152 are built in full without memory.
"""

import pytest
import torch

from maskrcnn_benchmark.config import cfg
from maskrcnn_benchmark.modeling.detector import build_detection_model
from maskrcnn_benchmark.solver import make_optimizer
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.class_names import make_num_classes
from maskrcnn_benchmark.structures.keypoints import PersonKeypoints
from maskrcnn_benchmark.structures.segmentation_mask import SegmentationMask
from tests.helpers.shipped_configs import CONFIGS, SHIPPED

SIDE = 64
FEW = {
    "MODEL.RPN.BATCH_SIZE_PER_IMAGE": 16,
    "MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE": 4,
    "MODEL.ROI_HEADS.DETECTIONS_PER_IMG": 3,
    "MODEL.ROI_HEADS.SCORE_THRESH": 0.0,
    "MODEL.RETINANET.INFERENCE_TH": 0.0,
    "TEST.DETECTIONS_PER_IMG": 3,
}
FEW |= {
    f"MODEL.RPN.{stage}_{mode}": count
    for stage, count in (
        ("PRE_NMS_TOP_N", 50),
        ("POST_NMS_TOP_N", 4),
        ("FPN_POST_NMS_TOP_N", 4),
    )
    for mode in ("TRAIN", "TEST")
}
WIDTH = "MODEL.RESNETS.WIDTH_PER_GROUP"
THIN = {
    WIDTH: 16,
    "MODEL.RESNETS.RES2_OUT_CHANNELS": 64,
    "MODEL.GROUP_NORM.NUM_GROUPS": 8,
    "MODEL.ROI_BOX_HEAD.MLP_HEAD_DIM": 64,
    "MODEL.ROI_BOX_HEAD.CONV_HEAD_DIM": 32,
    "MODEL.ROI_MASK_HEAD.CONV_LAYERS": (32, 32),
    "MODEL.FBNET.SCALE_FACTOR": 0.25,
}


def load(name, *, thin=True):
    config = cfg.clone()
    config.merge_from_file(CONFIGS / name)
    options = FEW | (THIN if thin else {})
    if thin and config.MODEL.RESNETS.NUM_GROUPS == 32:
        options |= {WIDTH: 1}
    if thin and config.MODEL.RPN.USE_FPN:
        options |= {"MODEL.BACKBONE.OUT_CHANNELS": 32}
    config.merge_from_list([part for pair in options.items() for part in pair])
    return config


def is_deep(config):
    return config.MODEL.BACKBONE.CONV_BODY.startswith(("R-101", "R-152"))


def files_by_model():
    found = {}
    for name in SHIPPED:
        model = load(name).MODEL
        model.WEIGHT = model.PRETRAINED_MODELS = ""
        found.setdefault(model.dump(), []).append(name)
    return list(found.values())


def target(config):
    boxes = BoxList([[4, 6, 50, 44]], (SIDE, SIDE), pixel_offset=config.MODEL.PIXEL_OFFSET)
    boxes.add_field("labels", torch.tensor([1]))
    corners = [4.0, 6.0, 50.0, 6.0, 50.0, 44.0, 4.0, 44.0]
    boxes.add_field("masks", SegmentationMask([[corners]], boxes.size))
    places = torch.linspace(10, 40, 17)[:, None].expand(1, 17, 3)
    boxes.add_field("keypoints", PersonKeypoints(places, boxes.size))
    return boxes


def check_predictions(config, detections):
    assert len(detections) >= 1
    boxes, limit = detections.bbox, SIDE - config.MODEL.PIXEL_OFFSET
    assert boxes.isfinite().all() and (boxes >= 0).all() and (boxes <= limit).all()
    if make_num_classes(config) is None:
        assert detections.fields() == ["objectness"]
        return
    scores, labels = detections.get_field("scores"), detections.get_field("labels")
    assert (scores > 0).all() and (scores <= 1).all()
    assert (labels >= 1).all() and (labels < make_num_classes(config).number).all()
    if config.MODEL.MASK_ON:
        side = config.MODEL.ROI_MASK_HEAD.RESOLUTION
        masks = detections.get_field("mask")
        assert masks.shape == (len(detections), 1, side, side)
        assert (masks >= 0).all() and (masks <= 1).all()
    assert detections.has_field("keypoints") == config.MODEL.KEYPOINT_ON
    if config.MODEL.KEYPOINT_ON:
        assert detections.get_field("keypoints").keypoints.shape == (len(detections), 17, 3)
    if config.MODEL.MASKIOU_ON:
        ious = detections.get_field("mask_ious")
        assert ious.isfinite().all()
        torch.testing.assert_close(detections.get_field("mask_scores"), scores * ious)


def expected_losses(config):
    if config.MODEL.RETINANET_ON:
        return {"loss_retina_cls", "loss_retina_reg"}
    names = {"loss_objectness", "loss_rpn_box_reg"}
    if not config.MODEL.RPN_ONLY:
        is_cascade = config.MODEL.ROI_BOX_HEAD.NAME == "CascadeBoxHead"
        stages = [f"_stage{i}" for i in (1, 2, 3)] if is_cascade else [""]
        names |= {f"loss_{loss}{stage}" for loss in ("classifier", "box_reg") for stage in stages}
    names |= {"loss_mask"} if config.MODEL.MASK_ON else set()
    names |= {"loss_kp"} if config.MODEL.KEYPOINT_ON else set()
    return names | ({"loss_maskiou"} if config.MODEL.MASKIOU_ON else set())


MODELS = files_by_model()


@pytest.mark.parametrize("names", MODELS, ids=lambda names: names[0])
def test_builds_trains_and_predicts(names):
    torch.set_num_threads(1)
    config = load(names[0])
    if config.MODEL.BACKBONE.CONV_BODY.startswith("timm:"):
        pytest.importorskip("timm")
    model = build_detection_model(config)
    images = torch.randn(1, 3, SIDE, SIDE) * (50 if config.INPUT.TO_BGR255 else 1)
    with torch.no_grad():
        check_predictions(config, model.eval()(images)[0])

    losses = model.train()(images, [target(config)])
    assert set(losses) == expected_losses(config)
    assert all(loss.isfinite() for loss in losses.values()), losses
    sum(losses.values()).backward()
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    assert [n for n, p in trained.items() if p.grad is None or not p.grad.isfinite().all()] == []
    kernels = [n for n, p in trained.items() if p.dim() > 1][::7]
    before = [trained[name].detach().clone() for name in kernels]
    make_optimizer(config, model).step()
    for name, old in zip(kernels, before, strict=True):
        new = trained[name].detach()
        assert new.isfinite().all() and not new.equal(old), name


@pytest.mark.parametrize("names", [n for n in MODELS if is_deep(load(n[0]))], ids=lambda n: n[0])
def test_deep_models_build_at_their_width(names):
    config = load(names[0], thin=False)
    with torch.device("meta"):
        body = build_detection_model(config).backbone.body
    width = 256 if config.MODEL.RESNETS.NUM_GROUPS == 32 else 64
    assert body.layer1[0].conv2.weight.shape[0] == width
    assert len(body.layer3) == (36 if "152" in config.MODEL.BACKBONE.CONV_BODY else 23)
    assert body.layer4[2].conv3.weight.shape[0] == 2048
