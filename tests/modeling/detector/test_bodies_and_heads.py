"""Every body with every head trains and predicts, or is refused by the config check."""

from itertools import product

import pytest
import torch

from maskrcnn_benchmark.config import make_default_config
from maskrcnn_benchmark.modeling.backbone.build_resnet import CONV_BODIES
from maskrcnn_benchmark.modeling.backbone.resnet import BasicBlock, Bottleneck
from maskrcnn_benchmark.modeling.detector import build_detection_model
from tests.helpers.thin_model import two_objects
from tests.helpers.whole_check import check_whole

CONV5 = "ResNet50Conv5ROIFeatureExtractor"
BOX_EXTRACTORS = ("FPN2MLPFeatureExtractor", "FPNXconv1fcFeatureExtractor", CONV5)
PREDICTORS = ("FPNPredictor", "FastRCNNPredictor")
MASK_EXTRACTORS = ("MaskRCNNFPNFeatureExtractor", CONV5)
STRIDES = {"C4": (16,), "C5": (32,), "FPN": (4, 8, 16, 32, 64)}
THIN = {
    "MODEL.MASK_ON": True,
    "MODEL.MASKIOU_ON": True,
    "MODEL.BACKBONE.OUT_CHANNELS": 8,
    "MODEL.RESNETS.STEM_OUT_CHANNELS": 8,
    "MODEL.RESNETS.RES2_OUT_CHANNELS": 8,
    "MODEL.RESNETS.WIDTH_PER_GROUP": 2,
    "MODEL.GROUP_NORM.NUM_GROUPS": 2,
    "MODEL.RESNETS.TRANS_FUNC": "BottleneckWithGN",  # random weights need a norm
    "MODEL.RESNETS.STEM_FUNC": "StemWithGN",
    "MODEL.ROI_BOX_HEAD.NUM_CLASSES": 3,
    "MODEL.ROI_BOX_HEAD.MLP_HEAD_DIM": 8,
    "MODEL.ROI_BOX_HEAD.CONV_HEAD_DIM": 8,
    "MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION": 6,
    "MODEL.ROI_MASK_HEAD.CONV_LAYERS": (8, 8),
    "MODEL.ROI_MASK_HEAD.POOLER_RESOLUTION": 6,
    "MODEL.ROI_HEADS.SCORE_THRESH": 0.0,
    "MODEL.ROI_HEADS.DETECTIONS_PER_IMG": 2,
    "MODEL.RPN.POST_NMS_TOP_N_TRAIN": 20,
    "MODEL.RPN.POST_NMS_TOP_N_TEST": 20,
}


def config_of(body, **options):
    kind = body.rpartition("-")[2]
    scales = tuple(1 / stride for stride in STRIDES[kind][:4])
    settings = THIN | {
        "MODEL.BACKBONE.CONV_BODY": body,
        "MODEL.RPN.USE_FPN": kind == "FPN",
        "MODEL.ROI_HEADS.USE_FPN": kind == "FPN",
        "MODEL.RPN.ANCHOR_STRIDE": STRIDES[kind],
        "MODEL.ROI_BOX_HEAD.POOLER_SCALES": scales,
        "MODEL.ROI_MASK_HEAD.POOLER_SCALES": scales,
        "MODEL.ROI_MASK_HEAD.RESOLUTION": 6 if kind == "C4" else 12,
        "DATALOADER.SIZE_DIVISIBILITY": 32,
    }
    for name, value in options.items():
        settings["MODEL." + name.replace("__", ".")] = value
    config = make_default_config()
    config.merge_from_list([part for pair in settings.items() for part in pair])
    return config


def with_heads(body, box, predictor, mask, shares):
    return config_of(
        body,
        ROI_BOX_HEAD__FEATURE_EXTRACTOR=box,
        ROI_BOX_HEAD__PREDICTOR=predictor,
        ROI_MASK_HEAD__FEATURE_EXTRACTOR=mask,
        ROI_MASK_HEAD__SHARE_BOX_FEATURE_EXTRACTOR=shares,
    )


def trains_and_predicts(config):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = build_detection_model(config)
    images = torch.randn(1, 3, 64, 64) * 50
    losses = model.train()(images, [two_objects()])
    sum(losses.values()).backward()
    assert len(losses) == 6 and all(loss.isfinite() for loss in losses.values())
    with torch.no_grad():
        detections = model.eval()(images)[0]
    side = config.MODEL.ROI_MASK_HEAD.RESOLUTION
    assert detections.get_field("mask").shape == (len(detections), 1, side, side)
    return model


