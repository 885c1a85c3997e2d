"""Style and settings read from a model file, and the features computed with them."""

import json

import pytest
import torch
import torch.nn.functional as F

from maskrcnn_benchmark.checkpoint.convert import STYLES, Options, convert_detector
from maskrcnn_benchmark.checkpoint.convert.file_config import parse_config, read_file_config
from maskrcnn_benchmark.checkpoint.convert.style import UNKNOWN
from maskrcnn_benchmark.checkpoint.loading import load_state_dict
from maskrcnn_benchmark.config import make_default_config
from maskrcnn_benchmark.data.transforms.transforms import Normalize
from maskrcnn_benchmark.modeling.detector import build_detection_model
from tests.checkpoint.convert.test_naming import BLOCKS, synthetic
from tests.helpers.whole_check import check_whole

# as stored by mmcv 1.x: path and text of each base file, then the file itself
MMCV = """\
/home/someone/mmdetection/configs/_base_/models/mask_rcnn_r50_fpn.py
# model settings
model = dict(
    type='MaskRCNN',
    pretrained='torchvision://resnet50',
    backbone=dict(type='ResNet', depth=50, style='pytorch'),
    roi_head=dict(
        bbox_roi_extractor=dict(
            roi_layer=dict(type='RoIAlign', out_size=7, sample_num=0)),
        bbox_head=dict(bbox_coder=dict(target_stds=[0.1, 0.1, 0.2, 0.2]))),
    test_cfg=dict(
        rpn=dict(nms_pre=900, max_num=800, nms_thr=0.65),
        rcnn=dict(score_thr=0.03, nms=dict(type='nms', iou_thr=0.45), max_per_img=70,
                  mask_thr_binary=0.4)))
img_norm_cfg = dict(
    mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)

../mask_rcnn/mask_rcnn_r50_caffe_fpn_1x_coco.py
_base_ = './mask_rcnn_r50_fpn_1x_coco.py'
model = dict(
    pretrained='open-mmlab://detectron2/resnet50_caffe',
    backbone=dict(norm_cfg=dict(requires_grad=False), style='caffe'),
    roi_head=dict(
        type='MaskScoringRoIHead',
        mask_roi_extractor=dict(roi_layer=dict(type='RoIAlign', sampling_ratio=3, aligned=False))))
# use caffe img_norm
img_norm_cfg = dict(
    mean=[103.530, 116.280, 123.675], std=[1.0, 1.0, 1.0], to_rgb=False)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Normalize', **img_norm_cfg),
    dict(type='Collect', keys=['img', 'gt_bboxes'], fun=open('executed', 'w')),
]
data = dict(
    train=dict(pipeline=train_pipeline),
    samples_per_gpu=2 * 1,
    root=print('executed') or 'x')
import os
os.system('touch executed')
checkpoint = __import__('os').system('touch executed')
"""
MMENGINE = """\
default_scope = 'mmdet'
model = dict(
    type='MaskScoringRCNN',
    data_preprocessor=dict(
        type='DetDataPreprocessor', mean=[103.53, 116.28, 123.675], std=[57.375, 57.12, 58.395],
        bgr_to_rgb=False, pad_mask=True, pad_size_divisor=32),
    backbone=dict(type='ResNeXt', depth=101, groups=32, base_width=8, style='pytorch'),
    test_cfg=dict(rcnn=dict(max_per_img=100, nms=dict(iou_threshold=0.5, type='nms'))))
test_pipeline = [dict(type='Resize', scale=(1333, 800), keep_ratio=True)]
"""


