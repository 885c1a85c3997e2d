"""Names of detectron2's new baselines and of cascades, by independent tables."""

import pytest
import torch

from maskrcnn_benchmark.checkpoint.convert import Options, convert_detector
from maskrcnn_benchmark.checkpoint.loading import load_state_dict
from maskrcnn_benchmark.config import make_default_config
from maskrcnn_benchmark.modeling.detector import build_detection_model
from tests.checkpoint.convert.test_naming import (
    BOX,
    CLASSES,
    HIDDEN,
    MASK,
    NORM,
    PYRAMID,
    synthetic,
    without,
)
from tests.helpers.whole_check import check_whole

CONVS = 10  # width of the convolutions of the box head
MMDETECTION_CASCADE = """\
model = dict(
    type='CascadeRCNN',
    backbone=dict(type='ResNet', depth=50, style='pytorch'),
    roi_head=dict(
        type='CascadeRoIHead', num_stages=3, stage_loss_weights=[1, 0.5, 0.25],
        bbox_head=[
            dict(bbox_coder=dict(target_stds=[0.1, 0.1, 0.2, 0.2]), reg_class_agnostic=True),
            dict(bbox_coder=dict(target_stds=[0.05, 0.05, 0.1, 0.1]), reg_class_agnostic=True),
            dict(bbox_coder=dict(target_stds=[0.04, 0.04, 0.08, 0.08]), reg_class_agnostic=True)]))
img_norm_cfg = dict(
    mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)
"""


def new_baseline(depth=50):
    """Return a state dict as of detectron2's LSJ models, and ours to theirs of the new names."""
    state, ours_to_theirs = synthetic("detectron2", depth)
    state = without(without(state, "roi_heads.box_head."), "rpn_head.conv.")
    names = {}

    def add(ours, theirs, shape, leaves=("weight", "bias")):
        for leaf in leaves:
            of_leaf = shape if leaf == "weight" else shape[:1]
            state[f"{theirs}.{leaf}"] = torch.rand(of_leaf) + 0.1
            names[f"{ours}.{leaf}"] = f"{theirs}.{leaf}"

    def add_norm(ours_conv, ours_norm, theirs, channels):
        """A norm beside a convolution, which then has no bias."""
        state.pop(f"{theirs}.bias", None)
        names[f"{ours_conv}.weight"] = f"{theirs}.weight"
        add(ours_norm, f"{theirs}.norm", (channels,), NORM)
        state[f"{theirs}.norm.num_batches_tracked"] = torch.tensor(5)

    for level in (1, 2, 3, 4):
        for ours, theirs in (("inner", "lateral"), ("layer", "output")):
            layer = f"backbone.fpn.fpn_{ours}{level}"
            add_norm(f"{layer}.0", f"{layer}.1", f"backbone.fpn_{theirs}{level + 1}", PYRAMID)
    square = (PYRAMID, PYRAMID, 3, 3)
    add("rpn.head.conv", "proposal_generator.rpn_head.conv.conv0", square)
    add("rpn.head.conv2", "proposal_generator.rpn_head.conv.conv1", square)
    for number in range(4):
        theirs = f"roi_heads.box_head.conv{number + 1}"
        ours = f"{BOX}.feature_extractor.xconvs"
        shape = (CONVS, PYRAMID if number == 0 else CONVS, 3, 3)
        add(f"{ours}.{3 * number}", theirs, shape, ["weight"])
        add_norm(f"{ours}.{3 * number}", f"{ours}.{3 * number + 1}", theirs, CONVS)
    add(f"{BOX}.feature_extractor.fc6", "roi_heads.box_head.fc1", (HIDDEN, CONVS * 49))
    for number in (1, 2, 3, 4):
        layer = f"{MASK}.feature_extractor.mask_fcn{number}"
        add_norm(f"{layer}.0", f"{layer}.1", f"roi_heads.mask_head.mask_fcn{number}", 6)
    return state, names


