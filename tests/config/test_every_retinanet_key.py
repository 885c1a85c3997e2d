"""Every key of RetinaNet has the effect that its comment describes."""

import math

import pytest
import torch

from maskrcnn_benchmark.modeling.backbone import build_backbone
from maskrcnn_benchmark.modeling.rpn.retinanet.retinanet import RetinaNetOutput, build_retinanet
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.image_list import ImageList
from tests.helpers import model_observers as see
from tests.helpers.every_key import Case, all_keys, assert_complete, config_with
from tests.helpers.whole_check import check_whole

KEY = "MODEL.RETINANET"
THIN = {
    "MODEL.RETINANET_ON": True,
    "MODEL.BACKBONE.CONV_BODY": "R-18-FPN-RETINANET",
    "MODEL.BACKBONE.OUT_CHANNELS": 8,
    "MODEL.RESNETS.STEM_OUT_CHANNELS": 8,
    "MODEL.RESNETS.RES2_OUT_CHANNELS": 8,
    f"{KEY}.NUM_CLASSES": 3,
    f"{KEY}.NUM_CONVS": 1,
    f"{KEY}.ANCHOR_STRIDES": (8,),
    f"{KEY}.ANCHOR_SIZES": (32,),
    f"{KEY}.ASPECT_RATIOS": (1.0,),
    f"{KEY}.SCALES_PER_OCTAVE": 1,
}
WHOLE = {f"{KEY}.ANCHOR_STRIDES": (8, 16, 32, 64, 128), f"{KEY}.ANCHOR_SIZES": (32,) * 5}
NETS = {
    "MODEL.RPN.USE_FPN": True,
    "MODEL.ROI_HEADS.USE_FPN": True,
    "DATALOADER.SIZE_DIVISIBILITY": 32,
}


def layers(cfg):
    """Return the number of layers of a tower, and the outputs for a cell."""
    head = build_retinanet(cfg, 8).head
    convs = sum(isinstance(layer, torch.nn.Conv2d) for layer in head.cls_tower)
    return convs, head.cls_logits.out_channels, head.bbox_pred.out_channels


def anchors(cfg):
    """Return the heights of the anchors of a cell, and the step between the cells."""
    generator = build_retinanet(cfg, 8).anchor_generator
    grid = generator([torch.zeros(1, 8, 1, 2)])[0].reshape(2, -1, 4)
    heights = (grid[0, :, 3] - grid[0, :, 1] + 1).round()
    return heights.int().tolist(), int(grid[1, 0, 0] - grid[0, 0, 0])


def extra_levels(cfg):
    blocks = build_backbone(cfg).fpn.top_blocks
    return [tuple(conv.weight.shape[:2]) for conv in (blocks.p6, blocks.p7)]


def matches(cfg):
    return build_retinanet(cfg, 8).matcher(see.QUALITY).tolist()


def losses(cfg):
    """Return the losses of a positive and a background anchor of two classes.

    All logits are 0, so that each counts with its weight, 2 ** -gamma and log(2); one offset is
    wrong by 1, and the divisor of the box loss is 4.
    """
    net = build_retinanet(cfg, 8)
    boxes = torch.tensor([[0.0, 0, 9, 9], [100, 100, 109, 109]])
    deltas = torch.tensor([[[1.0, 0, 0, 0], [0, 0, 0, 0]]])
    target = BoxList(boxes[:1], (200, 200))
    target.add_field("labels", torch.tensor([1]))
    images = ImageList(torch.zeros(1, 3, 8, 8), [(200, 200)])
    output = RetinaNetOutput([torch.zeros(1, 2, 2)], [deltas], [boxes])
    net.forward = lambda _: output
    found, _ = net.losses(images, [], [target])
    classes = found["loss_retina_cls"].item() * 2 / math.log(2)  # one positive, one image
    return round(classes, 3), round(found["loss_retina_reg"].item() * 4, 3)


def detected(cfg):
    """Return the scores of four boxes of two classes; the first two have an IoU of 0.6."""
    boxes = torch.tensor([[0.0, 0, 9, 9], [0, 0, 9, 5], [30, 30, 39, 39], [60, 60, 69, 69]])
    scores = torch.tensor([[0.9, 0.1], [0.8, 0.02], [0.7, 0.01], [0.3, 0.02]])
    images = ImageList(torch.zeros(1, 3, 8, 8), [(200, 200)])
    output = RetinaNetOutput([scores.logit()[None]], [torch.zeros(1, 4, 4)], [boxes])
    (found,) = build_retinanet(cfg, 8).detections(images, output)
    return sorted(round(x, 2) for x in found.get_field("scores").tolist())


def prior(cfg):
    return round(build_retinanet(cfg, 8).head.cls_logits.bias.sigmoid()[0].item(), 4)


