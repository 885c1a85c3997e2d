"""Continuous boxes and their anchors against torchvision and values by hand."""

import math

import pytest
import torch
import torchvision
from torchvision.models.detection.anchor_utils import AnchorGenerator as TorchvisionAnchors
from torchvision.models.detection.image_list import ImageList

from maskrcnn_benchmark.config import make_default_config
from maskrcnn_benchmark.modeling.box_coder import BoxCoder
from maskrcnn_benchmark.modeling.poolers import LevelMapper, Pooler
from maskrcnn_benchmark.modeling.roi_heads.box_head import build_box_head
from maskrcnn_benchmark.modeling.roi_heads.detections import DetectionLimits, select_detections
from maskrcnn_benchmark.modeling.rpn.anchor_generator import AnchorGenerator
from maskrcnn_benchmark.modeling.rpn.rpn import build_rpn
from maskrcnn_benchmark.structures.bounding_box import FLIP_LEFT_RIGHT, FLIP_TOP_BOTTOM, BoxList
from maskrcnn_benchmark.structures.box_ops import box_area, box_iou, clip_boxes
from maskrcnn_benchmark.structures.boxlist_ops import boxlist_iou, boxlist_nms, cat_boxlist
from maskrcnn_benchmark.structures.segmentation_mask import SegmentationMask

SIZES, RATIOS, STRIDES = (32, 64, 128, 256, 512), (0.5, 1.0, 2.0), (4, 8, 16, 32, 64)


def random_boxes(count: int) -> torch.Tensor:
    corners = torch.rand(count, 2, 2) * torch.tensor([120.0, 90])
    return torch.cat([corners.amin(dim=1), corners.amax(dim=1)], dim=1)


def continuous(bbox, size=(100, 80), mode="xyxy"):
    return BoxList(bbox, size, mode, pixel_offset=0)


def test_continuous_geometry_is_torchvisions():
    one, two = random_boxes(20), random_boxes(30)
    torch.testing.assert_close(box_iou(one, two, 0), torchvision.ops.box_iou(one, two))
    torch.testing.assert_close(box_area(one, 0), torchvision.ops.box_area(one))
    clipped = torchvision.ops.clip_boxes_to_image(one, (80, 100))
    assert clip_boxes(one, (100, 80), 0).equal(clipped)
    boxes = continuous(two)
    boxes.add_field("scores", torch.rand(30))
    kept = torchvision.ops.nms(two, boxes.get_field("scores"), 0.3).sort().values
    assert boxlist_nms(boxes, 0.3).bbox.equal(two[kept])


def test_a_list_keeps_its_convention():
    boxes = continuous([[10, 20, 30, 60]])
    xywh = boxes.convert("xywh")
    assert xywh.bbox.tolist() == [[10, 20, 20, 40]]
    assert boxes.area().tolist() == xywh.area().tolist() == [800]
    assert xywh.convert("xyxy").bbox.equal(boxes.bbox)
    assert boxes.transpose(FLIP_LEFT_RIGHT).bbox.tolist() == [[70, 20, 90, 60]]
    assert boxes.transpose(FLIP_TOP_BOTTOM).bbox.tolist() == [[10, 20, 30, 60]]
    assert continuous([[-5, 2, 200, 90]]).clip_to_image().bbox.tolist() == [[0, 2, 100, 80]]
    made = (
        boxes[[0]],
        xywh,
        boxes.resize((50, 40)),
        boxes.resize((50, 90)),
        boxes.crop((0, 0, 50, 50)),
        boxes.to("cpu"),
        boxes.copy_with_fields([]),
        boxes.transpose(FLIP_LEFT_RIGHT),
        boxes.clip_to_image(),
        cat_boxlist([boxes, boxes]),
    )
    assert all(b.pixel_offset == 0 for b in made)


def test_conventions_do_not_mix():
    inclusive, other = BoxList([[0, 0, 1, 1]], (9, 9)), continuous([[0, 0, 1, 1]], (9, 9))
    with pytest.raises(ValueError, match="pixel_offset 1 and 0"):
        boxlist_iou(inclusive, other)
    with pytest.raises(ValueError, match="are incompatible"):
        cat_boxlist([inclusive, other])


@pytest.mark.parametrize("method", [FLIP_LEFT_RIGHT, FLIP_TOP_BOTTOM])
def test_polygons_flip_with_continuous_boxes(method):
    outline = [10, 20, 30, 20, 30, 60, 10, 60]
    boxes = continuous([[10, 20, 30, 60]])
    boxes.add_field("masks", SegmentationMask([[outline]], boxes.size, pixel_offset=0))
    flipped = boxes.transpose(method)
    x1, y1, x2, y2 = flipped.bbox[0].int().tolist()
    expected = torch.zeros(80, 100)
    expected[y1:y2, x1:x2] = 1
    assert torch.from_numpy(flipped.get_field("masks").decode()[0]).equal(expected.byte())


