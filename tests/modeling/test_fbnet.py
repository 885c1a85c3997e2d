"""FBNet: architectures, blocks, definitions of one's own, and whole models of each architecture."""

import copy
import json

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import nn

from maskrcnn_benchmark.modeling.backbone import build_backbone
from maskrcnn_benchmark.modeling.detector import build_detection_model, check_model
from maskrcnn_benchmark.modeling.fbnet.architectures import ARCHITECTURES, Block
from maskrcnn_benchmark.modeling.fbnet.blocks import BlockBuilder, InvertedResidual
from maskrcnn_benchmark.modeling.fbnet.definition import read_architecture
from tests.helpers.every_key import config_with
from tests.helpers.thin_model import two_objects

BODY = {"MODEL.BACKBONE.CONV_BODY": "FBNet"}
ARCH, ARCH_DEF = "MODEL.FBNET.ARCH", "MODEL.FBNET.ARCH_DEF"
# "default" in the JSON of maskrcnn-benchmark
DEFAULT = {
    "block_op_type": [["ir_k3"] * count for count in (1, 2, 3, 7, 4, 3, 5)],
    "block_cfg": {
        "first": [32, 2],
        "stages": [
            [[1, 16, 1, 1]],
            [[6, 24, 2, 2]],
            [[6, 32, 3, 2]],
            [[6, 64, 4, 2], [6, 96, 3, 1]],
            [[4, 160, 1, 2], [6, 160, 2, 1], [6, 240, 1, 1]],
            [[6, 96, 3, 1]],
            [[4, 160, 1, 1], [6, 160, 3, 1], [3, 80, 1, -2]],
        ],
        "last": [0, 0.0],
        "backbone": [0, 1, 2, 3],
        "rpn": [5],
        "bbox": [4],
        "mask": [6],
    },
}


def test_mobilenet_v2_has_the_blocks_of_torchvisions():
    found = []
    for block in torchvision.models.mobilenet_v2(weights=None).features[1:18]:
        *_, depthwise, project, _ = block.conv
        depthwise = depthwise[0]
        found.append((depthwise.in_channels, project.out_channels, depthwise.stride[0]))
    ours, width = [], 32
    architecture = ARCHITECTURES["mobilenet_v2"]
    for part in ("backbone", "bbox"):
        for block in architecture.blocks(part):
            assert block.kernel == 3
            ours.append((width * block.expansion, block.channels, block.stride))
            width = block.channels
    assert found[13][2] == 2 and ours[13][2] == 1  # the box head keeps the pooled size
    found[13] = (*found[13][:2], 1)
    assert ours == found
    assert architecture.stride() == 16


def test_fbnet_c_computes_what_timms_does():
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    other = timm.create_model("fbnetc_100").eval()
    every = [block for stage in other.blocks for block in stage]
    names = {"conv_pw": "pw.conv", "bn1": "pw.bn", "conv_dw": "dw.conv", "bn2": "dw.bn"}
    names |= {"conv_pwl": "pwl.conv", "bn3": "pwl.bn"}
    options = {f"MODEL.FBNET.DW_CONV_SKIP_{layer}": False for layer in ("BN", "RELU")}
    config = config_with(BODY | options | {ARCH: "fbnet_c"})
    body = build_backbone(config).body.eval()
    state = {f"first.conv.{k}": v for k, v in other.conv_stem.state_dict().items()}
    state |= {f"first.bn.{k}": v for k, v in other.bn1.state_dict().items()}
    for name, block in zip(body.stages._modules, every[: len(body.stages)], strict=True):
        for key, value in block.state_dict().items():
            layer, leaf = key.split(".")
            state[f"stages.{name}.{names[layer]}.{leaf}"] = value
    body.load_state_dict(state)
    x = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        expected = other.bn1(other.conv_stem(x))
        for block in every[: len(body.stages)]:
            expected = block(expected)
        torch.testing.assert_close(body(x)[0], expected, rtol=1e-4, atol=1e-5)
    rest = [block.conv_pwl.out_channels for block in every[len(body.stages) :]]
    assert [b.channels for b in ARCHITECTURES["fbnet_c"].blocks("bbox")] == rest


@pytest.mark.parametrize(("stride", "out_channels"), [(1, 4), (1, 6), (2, 4), (-2, 4)])
def test_a_block_expands_filters_and_projects(stride, out_channels):
    torch.manual_seed(0)
    shape = Block("xif0_0", 5, 3, out_channels, stride)
    norm = nn.BatchNorm2d
    block = InvertedResidual(4, 12, out_channels, shape, norm=norm, dw_norm=None, dw_relu=False)
    x = torch.randn(2, 4, 7, 7)
    y = F.conv2d(x, block.pw.conv.weight)
    mean, var = y.mean(dim=(0, 2, 3)), y.var(dim=(0, 2, 3), unbiased=False)
    y = ((y - mean[:, None, None]) / (var[:, None, None] + 1e-5).sqrt()).clamp(min=0)
    if stride < 0:
        y = y.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    y = F.conv2d(y, block.dw.conv.weight, stride=max(stride, 1), padding=2, groups=12)
    y = F.conv2d(y, block.pwl.conv.weight)
    mean, var = y.mean(dim=(0, 2, 3)), y.var(dim=(0, 2, 3), unbiased=False)
    y = (y - mean[:, None, None]) / (var[:, None, None] + 1e-5).sqrt()
    if stride == 1 and out_channels == 4:
        y = y + x
    found = block(x)
    torch.testing.assert_close(found, y, rtol=1e-4, atol=1e-5)
    assert found.shape[-1] == shape.output_side(7)


