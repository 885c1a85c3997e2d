"""Mask targets for every COCO mask format, mixed in one image, against slow definitions."""

import math

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

from maskrcnn_benchmark.modeling.roi_heads.mask_head import build_mask_targets
from maskrcnn_benchmark.modeling.roi_heads.maskiou_head import mask_iou_target
from maskrcnn_benchmark.modeling.roi_heads.sampling import SampledProposals
from maskrcnn_benchmark.structures.bounding_box import FLIP_LEFT_RIGHT, BoxList
from maskrcnn_benchmark.structures.segmentation_mask import SegmentationMask

WIDTH, HEIGHT = SIZE = (64, 48)
SIDE = 14
BOXES = torch.tensor(
    [
        [16.0, 6.0, 44.0, 34.0],  # all of the instance
        [30.0, 6.0, 58.0, 34.0],  # its right half
        [2.0, 20.0, 58.0, 48.0],  # its lower half, two pixels a cell
        [30.3, 20.6, 44.9, 33.2],  # not on whole pixels
        [50.0, 36.0, 62.0, 46.0],  # nothing of it
    ]
)


def octagon(x, y, radius):
    turns = np.linspace(0, 2 * np.pi, 9)[:-1]
    return np.stack([x + radius * np.cos(turns), y + radius * np.sin(turns)], 1).ravel().tolist()


def ring():
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    radius = np.hypot(x + 0.5 - 30, y + 0.5 - 20)
    return ((radius < 13) & (radius > 6)).astype(np.uint8)


def compressed(pixels):
    return coco_mask.encode(np.asfortranarray(pixels))


def as_json(pixels):
    rle = compressed(pixels)
    return {**rle, "counts": rle["counts"].decode("ascii")}


def uncompressed(pixels):
    counts, current, run = [], 0, 0
    for value in pixels.T.ravel().tolist():
        if value != current:
            counts.append(run)
            current, run = value, 0
        run += 1
    return {"size": list(pixels.shape), "counts": [*counts, run]}


FORMS = {
    "array": lambda pixels: pixels,
    "bool": lambda pixels: pixels.astype(bool),
    "compressed": compressed,
    "json": as_json,
    "uncompressed": uncompressed,
}


def targets_of(masks, boxes=BOXES):
    """Return the targets of each mask in each box, computed from one image."""
    target = BoxList(torch.zeros(len(masks), 4), SIZE)
    target.add_field("masks", SegmentationMask(masks, SIZE))
    rois = boxes.repeat(len(masks), 1)
    matched = torch.arange(len(masks)).repeat_interleave(len(boxes))
    labels = torch.ones_like(matched)
    positives = SampledProposals([BoxList(rois, SIZE)], [labels], [matched], [target])
    return build_mask_targets(positives, SIDE)


def slow_mask(pixels, box):
    """Return the pixel under the center of each cell."""
    x1, y1, x2, y2 = box
    cells = np.zeros((SIDE, SIDE))
    for i in range(SIDE):
        for j in range(SIDE):
            x = math.floor(x1 + (j + 0.5) * (x2 - x1) / SIDE)
            y = math.floor(y1 + (i + 0.5) * (y2 - y1) / SIDE)
            cells[i, j] = pixels[y, x] if 0 <= x < WIDTH and 0 <= y < HEIGHT else 0
    return cells


def slow_fraction(pixels, box):
    """Return the fraction of the instance's pixels whose centers lie in the box."""
    inside = 0
    for y, x in zip(*np.nonzero(pixels), strict=True):
        inside += box[0] <= x + 0.5 < box[2] and box[1] <= y + 0.5 < box[3]
    return inside / pixels.sum()


