"""A drawn data set of COCO's size and detections in it, for the benchmarks of the evaluation."""

import contextlib
import io
import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pycocotools.coco import COCO

from maskrcnn_benchmark.layers import PasteRule, masks_to_rle
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.rle import rle_areas, rle_box, to_rle
from maskrcnn_benchmark.structures.rle_masks import RleMasks

Floats = NDArray[np.float64]

WIDTH, HEIGHT = SIZE = (640, 480)
CLASSES, CLASSES_PER_IMAGE = 80, 15
OBJECTS_PER_IMAGE = 7.3  # COCO val2017: 36,781 instances in 5,000 images
VERTICES, SIDE = 24, 28


class DrawnDataset:
    """Images without pixels, with the annotations that the evaluation reads.

    An object is an ellipse with a wave of three periods on its border; one in a hundred is a crowd.

    Args:
        images: number of images.
        rng: draws the objects.
    """

    def __init__(self, images: int, rng: np.random.Generator) -> None:
        self.id_to_img_map = {index: index + 1 for index in range(images)}
        self.contiguous_category_id_to_json_id = {label: label for label in range(1, CLASSES + 1)}
        # per image: classes that occur or are mistaken for it, and objects [G, 6]
        self.classes = rng.integers(1, CLASSES + 1, (images, CLASSES_PER_IMAGE))
        counts = rng.poisson(OBJECTS_PER_IMAGE, images)
        self.objects = [draw_objects(count, rng) for count in counts]
        self.labels = [
            rng.choice(classes, count) for classes, count in zip(self.classes, counts, strict=True)
        ]
        annotations: list[dict[str, Any]] = []
        for index, (objects, labels) in enumerate(zip(self.objects, self.labels, strict=True)):
            for one, label in zip(objects, labels.tolist(), strict=True):
                annotations.append(annotation(one, len(annotations) + 1, index + 1, label))
        sized = {"width": WIDTH, "height": HEIGHT}
        self.coco = COCO()
        self.coco.dataset = {
            "images": [{"id": i, "file_name": f"{i}.jpg", **sized} for i in range(1, images + 1)],
            "categories": [{"id": i, "name": f"class {i}"} for i in range(1, CLASSES + 1)],
            "annotations": annotations,
        }
        with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints
            self.coco.createIndex()

    def __len__(self) -> int:
        return len(self.id_to_img_map)

    def get_img_info(self, index: int) -> dict[str, Any]:
        """Return id and size of an image."""
        return {"id": index + 1, "width": WIDTH, "height": HEIGHT}


def draw_objects(count: int, rng: np.random.Generator) -> Floats:
    """Return objects ``[count, 5]``: center, half axes (4 to 160 pixels), phase of the wave."""
    center = rng.random((count, 2)) * SIZE
    half = 4 + 156 * rng.random((count, 1)) ** 2 * rng.uniform(0.5, 1, (count, 2))
    return np.concatenate([center, half, rng.uniform(0, 2 * math.pi, (count, 1))], axis=1)


def radius(angle: Floats, phase: Floats) -> Floats:
    """Return the distance of the border from the center, in half axes."""
    return 0.85 + 0.1 * np.sin(3 * angle + phase)


def annotation(one: Floats, number: int, image_id: int, label: int) -> dict[str, Any]:
    """Return the annotation of an object ``[5]``: a polygon, or an RLE of a crowd."""
    angles = np.arange(VERTICES) * (2 * math.pi / VERTICES)
    around = np.stack([np.cos(angles), np.sin(angles)], axis=1) * radius(angles, one[4])[:, None]
    points = (one[:2] + one[2:4] * around).clip(0, SIZE).round(2)
    polygon = [points.ravel().tolist()]
    rle = to_rle(polygon, HEIGHT, WIDTH)
    crowd = number % 100 == 0
    return {
        "id": number,
        "image_id": image_id,
        "category_id": label,
        "bbox": rle_box(rle),
        "area": int(rle_areas([rle])[0]),
        "iscrowd": int(crowd),
        "segmentation": rle if crowd else polygon,
    }


def draw_predictions(dataset: DrawnDataset, count: int, rng: np.random.Generator) -> list[BoxList]:
    """Return ``count`` detections per image, in its frame, with masks as RLE and all three scores.

    Up to three detections lie around each object, most with its class; the others are anywhere.
    """
    return [
        detections(
            dataset.objects[index], dataset.labels[index], dataset.classes[index], count, rng
        )
        for index in range(len(dataset))
    ]


def detections(
    objects: Floats, labels: Any, classes: Any, count: int, rng: np.random.Generator
) -> BoxList:
    """Return the detections of one image, see ``draw_predictions``."""
    around = np.repeat(np.arange(len(objects)), 3)[:count]
    found = objects[around]
    found[:, :4] += rng.normal(0, 0.12, (len(found), 4)) * np.tile(found[:, 2:4], 2)
    found[:, 2:4] = found[:, 2:4].clip(2)
    found = np.concatenate([found, draw_objects(count - len(found), rng)])
    of_class = rng.choice(classes, count)
    right = rng.random(len(around)) < 0.8
    of_class[: len(around)][right] = labels[around[right]]
    scores = rng.random(count) ** 3
    scores[: len(around)] = rng.random(len(around))
    ious = rng.random(count) * 0.5 + 0.5
    corners = np.concatenate([found[:, :2] - found[:, 2:4], found[:, :2] + found[:, 2:4]], axis=1)
    boxes = torch.from_numpy(corners).float().clamp(min=0)
    boxes = boxes.minimum(torch.tensor([*SIZE, *SIZE]) - 1.0)
    prediction = BoxList(boxes, SIZE)
    prediction.add_field("labels", torch.from_numpy(of_class))
    prediction.add_field("scores", torch.from_numpy(scores).float())
    prediction.add_field("mask_ious", torch.from_numpy(ious).float())
    prediction.add_field("mask_scores", torch.from_numpy(scores * ious).float())
    rles = masks_to_rle(soft_masks(found[:, 4]), boxes, SIZE, PasteRule())
    prediction.add_field("rles", RleMasks(SIZE, rles))
    return prediction


def soft_masks(phases: Floats) -> torch.Tensor:
    """Return the probabilities ``[N, 28, 28]`` of the objects in the frames of their boxes."""
    cells = (np.arange(SIDE) + 0.5) / SIDE * 2 - 1
    y, x = np.meshgrid(cells, cells, indexing="ij")
    border = radius(np.arctan2(y, x)[None], phases[:, None, None])
    return torch.from_numpy(20 * (border - np.hypot(x, y))).float().sigmoid()
