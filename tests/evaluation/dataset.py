"""Dummy COCODataset with the interface that the evaluation needs."""

import contextlib
import io
from typing import Any

import torch
from pycocotools.coco import COCO

from maskrcnn_benchmark.structures.bounding_box import BoxList
from tests.helpers.vectors import load_vector


class StandInDataset:
    """Data set of all images of the annotations, in order of their ids."""

    def __init__(self, annotations: dict[str, Any]) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            self.coco = COCO()
            self.coco.dataset = annotations
            self.coco.createIndex()
        self.id_to_img_map = dict(enumerate(sorted(self.coco.imgs)))
        self.contiguous_category_id_to_json_id = dict(enumerate(self.coco.getCatIds(), 1))

    def get_img_info(self, index: int) -> dict[str, Any]:
        return self.coco.imgs[self.id_to_img_map[index]]

    def __len__(self) -> int:
        return len(self.id_to_img_map)


def recorded_dataset() -> StandInDataset:
    """Return the data set of the five images of the recorded evaluation."""
    annotations = load_vector("coco_dataset")[0]["data"]["annotations"]
    return StandInDataset(annotations)


def recorded_predictions(*fields: str) -> list[BoxList]:
    """Return the recorded predictions with the given fields."""
    meta, arrays = load_vector("coco_eval")
    predictions = []
    for index, size in enumerate(meta["arguments"]["prediction_sizes_wh"]):
        boxes = BoxList(torch.from_numpy(arrays[f"p{index}_boxes"]), tuple(size), mode="xyxy")
        for name in fields:
            key = f"p{index}_{name}"
            if key in arrays:
                boxes.add_field(name, torch.from_numpy(arrays[key]))
        predictions.append(boxes)
    return predictions


def square(x: int, y: int, side: int) -> dict[str, Any]:
    """Return the geometry of a square annotation: bbox, polygon and area."""
    far_x, far_y = x + side, y + side
    return {
        "bbox": [x, y, side, side],
        "segmentation": [[x, y, far_x, y, far_x, far_y, x, far_y]],
        "area": side * side,
        "iscrowd": 0,
    }


def squares_dataset() -> StandInDataset:
    """Return a data set of two 100 x 80 images with two cats and a dog, and an empty one."""
    images = [{"id": i, "width": 100, "height": 80, "file_name": f"{i}.png"} for i in (3, 5, 8)]
    annotations = [
        {"id": 1, "image_id": 3, "category_id": 10, **square(10, 10, 40)},
        {"id": 2, "image_id": 3, "category_id": 20, **square(60, 30, 35)},
        {"id": 3, "image_id": 5, "category_id": 10, **square(5, 20, 50)},
    ]
    categories = [{"id": 10, "name": "cat"}, {"id": 20, "name": "dog"}]
    return StandInDataset({"images": images, "annotations": annotations, "categories": categories})


def perfect_predictions(dataset: StandInDataset, scale: int = 1) -> list[BoxList]:
    """Return ground truth as detections with full masks, in images enlarged by ``scale``."""
    json_to_label = {v: k for k, v in dataset.contiguous_category_id_to_json_id.items()}
    predictions = []
    for image_id in dataset.id_to_img_map.values():
        anns = dataset.coco.loadAnns(dataset.coco.getAnnIds(imgIds=image_id))
        info = dataset.coco.imgs[image_id]
        xywh = torch.tensor([a["bbox"] for a in anns], dtype=torch.float32).reshape(-1, 4)
        boxes = BoxList(xywh, (info["width"], info["height"]), mode="xywh").convert("xyxy")
        boxes = boxes.resize((info["width"] * scale, info["height"] * scale))
        labels = torch.tensor([json_to_label[a["category_id"]] for a in anns], dtype=torch.int64)
        boxes.add_field("labels", labels)
        boxes.add_field("scores", torch.linspace(0.9, 0.6, len(anns)))
        boxes.add_field("mask", torch.ones(len(anns), 1, 28, 28))
        predictions.append(boxes)
    return predictions