@pytest.mark.parametrize("form", FORMS)
def test_bitmaps(form):
    pixels = ring()
    gt = targets_of([FORMS[form](pixels)])
    for row, box in enumerate(BOXES.tolist()):
        np.testing.assert_array_equal(gt.masks[row], slow_mask(pixels, box))
        whole = all(side == int(side) for side in box)
        # a box between pixels is as many pixels wide as it is long, rounded down
        allowed = 1e-6 if whole else (box[2] - box[0] + box[3] - box[1]) / pixels.sum()
        expected = slow_fraction(pixels, box)
        assert gt.visible_fraction[row].item() == pytest.approx(expected, abs=allowed)
    assert gt.masks[0, SIDE // 2, SIDE // 2] == 0  # the hole
    assert gt.visible_fraction[0] == 1


def test_polygons_are_close_to_their_own_pixels():
    polygons = [octagon(28, 20, 12), octagon(50, 12, 6)]
    pixels = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(polygons, HEIGHT, WIDTH)))
    gt = targets_of([polygons])
    for row, box in enumerate(BOXES.tolist()):
        different = (gt.masks[row].numpy() != slow_mask(pixels, box)).sum()
        assert different <= 0.08 * SIDE**2  # of the outline
        expected = slow_fraction(pixels, box)
        assert gt.visible_fraction[row].item() == pytest.approx(expected, abs=0.05)


def test_all_forms_in_one_image():
    pixels = ring()
    forms = [FORMS[name](pixels) for name in FORMS]
    polygon = [octagon(28, 20, 12)]
    gt = targets_of([polygon, *forms])
    rows = len(BOXES)
    alone = targets_of([polygon])
    assert gt.masks[:rows].equal(alone.masks)
    assert gt.visible_fraction[:rows].equal(alone.visible_fraction)
    for first in range(rows, rows * (len(forms) + 1), rows):
        assert gt.masks[first : first + rows].equal(gt.masks[rows : 2 * rows])
        fraction = gt.visible_fraction[first : first + rows]
        assert fraction.equal(gt.visible_fraction[rows : 2 * rows])


@pytest.mark.parametrize("form", [*FORMS, "polygon"])
def test_maskiou_target_is_the_iou_with_the_whole_instance(form):
    """Counted in pixels of the image: a cell of the mask stands for a part of the box."""
    polygons = [octagon(28, 20, 12)]
    pixels = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(polygons, HEIGHT, WIDTH)))
    gt = targets_of([polygons if form == "polygon" else FORMS[form](pixels)])
    logits = torch.randn(len(BOXES), SIDE, SIDE) + 2 * gt.masks
    got = mask_iou_target(logits, gt)
    for row, (x1, y1, x2, y2) in enumerate(BOXES.tolist()):
        cell = (x2 - x1) * (y2 - y1) / SIDE**2
        predicted = (logits[row] > 0).numpy()
        overlap = cell * (predicted & (gt.masks[row].numpy() > 0)).sum()
        union = cell * predicted.sum() + pixels.sum() - overlap
        assert got[row].item() == pytest.approx(overlap / union, abs=0.02)
    assert got[4] == 0


def test_holes_survive_what_the_loader_does():
    """Flip, resize and crop of a ring, then its target: a hole in the middle."""
    for form in FORMS.values():
        mask = SegmentationMask([form(ring())], SIZE).transpose(FLIP_LEFT_RIGHT)
        mask = mask.resize((128, 96)).crop((20, 4, 120, 90))
        left, middle = (WIDTH - 30) * 2 - 20, 20 * 2 - 4
        box = np.float32([left - 26, middle - 26, left + 26, middle + 26])
        target = mask.instances[0].rasterize_in(box, 26)
        y, x = np.mgrid[:26, :26] - 12.5
        expected = (np.hypot(x, y) < 13) & (np.hypot(x, y) > 6)
        assert (target != expected).mean() < 0.03
        assert target[13, 13] == 0


def test_an_instance_without_pixels_is_left_out():
    gt = targets_of([np.zeros((HEIGHT, WIDTH), np.uint8)])
    assert gt.visible_fraction.isnan().all()
    assert not mask_iou_target(torch.ones(len(BOXES), SIDE, SIDE), gt).any()