@pytest.mark.parametrize(
    ("channels", "divisor", "width"),
    [(24, 8, 24), (19.9, 8, 16), (20, 8, 24), (3, 8, 8), (0.5, 1, 1), (17.9, 1, 17)],
)
def test_widths_are_rounded_to_the_divisor(channels, divisor, width):
    builder = BlockBuilder(nn.BatchNorm2d, 1.0, divisor, dw_norm=False, dw_relu=False)
    assert builder.width(channels) == width


def test_the_last_layer_of_a_head():
    builder = BlockBuilder(nn.BatchNorm2d, 2.0, 8, dw_norm=False, dw_relu=False)
    for channels, scale, width in ((0, 1.0, 24), (16, 0.0, 24), (16, 0.5, 16), (0, -0.5, 16)):
        layer, found = builder.last(24, channels, scale)
        assert found == width
        assert layer(torch.zeros(2, 24, 3, 3)).shape == (2, width, 3, 3)
        assert len(layer) == (0 if width == 24 else 3)


def test_a_definition_of_ones_own():
    assert read_architecture(json.dumps(DEFAULT)) == ARCHITECTURES["default"]
    text = json.dumps(DEFAULT)
    with torch.device("meta"):
        build_detection_model(config_with(BODY | {ARCH_DEF: text}))  # the same as the known one
    with pytest.raises(ValueError, match="differs from the known architecture 'cham_v2'"):
        build_detection_model(config_with(BODY | {ARCH_DEF: text, ARCH: "cham_v2"}))
    own = copy.deepcopy(DEFAULT)
    own["block_cfg"]["stages"][3][1][1] = 40
    del own["block_cfg"]["mask"]
    config = config_with(BODY | {ARCH_DEF: json.dumps(own), ARCH: "mine", "MODEL.MASK_ON": True})
    with torch.device("meta"):
        model = build_detection_model(config)
    assert model.backbone.out_channels == 40
    assert config.MODEL.ROI_MASK_HEAD.FEATURE_EXTRACTOR == "MaskRCNNFPNFeatureExtractor"


def changed(path, value):
    definition = copy.deepcopy(DEFAULT)
    part = definition
    for key in path[:-1]:
        part = part[key]
    if value is None:
        del part[path[-1]]
    else:
        part[path[-1]] = value
    return json.dumps(definition)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "it is no JSON: .* column 2"),
        ("[]", "it has not the form"),
        (changed(["block_cfg", "stages"], None), "it lacks 'stages'"),
        (changed(["block_cfg", "backbone"], None), "it lacks 'backbone'"),
        (changed(["block_cfg", "rpn"], [7]), r"rpn is \[7\]; the stages are 0 to 6"),
        (changed(["block_cfg", "bbox"], []), r"bbox is \[\]"),
        (changed(["block_op_type", 1], ["ir_k3"]), "stage 1 has 2 blocks and 1 operations"),
        (changed(["block_op_type", 0], ["shuffle"]), "stage 0 has the operation 'shuffle'; only"),
        (changed(["block_op_type", 0], ["ir_k4"]), "stage 0 has the operation 'ir_k4'; only"),
        (changed(["block_cfg", "stages", 0], [[1, 16, 1, 0]]), r"stage 0 has \[1, 16, 0\]"),
        (changed(["block_cfg", "stages", 0], [[1, 16, 1]]), "it has not the form|unpack"),
        (changed(["block_cfg", "first"], [32]), "it has not the form"),
    ],
)
def test_a_malformed_definition_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        read_architecture(text)
    with pytest.raises(ValueError, match=f"MODEL.FBNET.ARCH_DEF: {message}"):
        build_detection_model(config_with(BODY | {ARCH: "mine", ARCH_DEF: text}))


