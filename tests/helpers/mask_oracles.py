"""Pasted masks and mask targets by library calls, one mask and one instance at a time."""

import numpy as np
import torch
import torch.nn.functional as F
from pycocotools import mask as coco_mask

LARGEST_PASTED, LARGEST_TARGET = 2**30, 2**24  # coordinates of a box


def soft_mask(mask, box, size, padding, aligned):
    """Paste ``mask [M, M]`` softly: float ``[H, W]``, and which pixels it may reach, bool."""
    soft, reached = torch.zeros(size[::-1]), torch.zeros(size[::-1], dtype=torch.bool)
    if not (box.abs() <= LARGEST_PASTED).all():
        return soft, reached
    part, top, left = (_sampled if aligned else _resized)(mask, box, size, padding)
    soft[top : top + part.shape[0], left : left + part.shape[1]] = part
    reached[top : top + part.shape[0], left : left + part.shape[1]] = True
    return soft, reached


def _resized(mask, box, size, padding):
    """By ``F.interpolate`` to the whole pixels of the expanded box, cut at the image's border."""
    scale = (len(mask) + 2 * padding) / len(mask)
    center, half = (box[:2] + box[2:]) * 0.5, (box[2:] - box[:2]) * 0.5 * scale
    x1, y1, x2, y2 = torch.cat([center - half, center + half]).trunc().long().tolist()
    height, width = max(y2 - y1 + 1, 1), max(x2 - x1 + 1, 1)
    top, left = max(y1, 0), max(x1, 0)
    bottom, right = min(y1 + height, size[1]), min(x1 + width, size[0])
    if bottom <= top or right <= left:
        return torch.zeros(0, 0), 0, 0
    padded = F.pad(mask[None, None], (padding,) * 4)
    whole = F.interpolate(padded, size=(height, width), mode="bilinear", align_corners=False)
    return whole[0, 0, top - y1 : bottom - y1, left - x1 : right - x1], top, left


def _sampled(mask, box, size, padding):
    """By ``F.grid_sample`` at the centers of the pixels in and around the box."""
    del padding
    corner, side = box[:2], box[2:] - box[:2]
    if not (side > 0).all():
        return torch.zeros(0, 0), 0, 0
    reach = side / (2 * len(mask))
    left, top = (corner - reach).floor().clamp(min=0).long().tolist()
    right, bottom = (box[2:] + reach).ceil().minimum(torch.tensor(size)).long().tolist()
    if bottom <= top or right <= left:
        return torch.zeros(0, 0), 0, 0
    x, y = (
        (torch.arange(first, last, dtype=torch.float32) + 0.5 - corner[axis]) / side[axis] * 2 - 1
        for axis, (first, last) in enumerate(((left, right), (top, bottom)))
    )
    grid = torch.stack([x.expand(len(y), -1), y[:, None].expand(-1, len(x))], dim=-1)
    soft = F.grid_sample(mask[None, None], grid[None], align_corners=False)[0, 0]
    return soft, top, left


def encode(pixels):
    """Return the counts of pycocotools' RLE of bool ``[H, W]``."""
    return coco_mask.encode(np.asfortranarray(pixels.numpy().astype(np.uint8)))["counts"].decode()


def _rles(polygons, corner, ratios, height, width):
    """Polygons moved and scaled in float32, then drawn by pycocotools."""
    corner, ratios = np.float32(corner), np.float32(ratios)
    placed = [((p.reshape(-1, 2) - corner) * ratios).ravel().tolist() for p in polygons]
    return coco_mask.frPyObjects(placed, height, width)


def _sum_of_areas(polygons, corner, extent):
    width, height = int(extent[0]), int(extent[1])
    if width <= 0 or height <= 0:
        return 0
    return sum(int(coco_mask.area(r)) for r in _rles(polygons, corner, (1, 1), height, width))


def target(polygons, box, side, size):
    """Return the mask ``[side, side]``, the area inside the box and the whole one."""
    if not (np.abs(box) <= LARGEST_TARGET).all() or not polygons:
        return np.zeros((side, side), np.uint8), 0, 0
    width, height = max(float(box[2] - box[0]), 1.0), max(float(box[3] - box[1]), 1.0)
    rles = _rles(polygons, box[:2], (side / width, side / height), side, side)
    vertices = np.concatenate([p.reshape(-1, 2) for p in polygons])
    low = np.minimum(vertices.min(axis=0), np.trunc(box[:2]))
    high = np.maximum(vertices.max(axis=0), np.trunc(box[2:]) + 1)
    limits = np.float32(size) - 1
    low, high = np.clip(low, 0, limits), np.clip(high, 0, limits)
    inside = _sum_of_areas(polygons, box[:2], box[2:] - box[:2])
    whole = _sum_of_areas(polygons, low, high - low)
    return coco_mask.decode(coco_mask.merge(rles)), inside, whole
