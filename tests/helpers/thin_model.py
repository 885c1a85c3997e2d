"""Shipped configs at a fraction of their width, for tests that train or compare."""

from typing import Any

import torch
from yacs.config import CfgNode

from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.keypoints import PersonKeypoints
from maskrcnn_benchmark.structures.segmentation_mask import SegmentationMask
from tests.helpers.recorded_model import load_config

_WIDTHS = {
    "MODEL.GROUP_NORM.NUM_GROUPS": 8,
    "MODEL.RESNETS.WIDTH_PER_GROUP": 16,
    "MODEL.RESNETS.RES2_OUT_CHANNELS": 64,
    "MODEL.ROI_BOX_HEAD.MLP_HEAD_DIM": 64,
    "MODEL.ROI_BOX_HEAD.CONV_HEAD_DIM": 32,
    "MODEL.ROI_MASK_HEAD.CONV_LAYERS": (32, 32),
}


def thin_config(name: str, options: dict[str, Any] | None = None) -> CfgNode:
    """Return a config of configs/ with narrow layers and the given options."""
    widths = dict(_WIDTHS)
    if "_C4" not in name:
        widths["MODEL.BACKBONE.OUT_CHANNELS"] = 32
    pairs = (widths | (options or {})).items()
    return load_config(name, [part for pair in pairs for part in pair])


def two_objects(size: int = 64) -> BoxList:
    """Return ground truth of a square image: a triangle and a quadrangle, which overlap.

    All 17 keypoints of each lie on a diagonal of its box.
    """
    shapes = [[[4, 4, 40, 4, 40, 40]], [[20, 10, 60, 10, 56, 50, 20, 50]]]
    scaled = [[[x * size / 64 for x in polygon] for polygon in shape] for shape in shapes]
    boxes = torch.tensor([[4, 4, 40, 40], [20, 10, 60, 50]]) * (size / 64)
    target = BoxList(boxes, (size, size))
    target.add_field("labels", torch.tensor([1, 2]))
    target.add_field("masks", SegmentationMask(scaled, (size, size)))
    places = boxes[:, None, :2].lerp(boxes[:, None, 2:], torch.linspace(0.1, 0.9, 17)[:, None])
    visible = torch.full((2, 17, 1), 2.0)
    keypoints = PersonKeypoints(torch.cat([places, visible], dim=2), (size, size))
    target.add_field("keypoints", keypoints)
    return target
