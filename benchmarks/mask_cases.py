"""The operators on masks beside what they replace, for ``benchmarks/ops.py``."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from pycocotools import mask as coco_mask
from torch import Tensor
from torchvision.models.detection.roi_heads import paste_masks_in_image

from maskrcnn_benchmark.layers import PasteRule, PolygonSet, mask_targets, masks_to_rle
from maskrcnn_benchmark.layers._mask_fallback import mask_targets as by_pycocotools

SIDE = 28


class Case(NamedTuple):
    """Two ways to compute the same.

    Attributes:
        name: what is computed.
        ours: computes it once.
        theirs: computes it in the other way.
    """

    name: str
    ours: Callable[[], Any]
    theirs: Callable[[], Any]


def draw_detections(count: int, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return soft masks ``[count, 28, 28]`` of uneven discs, and boxes inside the image."""
    draw = torch.Generator().manual_seed(0)
    limits = torch.tensor([*size, *size]) - 1.0
    center = torch.rand(count, 2, generator=draw) * limits[:2]
    half = (torch.rand(count, 2, generator=draw).square() * limits[:2] * 0.6 + 8) / 2
    boxes = torch.cat([center - half, center + half], dim=1).clamp(min=0).minimum(limits)
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, SIDE)] * 2, indexing="ij")
    noise = torch.randn(count, SIDE, SIDE, generator=draw)
    return torch.sigmoid(8 * (0.8 - (x**2 + y**2).sqrt()) + 0.5 * noise), boxes


def as_torchvision(masks: Tensor, boxes: Tensor, size: tuple[int, int]) -> list[Any]:
    """Paste by torchvision, encode by pycocotools."""
    pasted = paste_masks_in_image(masks[:, None], boxes, size[::-1])[:, 0] > 0.5
    return [coco_mask.encode(np.asfortranarray(pixels)) for pixels in pasted.byte().numpy()]


def as_detectron2(masks: Tensor, boxes: Tensor, size: tuple[int, int]) -> list[Any]:
    """Sample each mask around its box (detectron2's way on a CPU), encode by pycocotools."""
    planes = torch.zeros(len(masks), size[1], size[0], dtype=torch.bool)
    for plane, mask, box in zip(planes, masks, boxes, strict=True):
        left, top = (box[:2].floor() - 1).clamp(min=0).long().tolist()
        right, bottom = (box[2:].ceil() + 1).minimum(torch.tensor(size)).long().tolist()
        x = (torch.arange(left, right) + 0.5 - box[0]) / (box[2] - box[0]) * 2 - 1
        y = (torch.arange(top, bottom) + 0.5 - box[1]) / (box[3] - box[1]) * 2 - 1
        grid = torch.stack([x.expand(len(y), -1), y[:, None].expand(-1, len(x))], dim=-1)
        soft = F.grid_sample(mask[None, None], grid[None], align_corners=False)[0, 0]
        plane[top:bottom, left:right] = soft >= 0.5
    return [coco_mask.encode(np.asfortranarray(pixels)) for pixels in planes.byte().numpy()]


def draw_targets(instances: int, size: tuple[int, int]) -> tuple[PolygonSet, Tensor, Tensor]:
    """Return polygons of 30 vertices, 128 boxes around them, and the polygon of each box."""
    rng = np.random.default_rng(0)
    angles = np.sort(rng.uniform(0, 2 * np.pi, (instances, 30)))
    radius = rng.uniform(0.6, 1, (instances, 30)) * rng.uniform(20, 200, (instances, 1))
    center = rng.uniform(0, 1, (instances, 1, 2)) * size
    around = np.stack([np.cos(angles), np.sin(angles)], axis=-1) * radius[..., None]
    vertices = (center + around).astype(np.float32)
    matched = rng.integers(0, instances, 128)
    low, high = vertices[matched].min(axis=1), vertices[matched].max(axis=1)
    boxes = np.concatenate([low, high], axis=1)
    boxes += rng.uniform(-0.15, 0.15, boxes.shape) * np.tile(high - low, 2)
    boxes = boxes.clip(0, np.array([*size, *size]) - 1).astype(np.float32)
    polygons = PolygonSet.gather([[one.ravel()] for one in vertices])
    return polygons, torch.from_numpy(boxes), torch.from_numpy(matched)


def mask_cases(size: tuple[int, int]) -> Iterator[Case]:
    """RLEs of 100 masks 28 x 28, and targets with visible fractions of 128 boxes.

    Args:
        size: ``(width, height)`` of the image.
    """
    masks, boxes = draw_detections(100, size)
    for aligned, theirs in ((False, as_torchvision), (True, as_detectron2)):
        yield Case(
            f"masks_to_rle, 100 masks, beside {theirs.__name__[3:]} and pycocotools",
            partial(masks_to_rle, masks, boxes, size, PasteRule(aligned=aligned)),
            partial(theirs, masks, boxes, size),
        )
    for instances in (10, 1000):
        polygons, rois, matched = draw_targets(instances, size)
        yield Case(
            f"mask_targets, 128 boxes, {instances} instances, beside pycocotools",
            partial(mask_targets, polygons, rois, matched, SIDE, size),
            partial(by_pycocotools, *polygons, rois, matched, SIDE, *reversed(size)),
        )
