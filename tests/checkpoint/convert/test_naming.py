"""Names, shapes and class order of detectron2 and mmdetection, by independent tables."""

import pytest
import torch

from maskrcnn_benchmark.checkpoint.convert import Options, convert_detector
from maskrcnn_benchmark.checkpoint.loading import load_state_dict
from maskrcnn_benchmark.config import make_default_config
from maskrcnn_benchmark.modeling.detector import build_detection_model
from maskrcnn_benchmark.structures.class_names import COCO_NAMES
from tests.helpers.whole_check import check_whole

BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
NORM = ("weight", "bias", "running_mean", "running_var")
LAYER = ("weight", "bias")
CLASSES, STEM, WIDTH, OUT, PYRAMID, HIDDEN = 5, 8, 4, 16, 8, 12
IOU_SHAPES = {
    "maskiou_fcn1": (256, PYRAMID + 1, 3, 3),
    **{f"maskiou_fcn{i}": (256, 256, 3, 3) for i in (2, 3, 4)},
    "maskiou_fc1": (1024, 256 * 49),
    "maskiou_fc2": (1024, 1024),
}


def body_table(depth, groups=1):
    """Return (our conv, our norm, stage, block, index or 'short', shape) of each ResNet conv."""
    rows = []
    for stage, count in enumerate(BLOCKS[depth], 1):
        width, out = WIDTH * 2 ** (stage - 1), OUT * 2 ** (stage - 1)
        for block in range(count):
            into = (STEM if stage == 1 else out // 2) if block == 0 else out
            shapes = [(width, into, 1, 1), (width, width // groups, 3, 3), (out, width, 1, 1)]
            prefix = f"backbone.body.layer{stage}.{block}"
            for i, shape in enumerate(shapes, 1):
                rows.append((f"{prefix}.conv{i}", f"{prefix}.bn{i}", stage, block, i, shape))
            if block == 0:
                ours = (f"{prefix}.downsample.0", f"{prefix}.downsample.1")
                rows.append((*ours, stage, block, "short", (out, into, 1, 1)))
    return rows


def d2_body(stage, block, part):
    name = "shortcut" if part == "short" else f"conv{part}"
    name = f"backbone.bottom_up.res{stage + 1}.{block}.{name}"
    return name, f"{name}.norm"


def mm_body(stage, block, part):
    prefix = f"backbone.layer{stage}.{block}"
    if part == "short":
        return f"{prefix}.downsample.0", f"{prefix}.downsample.1"
    return f"{prefix}.conv{part}", f"{prefix}.bn{part}"


BOX, MASK, IOU = "roi_heads.box", "roi_heads.mask", "roi_heads.maskiou"
# ours -> detectron2's, mmdetection's, the shape of the weight in theirs
REST = {
    **{
        f"backbone.fpn.fpn_inner{i}": (
            f"backbone.fpn_lateral{i + 1}",
            f"neck.lateral_convs.{i - 1}.conv",
            (PYRAMID, OUT * 2 ** (i - 1), 1, 1),
        )
        for i in (1, 2, 3, 4)
    },
    **{
        f"backbone.fpn.fpn_layer{i}": (
            f"backbone.fpn_output{i + 1}",
            f"neck.fpn_convs.{i - 1}.conv",
            (PYRAMID, PYRAMID, 3, 3),
        )
        for i in (1, 2, 3, 4)
    },
    "rpn.head.conv": (
        "proposal_generator.rpn_head.conv",
        "rpn_head.rpn_conv",
        (PYRAMID, PYRAMID, 3, 3),
    ),
    "rpn.head.cls_logits": (
        "proposal_generator.rpn_head.objectness_logits",
        "rpn_head.rpn_cls",
        (3, PYRAMID, 1, 1),
    ),
    "rpn.head.bbox_pred": (
        "proposal_generator.rpn_head.anchor_deltas",
        "rpn_head.rpn_reg",
        (12, PYRAMID, 1, 1),
    ),
    f"{BOX}.feature_extractor.fc6": (
        "roi_heads.box_head.fc1",
        "roi_head.bbox_head.shared_fcs.0",
        (HIDDEN, PYRAMID * 49),
    ),
    f"{BOX}.feature_extractor.fc7": (
        "roi_heads.box_head.fc2",
        "roi_head.bbox_head.shared_fcs.1",
        (HIDDEN, HIDDEN),
    ),
    f"{BOX}.predictor.cls_score": (
        "roi_heads.box_predictor.cls_score",
        "roi_head.bbox_head.fc_cls",
        (CLASSES + 1, HIDDEN),
    ),
    f"{BOX}.predictor.bbox_pred": (
        "roi_heads.box_predictor.bbox_pred",
        "roi_head.bbox_head.fc_reg",
        (CLASSES * 4, HIDDEN),
    ),
    **{
        f"{MASK}.feature_extractor.mask_fcn{i}": (
            f"roi_heads.mask_head.mask_fcn{i}",
            f"roi_head.mask_head.convs.{i - 1}.conv",
            (6, PYRAMID if i == 1 else 6, 3, 3),
        )
        for i in (1, 2, 3, 4)
    },
    f"{MASK}.predictor.conv5_mask": (
        "roi_heads.mask_head.deconv",
        "roi_head.mask_head.upsample",
        (6, 6, 2, 2),
    ),
    f"{MASK}.predictor.mask_fcn_logits": (
        "roi_heads.mask_head.predictor",
        "roi_head.mask_head.conv_logits",
        (CLASSES, 6, 1, 1),
    ),
}
IOU_NAMES = {
    **{f"{IOU}.feature_extractor.maskiou_fcn{i}": f"convs.{i - 1}" for i in (1, 2, 3, 4)},
    **{f"{IOU}.feature_extractor.maskiou_fc{i}": f"fcs.{i - 1}" for i in (1, 2)},
}


def synthetic(project, depth, maskiou=False, groups=1):
    """Return a state dict with foreign names, and a dict from our names to its tensors."""
    state, ours_to_theirs = {}, {}

    def add(ours, theirs, weight_shape, leaves):
        for leaf in leaves:
            tensor = torch.rand(weight_shape if leaf == "weight" else weight_shape[:1]) + 0.1
            state[f"{theirs}.{leaf}"] = ours_to_theirs[f"{ours}.{leaf}"] = tensor

    is_d2 = project == "detectron2"
    conv, norm = ("backbone.bottom_up.stem.conv1", "backbone.bottom_up.stem.conv1.norm")
    conv, norm = (conv, norm) if is_d2 else ("backbone.conv1", "backbone.bn1")
    add("backbone.body.stem.conv1", conv, (STEM, 3, 7, 7), ["weight"])
    add("backbone.body.stem.bn1", norm, (STEM,), NORM)
    for our_conv, our_norm, stage, block, part, shape in body_table(depth, groups):
        conv, norm = (d2_body if is_d2 else mm_body)(stage, block, part)
        add(our_conv, conv, shape, ["weight"])
        add(our_norm, norm, shape[:1], NORM)
    for ours, (d2, mm, shape) in REST.items():
        add(ours, d2 if is_d2 else mm, shape, LAYER)
    if maskiou:
        for ours, theirs in IOU_NAMES.items():
            shape = IOU_SHAPES[ours.rpartition(".")[2]]
            add(ours, f"roi_head.mask_iou_head.{theirs}", shape, LAYER)
        add(f"{IOU}.predictor.maskiou", "roi_head.mask_iou_head.fc_mask_iou", (5, 1024), LAYER)
    return state, ours_to_theirs


def expected_tensor(name, tensor):
    """Return the expected converted tensor: background first, epsilon added to variances."""
    if name.endswith("running_var"):
        return tensor + 1e-5
    parent = name.rpartition(".")[0]
    if parent.endswith("cls_score"):  # theirs: class 0, ..., class 4, background
        return torch.cat([tensor[CLASSES:], tensor[:CLASSES]])
    if parent.endswith("bbox_pred") and parent.startswith(BOX):
        return torch.cat([torch.zeros_like(tensor[:4]), tensor])
    if parent.endswith(("mask_fcn_logits", "predictor.maskiou")):
        return torch.cat([torch.zeros_like(tensor[:1]), tensor])
    return tensor


@pytest.mark.parametrize("depth", [50, 101])
@pytest.mark.parametrize(
    ("project", "maskiou"), [("detectron2", False), ("mmdetection", False), ("mmdetection", True)]
)
def test_names_shapes_and_classes(project, depth, maskiou):
    state, ours_to_theirs = synthetic(project, depth, maskiou)
    state["backbone.bn1.num_batches_tracked"] = torch.tensor(7)
    conversion = convert_detector(state, Options("caffe"))
    assert conversion.source == project and conversion.has_maskiou is maskiou
    assert not conversion.is_coco and "batch norm epsilon 1e-05" in conversion.assumed
    assert set(conversion.state) == set(ours_to_theirs)
    for name, tensor in conversion.state.items():
        assert tensor.equal(expected_tensor(name, ours_to_theirs[name])), name
    cfg = make_default_config()
    cfg.merge_from_other_cfg(conversion.settings)
    check_whole(cfg)
    assert f"R-{depth}-FPN" == cfg.MODEL.BACKBONE.CONV_BODY
    assert cfg.MODEL.RESNETS.STRIDE_IN_1X1 and cfg.INPUT.TO_BGR255
    heads = (cfg.MODEL.ROI_BOX_HEAD, cfg.MODEL.ROI_MASK_HEAD)
    assert [(h.POOLER_ALIGNED, h.POOLER_SAMPLING_RATIO) for h in heads] == [(True, 0)] * 2
    assert cfg.MODEL.ROI_MASK_HEAD.PASTE_ALIGNED and cfg.INPUT.SIZE_ROUNDING == "nearest"
    assert (cfg.MODEL.RPN.ANCHOR_RULE, cfg.MODEL.PIXEL_OFFSET) == ("centered", 0)
    assert cfg.MODEL.BOX_CODER_CLIP_BELOW is (project == "mmdetection")
    assert cfg.MODEL.MASKIOU_ON is maskiou
    report = load_state_dict(build_detection_model(cfg), conversion.state)
    assert report.complete and not report.unexpected


def with_classes(state, count):
    """Extend a state dict of mmdetection or detectron2 to more classes."""
    state = dict(state)
    wide = {"fc_cls": count + 1, "fc_reg": 4 * count, "conv_logits": count}
    wide |= {"fc_mask_iou": count}
    wide |= {"cls_score": count + 1, "roi_heads.box_predictor.bbox_pred": 4 * count}
    wide |= {"mask_head.predictor": count}
    for name, tensor in state.items():
        for part, rows in wide.items():
            if name.rpartition(".")[0].endswith(part):
                state[name] = tensor[:1].expand(rows, *tensor.shape[1:]).contiguous()
    return state


def test_coco_classes_are_inferred_from_their_number_unless_the_file_names_others():
    state = with_classes(synthetic("mmdetection", 50)[0], 80)
    conversion = convert_detector(state, Options("caffe"))
    assert conversion.is_coco and conversion.class_names == COCO_NAMES
    assert conversion.settings["DATASETS"]["TEST"] == ["coco_2017_val"]
    assert "80 classes (COCO)" in conversion.assumed
    own = [f"thing {number}" for number in range(80)]
    for found in (
        convert_detector(state, Options("caffe", class_names=own)),
        convert_detector(state, Options("caffe"), meta={"CLASSES": tuple(own)}),
        convert_detector(state, Options("caffe"), meta={"dataset_meta": {"classes": own}}),
    ):
        assert not found.is_coco and found.class_names == own
    assert convert_detector(state, Options("caffe"), meta={"CLASSES": COCO_NAMES}).is_coco
    with pytest.raises(ValueError, match="1 class names for a model of 80 classes"):
        convert_detector(state, Options("caffe", class_names=["cat"]))


@pytest.mark.parametrize("project", ["detectron2", "mmdetection"])
@pytest.mark.parametrize(("classes", "is_lvis"), [(1203, True), (1230, True), (1204, False)])
def test_lvis_is_recognized_by_its_number_of_classes(project, classes, is_lvis):
    state = with_classes(synthetic(project, 50)[0], classes)
    conversion = convert_detector(state, Options("caffe"))
    cfg = make_default_config()
    cfg.merge_from_other_cfg(conversion.settings)
    heads = cfg.MODEL.ROI_HEADS
    expected = (1e-4, 300) if is_lvis else (0.05, 100)
    assert expected == (heads.SCORE_THRESH, heads.DETECTIONS_PER_IMG)
    assert (f"{classes} classes (LVIS" in conversion.assumed) is is_lvis
    assert f"{expected[1]} detections above {expected[0]}" in conversion.assumed


def test_the_first_roi_align_of_detectron2():
    state, _ = synthetic("detectron2", 50)
    conversion = convert_detector(state, Options("caffe", legacy_roi_align=True))
    for head in ("ROI_BOX_HEAD", "ROI_MASK_HEAD"):
        options = conversion.settings["MODEL"][head]
        assert (options["POOLER_ALIGNED"], options["POOLER_SAMPLING_RATIO"]) == (False, 2)
    assert "RoIAlign not aligned with 2 samples" in conversion.assumed


@pytest.mark.parametrize("project", ["detectron2", "mmdetection"])
@pytest.mark.parametrize(("groups", "width"), [(2, 2), (4, 1)])
def test_resnexts(project, groups, width):
    state, ours_to_theirs = synthetic(project, 101, groups=groups)
    conversion = convert_detector(state, Options("x101-32x8d"))
    cfg = make_default_config()
    cfg.merge_from_other_cfg(conversion.settings)
    assert (groups, width) == (cfg.MODEL.RESNETS.NUM_GROUPS, cfg.MODEL.RESNETS.WIDTH_PER_GROUP)
    assert not cfg.MODEL.RESNETS.STRIDE_IN_1X1 and cfg.INPUT.TO_BGR255
    assert cfg.INPUT.PIXEL_MEAN == [103.53, 116.28, 123.675]
    assert cfg.INPUT.PIXEL_STD == [57.375, 57.12, 58.395]
    assert f"with {groups} groups of {width}" in conversion.assumed
    report = load_state_dict(build_detection_model(cfg), conversion.state)
    assert report.complete and not report.unexpected
    assert set(conversion.state) == set(ours_to_theirs)


def test_norms_without_statistics():
    state, _ = synthetic("detectron2", 50)
    state = {n: t for n, t in state.items() if "running" not in n}
    norm = "backbone.body.layer3.2.bn2"
    converted = convert_detector(state, Options("caffe")).state
    assert not converted[f"{norm}.running_mean"].any()
    assert (converted[f"{norm}.running_var"] == 1).all()


def without(state, part):
    return {n: t for n, t in state.items() if part not in n}


def test_unsupported_files_are_reported():
    state, _ = synthetic("detectron2", 50)
    caffe = Options("caffe")
    with pytest.raises(
        ValueError, match="not weights of a Faster or Mask R-CNN .* torchvision, detec"
    ):
        convert_detector({"a": torch.zeros(1)})
    with pytest.raises(ValueError, match="already have our names"):
        convert_detector({"backbone.body.stem.conv1.weight": torch.zeros(1)})
    with pytest.raises(ValueError, match="no box head: its class scores"):
        convert_detector(without(state, "box_"))
    with pytest.raises(ValueError, match="has 1 tensors .* roi_heads.keypoint_head"):
        convert_detector({**state, "roi_heads.keypoint_head.weight": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"stages of \(3, 4, 6, 2\) blocks"):
        convert_detector(without(state, "res5.2."), caffe)
    with pytest.raises(ValueError, match="bbox_pred.weight has 4 rows; 20 are expected"):
        agnostic = {n: t[:4] if "bbox_pred" in n else t for n, t in state.items()}
        convert_detector(agnostic, caffe)
    with pytest.raises(ValueError, match="style 'X' is unknown"):
        convert_detector(state, Options("X"))
    with pytest.raises(ValueError, match=r"tensor that we call 'backbone.fpn.fpn_layer1.weight'"):
        convert_detector(without(state, "fpn_output2"), caffe)
