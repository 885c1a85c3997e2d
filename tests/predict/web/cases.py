"""Detections with known scores, a model that gives them, and files that are no image."""

import struct
import threading
import zlib
from dataclasses import replace

import numpy as np
import torch
from PIL import Image

from maskrcnn_benchmark.predict.prediction import Prediction
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.class_names import Classes
from maskrcnn_benchmark.structures.keypoints import NO_KEYPOINTS

SIZE = (60, 30)  # width, height
# every kind of score puts the four detections into another order; the numbers go by mask score
SCORES = [0.75, 0.875, 0.625, 1.0]
MASK_IOUS = [0.78125, 0.6875, 0.875, 0.5]
NUMBERS = [2, 1, 3, 4]
BOXES = [
    [4, 4, 11, 21],
    [16, 4, 29, 21],
    [20, 8, 25, 15],
    [40, 4, 51, 21],
]  # the third in the second
POOR = [1, 4]  # numbers of the confident but poor ones


def prediction(rows=(0, 1, 2, 3), mask_scores=True, masks=True, dog="dog"):
    """Return the detections of these rows; their masks fill their boxes."""
    rows = list(rows)
    found = BoxList(torch.tensor(BOXES).float()[rows], SIZE)
    found.add_field("labels", torch.tensor([1, 2, 1, 2])[rows])
    found.add_field("scores", torch.tensor(SCORES)[rows])
    if mask_scores:
        found.add_field("mask_ious", torch.tensor(MASK_IOUS)[rows])
        found.add_field("mask_scores", (torch.tensor(SCORES) * torch.tensor(MASK_IOUS))[rows])
    if masks:
        found.add_field("mask", torch.ones(4, 1, 28, 28)[rows])
    return Prediction(found, ["__background__", "cat", dog])


class FakePredictor:
    """A model that finds the same in every image, and counts its calls.

    Args:
        found: what it finds, scaled to the image.
        seconds: how long it takes.
    """

    keypoint_set = NO_KEYPOINTS

    def __init__(self, found, seconds=0):
        self.classes = Classes(found.class_names, [7, 9])
        self.calls = self.most_at_once = 0
        self._found = found
        self._seconds = seconds
        self._running = 0

    def __call__(self, image):
        self.calls += 1
        self._running += 1
        self.most_at_once = max(self.most_at_once, self._running)
        threading.Event().wait(self._seconds)
        self._running -= 1
        size = image.size if isinstance(image, Image.Image) else image.shape[1::-1]
        return replace(self._found, detections=self._found.detections.resize(size))


def gray_image():
    return Image.fromarray(np.full((SIZE[1], SIZE[0], 3), 200, np.uint8))


def huge_png(width, height):
    """Return a small, valid PNG file of a huge black image."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    packer = zlib.compressobj(1)
    row = bytes(1 + (width + 7) // 8)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", data), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