def test_an_unknown_architecture_is_refused_in_one_line():
    message = "MODEL.FBNET.ARCH is 'fbnet_z'; it must be one of default, .*ARCH_DEF must define it"
    with pytest.raises(ValueError, match=message):
        build_detection_model(config_with(BODY | {ARCH: "fbnet_z"}))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"MODEL.RPN.RPN_HEAD": "FBNet.rpn_head", ARCH: "fbnet_c"}, "use SingleConvRPNHead"),
        (
            {"MODEL.ROI_MASK_HEAD.FEATURE_EXTRACTOR": "FBNet.roi_head_mask", ARCH: "cham_v2"},
            "FBNet.roi_head_mask, which the architecture cham_v2",
        ),
        ({"MODEL.ROI_BOX_HEAD.PREDICTOR": "FPNPredictor"}, "use FastRCNNPredictor"),
        ({"MODEL.FBNET.BN_TYPE": "sync"}, "BN_TYPE is 'sync'; it must be one of bn, af, gn"),
        ({"MODEL.FBNET.RPN_BN_TYPE": "sync"}, "RPN_BN_TYPE is 'sync'"),
        ({"MODEL.FBNET.WIDTH_DIVISOR": 0}, "WIDTH_DIVISOR is 0; it must be positive"),
        ({"MODEL.FBNET.SCALE_FACTOR": 0.0}, "SCALE_FACTOR is 0.0; it must be positive"),
        ({"MODEL.FBNET.RPN_HEAD_BLOCKS": 4}, "RPN_HEAD_BLOCKS is 4; it must be 0 to 3"),
        ({"MODEL.FBNET.DET_HEAD_BLOCKS": [4]}, r"DET_HEAD_BLOCKS is \[4\]; the blocks are 0 to 3"),
        ({"MODEL.FBNET.DET_HEAD_STRIDE": 3}, "DET_HEAD_STRIDE is 3; it must be 0, 1 or 2"),
        ({"MODEL.FBNET.MASK_HEAD_BLOCKS": [-1]}, r"MASK_HEAD_BLOCKS is \[-1\]"),
        ({"MODEL.ROI_MASK_HEAD.RESOLUTION": 14}, "RESOLUTION is 14; .* masks of size 12"),
    ],
)
def test_what_an_architecture_lacks_is_refused(options, message):
    config = config_with(BODY | {"MODEL.MASK_ON": True} | options)
    with pytest.raises(ValueError, match=message) as caught:
        build_detection_model(config)
    assert len(str(caught.value).splitlines()) == 2


THIN = {
    "MODEL.FBNET.SCALE_FACTOR": 0.125,
    "MODEL.MASK_ON": True,
    "MODEL.MASKIOU_ON": True,
    "MODEL.ROI_BOX_HEAD.NUM_CLASSES": 3,
    "MODEL.ROI_HEADS.SCORE_THRESH": 0.0,
    "MODEL.ROI_HEADS.DETECTIONS_PER_IMG": 2,
    "MODEL.RPN.POST_NMS_TOP_N_TRAIN": 20,
    "MODEL.RPN.POST_NMS_TOP_N_TEST": 20,
}


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_the_body_alone_gives_a_model_that_trains_and_predicts(arch):
    """With mask scores too, and for a batch whose second image has no object."""
    config = config_with(BODY | THIN | {ARCH: arch})
    torch.manual_seed(0)
    model = build_detection_model(config)
    assert check_model(config) == []
    parts = ARCHITECTURES[arch].parts
    assert (config.MODEL.RPN.RPN_HEAD == "FBNet.rpn_head") == ("rpn" in parts)
    assert config.MODEL.ROI_BOX_HEAD.FEATURE_EXTRACTOR == "FBNet.roi_head"
    images = torch.randn(2, 3, 64, 64)
    losses = model.train()(images, [two_objects(), two_objects()[:0]])
    sum(losses.values()).backward()
    assert len(losses) == 6 and all(loss.isfinite() for loss in losses.values())
    kernels = [n for n, p in model.named_parameters() if p.dim() > 1 and not p.grad.any()]
    assert kernels == []
    side = config.MODEL.ROI_MASK_HEAD.RESOLUTION
    with torch.no_grad():
        for found in model.eval()(images):
            assert found.get_field("mask").shape == (len(found), 1, side, side)
            assert found.get_field("mask_scores").isfinite().all()
        nothing = [two_objects()[:0].copy_with_fields(()) for _ in range(2)]
        empty = model.roi_heads.predict(model.backbone(images), nothing)
    assert [len(found) for found in empty] == [0, 0]


def test_an_rpn_only_model():
    config = config_with(BODY | {"MODEL.RPN_ONLY": True, "MODEL.FBNET.SCALE_FACTOR": 0.25})
    model = build_detection_model(config).eval()
    assert config.MODEL.RPN.RPN_HEAD == "FBNet.rpn_head"
    with torch.no_grad():
        assert len(model(torch.randn(1, 3, 64, 64))[0]) > 0


def test_group_norm_needs_widths_that_it_divides():
    options = BODY | {"MODEL.FBNET.BN_TYPE": "gn"}
    with pytest.raises(ValueError, match="MODEL.GROUP_NORM: 16 channels are not divisible"):
        build_detection_model(config_with(options))
    config = config_with(options | {"MODEL.GROUP_NORM.NUM_GROUPS": 8})
    with torch.device("meta"):
        model = build_detection_model(config)
    assert sum(isinstance(m, nn.GroupNorm) for m in model.modules()) == 1 + 2 * (13 + 3 + 4)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in model.modules())