@pytest.mark.parametrize("body", [b for b in CONV_BODIES if not b.endswith("RETINANET")])
def test_each_combination_works_or_is_refused(body):
    heads = list(product(BOX_EXTRACTORS, PREDICTORS, MASK_EXTRACTORS, (False, True)))
    accepted = []
    for chosen in heads:
        try:
            check_whole(with_heads(body, *chosen))
        except ValueError as error:
            assert "MODEL.ROI_BOX_HEAD." in str(error) or "MODEL.ROI_MASK_HEAD." in str(error)
        else:
            accepted.append(chosen)
    if body.endswith("-C4"):
        assert accepted == [(CONV5, "FastRCNNPredictor", CONV5, shares) for shares in (False, True)]
    else:
        mask = (MASK_EXTRACTORS[0], False)
        assert accepted == [(box, "FPNPredictor", *mask) for box in BOX_EXTRACTORS[:2]]
    for chosen in accepted:
        trains_and_predicts(with_heads(body, *chosen))


@pytest.mark.parametrize(
    ("body", "block", "count"),
    [
        ("R-18-C4", BasicBlock, 2),
        ("R-34-C4", BasicBlock, 3),
        ("R-50-C4", Bottleneck, 3),
        ("R-101-C4", Bottleneck, 3),
    ],
)
def test_the_last_stage_of_a_c4_head_is_that_of_the_body(body, block, count):
    model = build_detection_model(config_of(body))
    layer4 = model.roi_heads.box.feature_extractor.head.layer4
    assert [type(b) for b in layer4] == [block] * count
    kind = type(model.backbone.body.layer3[0])
    assert kind is block
    assert layer4[0].conv1.in_channels == model.backbone.out_channels == 32
    assert model.roi_heads.box.feature_extractor.out_channels == 64


def test_bottleneck_options_are_refused_without_bottlenecks():
    fpn = {
        "ROI_BOX_HEAD__FEATURE_EXTRACTOR": BOX_EXTRACTORS[0],
        "ROI_BOX_HEAD__PREDICTOR": "FPNPredictor",
        "ROI_MASK_HEAD__FEATURE_EXTRACTOR": MASK_EXTRACTORS[0],
        "ROI_MASK_HEAD__SHARE_BOX_FEATURE_EXTRACTOR": False,
    }
    for key, value in (
        ("NUM_GROUPS", 32),
        ("STAGE_WITH_DCN", (False, False, True, True)),
        ("RES5_DILATION", 2),
    ):
        options = fpn | {f"RESNETS__{key}": value}
        if key == "RES5_DILATION":
            scales = (1 / 4, 1 / 8, 1 / 16, 1 / 16)
            options |= {"RPN__ANCHOR_STRIDE": (4, 8, 16, 16, 32)}
            options |= {f"ROI_{head}_HEAD__POOLER_SCALES": scales for head in ("BOX", "MASK")}
        check_whole(config_of("R-50-FPN", **options))
        with pytest.raises(ValueError, match=f"RESNETS.{key} .*; the blocks of R-34 have no such"):
            check_whole(config_of("R-34-FPN", **options))


@pytest.mark.parametrize("body", ["R-18-C4", "R-50-C4", "R-50-C5", "R-50-FPN"])
def test_anchors_have_the_strides_of_the_feature_maps(body):
    wrong = (8,) if not body.endswith("FPN") else (8, 16, 32, 64, 128)
    with pytest.raises(ValueError, match=rf"ANCHOR_STRIDE is \({wrong[0]},.*of {body} have"):
        check_whole(config_of(body, RPN__ANCHOR_STRIDE=wrong))
    model = build_detection_model(config_of(body, RPN_ONLY=True, MASK_ON=False, MASKIOU_ON=False))
    maps = model.backbone(torch.zeros(1, 3, 128, 128))
    kind = body.rpartition("-")[2]
    assert tuple(128 // m.shape[-1] for m in maps) == STRIDES[kind]


def test_a_dilated_last_stage_keeps_the_size():
    options = {
        "RESNETS__RES5_DILATION": 2,
        "RPN__ANCHOR_STRIDE": (16,),
        "ROI_BOX_HEAD__POOLER_SCALES": (1 / 16,),
        "ROI_MASK_HEAD__POOLER_SCALES": (1 / 16,),
        "ROI_BOX_HEAD__FEATURE_EXTRACTOR": BOX_EXTRACTORS[0],
        "ROI_BOX_HEAD__PREDICTOR": "FPNPredictor",
        "ROI_MASK_HEAD__FEATURE_EXTRACTOR": MASK_EXTRACTORS[0],
        "ROI_MASK_HEAD__SHARE_BOX_FEATURE_EXTRACTOR": False,
    }
    config = config_of("R-50-C5", **options)
    check_whole(config)
    model = trains_and_predicts(config)
    assert model.backbone(torch.zeros(1, 3, 64, 64))[0].shape[-2:] == (4, 4)