def test_the_text_of_mmcv(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = read_file_config({"config": MMCV, "CLASSES": ("cat", "dog"), "epoch": 12})
    assert found.style == STYLES["caffe"]
    assert found.class_names == ["cat", "dog"]
    assert found.settings == {
        "MODEL.ROI_HEADS.SCORE_THRESH": 0.03,
        "MODEL.ROI_HEADS.DETECTIONS_PER_IMG": 70,
        "MODEL.ROI_HEADS.NMS": 0.45,
        "MODEL.ROI_MASK_HEAD.POSTPROCESS_MASKS_THRESHOLD": 0.4,
        "MODEL.RPN.PRE_NMS_TOP_N_TEST": 900,
        "MODEL.RPN.POST_NMS_TOP_N_TEST": 800,
        "MODEL.RPN.FPN_POST_NMS_TOP_N_TEST": 800,
        "MODEL.RPN.NMS_THRESH": 0.65,
        "MODEL.ROI_HEADS.BBOX_REG_WEIGHTS": [10, 10, 5, 5],
        "MODEL.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO": 0,
        "MODEL.ROI_MASK_HEAD.POOLER_SAMPLING_RATIO": 3,
        "MODEL.ROI_MASK_HEAD.POOLER_ALIGNED": False,
    }
    assert list(tmp_path.iterdir()) == []  # nothing was executed


def test_the_text_of_mmengine_a_dict_and_json():
    for cfg in (MMENGINE, parse_config(MMENGINE), json.dumps(parse_config(MMENGINE))):
        found = read_file_config({"cfg": cfg, "dataset_meta": {"classes": ["cat"]}})
        assert found.style == STYLES["x101-32x8d"]
        assert found.class_names == ["cat"]
        assert found.settings["MODEL.ROI_HEADS.DETECTIONS_PER_IMG"] == 100
        assert found.settings["MODEL.ROI_HEADS.NMS"] == 0.5


def test_custom_statistics_and_swapped_channels():
    swapped = MMENGINE.replace("bgr_to_rgb=False", "bgr_to_rgb=True").replace("103.53", "90")
    state, _ = synthetic("mmdetection", 50)
    conversion = convert_detector(state, meta={"cfg": swapped})
    inputs = conversion.settings["INPUT"]
    assert not inputs["TO_BGR255"]
    assert inputs["PIXEL_MEAN"] == pytest.approx([90 / 255, 116.28 / 255, 123.675 / 255])
    assert inputs["PIXEL_STD"] == pytest.approx([57.375 / 255, 57.12 / 255, 58.395 / 255])
    assert conversion.assumed.startswith(
        "style custom, read from the file: RGB of 0 to 255, mean 9"
    )


@pytest.mark.parametrize(
    "meta",
    [
        None,
        "text",
        {},
        {"config": None},
        {"config": "not ( Python"},
        {"config": "(" * 5000},
        {"cfg": "{broken json"},
        {"cfg": "model = 5\nx = [1, dict(mean=3, std='a')]"},
        {"cfg": 7},
        # two normalizations: which one is used for testing?
        {"cfg": MMENGINE + "aux = dict(type='Normalize', mean=[1, 2, 3], std=[1, 1, 1])"},
    ],
    ids=str,
)
def test_style_is_required_if_the_file_does_not_state_it(meta):
    state, _ = synthetic("mmdetection", 50)
    with pytest.raises(ValueError, match="does not state how its images .* pass --style, one of"):
        convert_detector(state, meta=meta)
    found = convert_detector(state, Options("pytorch"), meta=meta)
    assert found.assumed.startswith("style pytorch, as given: RGB of 0 to 255, mean 123.675, ")


def test_style_is_read_from_detectron2_buffers():
    state, _ = synthetic("detectron2", 50)
    with pytest.raises(ValueError, match="pass --style"):
        convert_detector(state)
    for name in ("pytorch", "caffe", "x101-32x8d"):
        style = STYLES[name]
        buffers = {
            "pixel_mean": torch.tensor(style.pixels.mean)[:, None, None],
            "pixel_std": torch.tensor(style.pixels.std)[:, None, None],
        }
        conversion = convert_detector(state | buffers)
        assert conversion.assumed.startswith(f"style {name}, read from the file: {style}; R-50-FPN")
        assert conversion.settings["MODEL"]["RESNETS"]["STRIDE_IN_1X1"] is style.stride_in_1x1


def test_a_style_that_contradicts_the_file_is_refused():
    state, _ = synthetic("mmdetection", 50)
    with pytest.raises(ValueError, match=r"'pytorch' \(RGB.*contradicts the file, which has BGR"):
        convert_detector(state, Options("pytorch"), meta={"config": MMCV})
    assert convert_detector(state, Options("caffe"), meta={"config": MMCV})
    only_stride = {"config": "model = dict(backbone=dict(style='pytorch'))"}
    with pytest.raises(ValueError, match="contradicts the file, which has stride in the 3x3"):
        convert_detector(state, Options("caffe"), meta=only_stride)
    assert not STYLES["caffe"].contradicts(UNKNOWN)


def test_the_file_overrides_the_conventions():
    state, _ = synthetic("mmdetection", 50, maskiou=True)
    cfg = make_default_config()
    cfg.merge_from_other_cfg(convert_detector(state, meta={"config": MMCV}).settings)
    check_whole(cfg)
    assert (cfg.MODEL.ROI_HEADS.SCORE_THRESH, cfg.MODEL.ROI_HEADS.DETECTIONS_PER_IMG) == (0.03, 70)
    assert cfg.MODEL.ROI_BOX_HEAD.POOLER_ALIGNED and not cfg.MODEL.ROI_MASK_HEAD.POOLER_ALIGNED


# their forward pass, written down for this test --------------------------------------------------
PREPARATION = {  # order of the channels, mean and std of values 0 to 255, stride of conv1 and conv2
    "pytorch": ([0, 1, 2], (123.675, 116.28, 103.53), (58.395, 57.12, 57.375), (1, 2)),
    "caffe": ([2, 1, 0], (103.53, 116.28, 123.675), (1, 1, 1), (2, 1)),
    "x101-32x8d": ([2, 1, 0], (103.53, 116.28, 123.675), (57.375, 57.12, 58.395), (1, 2)),
}


def calibrated(state):
    """Return weights under which features neither vanish nor explode."""
    torch.manual_seed(3)
    result = {}
    for name, tensor in state.items():
        if tensor.ndim > 1:
            fan_in = tensor[0].numel()
            result[name] = torch.randn_like(tensor) * (2 / fan_in) ** 0.5
        elif name.endswith(("running_mean", "bias")):
            result[name] = torch.randn_like(tensor) * 0.1
        else:
            result[name] = torch.rand_like(tensor) * 0.2 + (0.05 if ".bn3." in name else 0.8)
    return result


def their_features(state, pixels, style, groups):
    """Return the outputs of the stages for pixels ``[3, H, W]``, RGB of 0 to 255, in float64."""
    state = {name: tensor.double() for name, tensor in state.items()}
    order, mean, std, (stride1, stride3) = PREPARATION[style]
    x = pixels.double()[order]
    x = (x - torch.tensor(mean).double()[:, None, None]) / torch.tensor(std)[:, None, None]

    def conv_bn(x, conv, norm, **options):
        x = F.conv2d(x, state[f"{conv}.weight"], **options)
        values = [state[f"{norm}.{n}"] for n in ("running_mean", "running_var", "weight", "bias")]
        return F.batch_norm(x, *values, eps=1e-5)

    x = F.relu(conv_bn(x[None], "backbone.conv1", "backbone.bn1", stride=2, padding=3))
    x = F.max_pool2d(x, 3, 2, 1)
    outputs = []
    depth = 101 if "backbone.layer3.22.conv1.weight" in state else 50
    for stage, count in enumerate(BLOCKS[depth], 1):
        for block in range(count):
            at = f"backbone.layer{stage}.{block}"
            stride = 2 if stage > 1 and block == 0 else 1
            one, three = (stride if s == 2 else 1 for s in (stride1, stride3))
            y = F.relu(conv_bn(x, f"{at}.conv1", f"{at}.bn1", stride=one))
            options = {"stride": three, "padding": 1, "groups": groups}
            y = F.relu(conv_bn(y, f"{at}.conv2", f"{at}.bn2", **options))
            y = conv_bn(y, f"{at}.conv3", f"{at}.bn3")
            if block == 0:
                x = conv_bn(x, f"{at}.downsample.0", f"{at}.downsample.1", stride=stride)
            x = F.relu(x + y)
        outputs.append(x)
    return outputs


@pytest.mark.parametrize(
    ("style", "depth", "groups"),
    [("pytorch", 50, 1), ("caffe", 50, 1), ("caffe", 101, 1), ("pytorch", 101, 2)]
    + [("x101-32x8d", 101, 4)],
)
def test_features_of_each_style(style, depth, groups):
    state = calibrated(synthetic("mmdetection", depth, groups=groups)[0])
    pixels = torch.randint(0, 256, (3, 64, 96))
    conversion = convert_detector(state, Options(style))
    cfg = make_default_config()
    cfg.merge_from_other_cfg(conversion.settings)
    model = build_detection_model(cfg).eval()
    assert load_state_dict(model, conversion.state).complete
    inputs = cfg.INPUT
    normalize = Normalize(inputs.PIXEL_MEAN, inputs.PIXEL_STD, to_bgr255=inputs.TO_BGR255)
    image = normalize(pixels.float() / 255)[0]
    with torch.no_grad():
        ours = model.backbone.body(image[None])
    for got, expected in zip(ours, their_features(state, pixels, style, groups), strict=True):
        scale = expected.std()
        assert 1e-3 < scale < 1e4
        assert ((got - expected).abs().max() / scale) < 1e-3