@pytest.mark.parametrize("depth", [50, 101])
def test_the_new_baselines_of_detectron2(depth):
    state, names = new_baseline(depth)
    conversion = convert_detector(state, Options("caffe"))
    for ours, theirs in names.items():
        expected = state[theirs] + (1e-5 if ours.endswith("running_var") else 0)
        assert conversion.state[ours].equal(expected), ours
    cfg = make_default_config()
    cfg.merge_from_other_cfg(conversion.settings)
    check_whole(cfg)
    model = cfg.MODEL
    parts = (model.FPN, model.ROI_BOX_HEAD, model.ROI_MASK_HEAD)
    assert [part.NORM for part in parts] == ["FrozenBN"] * 3
    assert (model.RPN.RPN_HEAD, model.RPN.NUM_CONVS) == ("MultiConvRPNHead", 2)
    head = model.ROI_BOX_HEAD
    assert head.FEATURE_EXTRACTOR == "FPNXconv1fcFeatureExtractor"
    assert (head.NUM_STACKED_CONVS, head.CONV_HEAD_DIM, head.MLP_HEAD_DIM) == (4, CONVS, HIDDEN)
    assert f"R-{depth}-FPN" == model.BACKBONE.CONV_BODY and model.BACKBONE.OUT_CHANNELS == PYRAMID
    report = load_state_dict(build_detection_model(cfg), conversion.state)
    assert report.complete and not report.unexpected


def test_box_convolutions_without_norms():
    state, _ = new_baseline()
    for number in range(4):
        name = f"roi_heads.box_head.conv{number + 1}"
        state = without(state, f"{name}.norm")
        state[f"{name}.bias"] = torch.rand(CONVS)
    conversion = convert_detector(state, Options("caffe"))
    cfg = make_default_config()
    cfg.merge_from_other_cfg(conversion.settings)
    assert cfg.MODEL.ROI_BOX_HEAD.NORM == "" and cfg.MODEL.FPN.NORM == "FrozenBN"
    report = load_state_dict(build_detection_model(cfg), conversion.state)
    assert report.complete and not report.unexpected


def test_group_norms_stay_group_norms():
    state = {n: t for n, t in new_baseline()[0].items() if "running" not in n}
    state["pixel_mean"] = torch.tensor([103.53, 116.28, 123.675])
    state["pixel_std"] = torch.ones(3)
    with pytest.raises(ValueError, match="pass --style"):  # the file does not tell the stride
        convert_detector(state)
    conversion = convert_detector(state, Options("gn"))
    assert not any("running" in name for name in conversion.state)
    cfg = make_default_config()
    cfg.merge_from_other_cfg(conversion.settings)
    assert not cfg.MODEL.RESNETS.STRIDE_IN_1X1
    assert cfg.INPUT.TO_BGR255 and cfg.INPUT.PIXEL_STD == [1, 1, 1]
    for part in ("RESNETS", "FPN", "ROI_BOX_HEAD", "ROI_MASK_HEAD"):
        assert cfg.MODEL[part].NORM == "GN"
    cfg.MODEL.GROUP_NORM.NUM_GROUPS = 2  # for these few channels
    report = load_state_dict(build_detection_model(cfg), conversion.state)
    assert report.complete and not report.unexpected


def test_a_second_linear_layer_after_the_convolutions_is_refused():
    state, _ = new_baseline()
    state["roi_heads.box_head.fc2.weight"] = torch.zeros(HIDDEN, HIDDEN)
    with pytest.raises(ValueError, match="1 linear layer"):
        convert_detector(state, Options("caffe"))


def test_a_model_without_masks_is_a_faster_rcnn():
    for project in ("detectron2", "mmdetection"):
        state = without(synthetic(project, 50)[0], "mask_head")
        conversion = convert_detector(state, Options("caffe"))
        cfg = make_default_config()
        cfg.merge_from_other_cfg(conversion.settings)
        check_whole(cfg)
        assert not cfg.MODEL.MASK_ON and "ROI_MASK_HEAD" not in conversion.settings["MODEL"]
        report = load_state_dict(build_detection_model(cfg), conversion.state)
        assert report.complete and not report.unexpected