ALL = [0.1, 0.3, 0.7, 0.9]
CASES = [
    Case(
        *("MODEL.RETINANET_ON", False, see.losses),
        *(["retina_cls", "retina_reg"], ["objectness", "rpn_box_reg"]),
        given=WHOLE
        | NETS
        | {"MODEL.RPN_ONLY": True, "MODEL.RPN.ANCHOR_STRIDE": (8, 16, 32, 64, 128)},
    ),
    Case(f"{KEY}.NUM_CLASSES", 5, layers, (1, 2, 4), (1, 4, 4)),
    Case(f"{KEY}.NUM_CONVS", 3, layers, (1, 2, 4), (3, 2, 4)),
    Case(f"{KEY}.ANCHOR_SIZES", (64,), anchors, ([32], 8), ([64], 8)),
    Case(f"{KEY}.ASPECT_RATIOS", (0.25, 1.0), anchors, ([32], 8), ([16, 32], 8)),
    Case(f"{KEY}.ANCHOR_STRIDES", (16,), anchors, ([32], 8), ([32], 16)),
    Case(f"{KEY}.SCALES_PER_OCTAVE", 2, anchors, ([32], 8), ([32, 45], 8)),
    Case(
        *(f"{KEY}.OCTAVE", 4.0, anchors, ([32, 45], 8), ([32, 64], 8)),
        given={f"{KEY}.SCALES_PER_OCTAVE": 2},
    ),
    Case(f"{KEY}.USE_C5", False, extra_levels, [(8, 64), (8, 8)], [(8, 8), (8, 8)]),
    Case(f"{KEY}.FG_IOU_THRESHOLD", 0.7, matches, [-1, -1, 0, 0, 0], [-1, -1, -2, 0, 0]),
    Case(f"{KEY}.BG_IOU_THRESHOLD", 0.2, matches, [-1, -1, 0, 0, 0], [-1, -2, 0, 0, 0]),
    # weights: (0.25 + 0.75 + 2 * 0.75) / 4; smooth L1: 1 - 0.11 / 2
    Case(f"{KEY}.LOSS_ALPHA", 0.4, losses, (0.625, 0.945), (0.55, 0.945)),
    Case(f"{KEY}.LOSS_GAMMA", 0.0, losses, (0.625, 0.945), (2.5, 0.945)),
    Case(f"{KEY}.BBOX_REG_BETA", 1.0, losses, (0.625, 0.945), (0.625, 0.5)),
    Case(f"{KEY}.BBOX_REG_WEIGHT", 2.0, losses, (0.625, 0.945), (0.625, 1.89)),
    Case(f"{KEY}.PRIOR_PROB", 0.1, prior, 0.01, 0.1),
    Case(f"{KEY}.INFERENCE_TH", 0.2, detected, ALL, ALL[1:]),
    Case(f"{KEY}.NMS_TH", 0.7, detected, ALL, [0.1, 0.3, 0.7, 0.8, 0.9]),
    Case(f"{KEY}.PRE_NMS_TOP_N", 3, detected, ALL, [0.7, 0.9]),
    Case("TEST.DETECTIONS_PER_IMG", 2, detected, ALL, [0.7, 0.9]),
]
WITHOUT_CASE = {f"{KEY}.STRADDLE_THRESH": "upstream's, where it has no effect; its YAMLs set it"}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_changed_key_changes_what_it_says(case):
    case.check(THIN)


def test_every_key_has_a_case():
    keys = [key for key in all_keys() if key.startswith("MODEL.RETINANET")]
    assert_complete([*keys, "TEST.DETECTIONS_PER_IMG"], CASES, WITHOUT_CASE)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({f"{KEY}.BG_IOU_THRESHOLD": 0.6}, "must be ordered"),
        ({f"{KEY}.ANCHOR_SIZES": (32, 64)}, "each stride needs one size"),
        ({f"{KEY}.ANCHOR_STRIDES": (4, 8, 16, 32, 64)}, "ANCHOR_STRIDES is .*strides .8, 16"),
        ({f"{KEY}.SCALES_PER_OCTAVE": 0}, "must be at least 1"),
        ({f"{KEY}.NUM_CONVS": 0}, "NUM_CONVS is 0; it must be at least 1"),
        ({f"{KEY}.NUM_CLASSES": 1}, "at least 2"),
        ({f"{KEY}.PRIOR_PROB": 0.0}, "between 0 and 1"),
        ({f"{KEY}.INFERENCE_TH": -0.1}, "must not be negative"),
        ({f"{KEY}.LOSS_GAMMA": 0.5}, "0 or at least 1"),
        ({"MODEL.MASK_ON": True}, "MODEL.RETINANET_ON has no mask head: set MODEL.MASK_ON"),
        ({"SOLVER.TRAIN_ONLY": "rpn"}, "TRAIN_ONLY rpn needs MODEL.RETINANET_ON False"),
        ({"SOLVER.TRAIN_ONLY": "box"}, "TRAIN_ONLY box needs MODEL.RPN_ONLY and RETINANET_ON"),
    ],
)
def test_contradictions_are_refused(options, message):
    check_whole(config_with(THIN | WHOLE | NETS))
    with pytest.raises(ValueError, match=message):
        check_whole(config_with(THIN | WHOLE | NETS | options))