def test_box_coder():
    boxes, targets = random_boxes(9), random_boxes(9)
    coder = BoxCoder((10, 10, 5, 5), pixel_offset=0)
    codes = coder.encode(targets, boxes)
    cx, cy = ((targets - boxes)[:, i::2].sum(dim=1) / 2 for i in (0, 1))
    width = boxes[:, 2] - boxes[:, 0]
    torch.testing.assert_close(codes[:, 0], 10 * cx / width)
    height_ratio = (targets[:, 3] - targets[:, 1]) / (boxes[:, 3] - boxes[:, 1])
    torch.testing.assert_close(codes[:, 1], 10 * cy / (boxes[:, 3] - boxes[:, 1]))
    torch.testing.assert_close(codes[:, 3], 5 * height_ratio.log())
    torch.testing.assert_close(coder.decode(codes, boxes), targets, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("section", ["RPN", "box head"])
def test_boxes_that_shrink_or_grow_too_much_are_bounded(section):
    """mmdetection bounds dw and dh on both sides by log(1000 / 16), the others above alone."""
    boxes = torch.tensor([[100.0, 200, 1100, 1200]])
    widths = {}
    for below in (False, True):
        cfg = make_default_config()
        cfg.merge_from_list(["MODEL.BOX_CODER_CLIP_BELOW", below, "MODEL.PIXEL_OFFSET", 0])
        if section == "RPN":
            coder, factor = build_rpn(cfg, 8).box_coder, 1
        else:
            coder, factor = build_box_head(cfg, 1024).box_coder, 5
        codes = torch.tensor([[0.0, 0, -9 * factor, 9 * factor]])
        x1, y1, x2, y2 = coder.decode(codes, boxes)[0].tolist()
        assert (x1 + x2) / 2 == pytest.approx(600) and (y1 + y2) / 2 == pytest.approx(700)
        assert y2 - y1 == pytest.approx(1000 * 1000 / 16, rel=1e-5)
        widths[below] = x2 - x1
    assert widths[True] == pytest.approx(16, rel=1e-4)
    assert widths[False] == pytest.approx(1000 * math.exp(-9), abs=1e-3)


def features(height: int, width: int) -> list[torch.Tensor]:
    maps = [torch.zeros(1, 1, height // s, width // s) for s in STRIDES[:4]]
    return [*maps, maps[-1][..., ::2, ::2]]


def test_torchvisions_anchors():
    maps = features(160, 224)  # five rows and seven columns at stride 32, so three and four at 64
    theirs = TorchvisionAnchors(tuple((s,) for s in SIZES), (RATIOS,) * 5)
    expected = theirs(ImageList(torch.zeros(1, 3, 160, 224), [(160, 224)]), maps)[0]
    ours = AnchorGenerator(SIZES, RATIOS, STRIDES, rule="torchvision")(maps)
    assert torch.cat(ours).equal(expected)


def test_centered_anchors():
    anchors = AnchorGenerator(SIZES, RATIOS, STRIDES, rule="centered")(features(64, 96))
    root = 2**0.5
    for level, (size, stride) in enumerate(zip(SIZES, STRIDES, strict=True)):
        for number, (w, h) in enumerate(((size * root, size / root), (size, size))):
            half = torch.tensor([-w, -h, w, h]) / 2
            torch.testing.assert_close(anchors[level][number], half)
            if level < 4:
                second = half + torch.tensor([stride, 0, stride, 0])
                torch.testing.assert_close(anchors[level][3 + number], second)
    assert anchors[4][3].tolist() == (anchors[4][0] + torch.tensor([64, 0, 64, 0])).tolist()


def test_unknown_anchor_rule():
    with pytest.raises(ValueError, match="'X' is none of legacy, centered, torchvision"):
        AnchorGenerator(SIZES, RATIOS, STRIDES, rule="X")


def test_levels_follow_the_convention():
    # 224 continuous, 225 inclusive: both at their level's lower end and just not, for the other
    corners = torch.tensor([[0.0, 0, 223, 223], [0, 0, 224, 224]])
    mapper = LevelMapper(2, 5)
    assert mapper([BoxList(corners, (999, 999))]).tolist() == [2, 2]
    assert mapper([continuous(corners, (999, 999))]).tolist() == [1, 2]


def test_aligned_pooling():
    maps, boxes = [torch.randn(1, 2, 20, 20)], continuous(random_boxes(5))
    pooled = Pooler((3, 3), (0.25,), 2, aligned=True)(maps, [boxes])
    expected = torchvision.ops.roi_align(maps[0], [boxes.bbox], 3, 0.25, 2, aligned=True)
    torch.testing.assert_close(pooled, expected)


def test_small_detections_are_dropped():
    boxes = torch.tensor([[[0.0] * 4, [2, 2, 2.005, 9]], [[0] * 4, [2, 2, 9, 9]]])
    scores = torch.tensor([[0.1, 0.9], [0.2, 0.8]])
    for min_size, count in ((0.0, 2), (0.01, 1)):
        limits = DetectionLimits(0.05, 0.5, 100, min_size)
        assert len(select_detections(boxes, scores, (20, 20), limits, pixel_offset=0)) == count