def cascade(project):
    """Return a state dict of a cascade, and the tensors of its stages by our names."""
    state, _ = synthetic(project, 50)
    if project == "detectron2":
        layers = {
            "feature_extractor.fc6": "roi_heads.box_head.{}.fc1",
            "feature_extractor.fc7": "roi_heads.box_head.{}.fc2",
            "predictor.cls_score": "roi_heads.box_predictor.{}.cls_score",
            "predictor.bbox_pred": "roi_heads.box_predictor.{}.bbox_pred",
        }
        state = without(without(state, "roi_heads.box_head"), "roi_heads.box_predictor")
    else:
        layers = {
            "feature_extractor.fc6": "roi_head.bbox_head.{}.shared_fcs.0",
            "feature_extractor.fc7": "roi_head.bbox_head.{}.shared_fcs.1",
            "predictor.cls_score": "roi_head.bbox_head.{}.fc_cls",
            "predictor.bbox_pred": "roi_head.bbox_head.{}.fc_reg",
        }
        masks = {n: t for n, t in state.items() if "mask_head" in n}
        state = without(without(state, "bbox_head"), "mask_head")
        for stage in range(3):
            for name, tensor in masks.items():
                name = name.replace("mask_head.", f"mask_head.{stage}.")
                state[name] = tensor + stage
    outs = {"fc6": HIDDEN, "fc7": HIDDEN, "cls_score": CLASSES + 1, "bbox_pred": 4}
    expected = {}
    for stage in range(3):
        for ours, theirs in layers.items():
            out = outs[ours.rpartition(".")[2]]
            into = PYRAMID * 49 if ours.endswith("fc6") else HIDDEN
            for leaf, shape in (("weight", (out, into)), ("bias", (out,))):
                tensor = state[f"{theirs.format(stage)}.{leaf}"] = torch.rand(shape)
                if out == CLASSES + 1:  # the background moves to the front
                    tensor = torch.cat([tensor[-1:], tensor[:-1]])
                expected[f"{BOX}.stages.{stage}.{ours}.{leaf}"] = tensor
    return state, expected


@pytest.mark.parametrize("project", ["detectron2", "mmdetection"])
def test_cascades(project):
    state, expected = cascade(project)
    conversion = convert_detector(state, Options("caffe"))
    stages = {n: t for n, t in conversion.state.items() if n.startswith(BOX)}
    assert set(stages) == set(expected)
    for name, tensor in expected.items():
        assert stages[name].equal(tensor), name
    cfg = make_default_config()
    cfg.merge_from_other_cfg(conversion.settings)
    check_whole(cfg)
    assert cfg.MODEL.ROI_BOX_HEAD.NAME == "CascadeBoxHead" and cfg.MODEL.MASK_ON
    options = cfg.MODEL.ROI_BOX_CASCADE_HEAD
    is_d2 = project == "detectron2"
    assert ("probabilities" if is_d2 else "logits") == options.AVERAGE
    last = [30, 30, 15, 15] if is_d2 else [1 / 0.033, 1 / 0.033, 1 / 0.067, 1 / 0.067]
    assert list(options.BBOX_REG_WEIGHTS[2]) == pytest.approx(last, rel=1e-6)
    assert f"three stages, mean of {options.AVERAGE}" in conversion.assumed
    report = load_state_dict(build_detection_model(cfg), conversion.state)
    assert report.complete and not report.unexpected
    if is_d2:
        return
    stage = f"{MASK}.predictor.stages"  # each stage of mmdetection has a mask head
    for number in range(3):
        for ours, theirs in (
            (f"{stage}.{number}.convs.2.weight", "convs.2.conv.weight"),
            (f"{stage}.{number}.predictor.conv5_mask.bias", "upsample.bias"),
            (f"{stage}.{number}.predictor.mask_fcn_logits.weight", "conv_logits.weight"),
        ):
            got = conversion.state[ours]
            got = got[1:] if "logits" in ours else got
            assert got.equal(state[f"roi_head.mask_head.{number}.{theirs}"]), ours


def test_weights_of_the_stages_are_read_from_the_file():
    conversion = convert_detector(cascade("mmdetection")[0], meta={"config": MMDETECTION_CASCADE})
    weights = conversion.settings["MODEL"]["ROI_BOX_CASCADE_HEAD"]["BBOX_REG_WEIGHTS"]
    assert weights == [[10, 10, 5, 5], [20, 20, 10, 10], [25, 25, 12.5, 12.5]]


def test_other_cascades_are_refused():
    state, _ = cascade("detectron2")
    two = without(without(state, "box_head.2."), "box_predictor.2.")
    with pytest.raises(ValueError, match=r"stages with \[4, 4\] box offsets; only three"):
        convert_detector(two, Options("caffe"))
    per_class = {
        n: t.repeat(CLASSES, *[1] * (t.ndim - 1)) if "bbox_pred" in n else t
        for n, t in state.items()
    }
    with pytest.raises(ValueError, match=r"stages with \[20, 20, 20\] box offsets"):
        convert_detector(per_class, Options("caffe"))
