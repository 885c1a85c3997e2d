"""A tiny annotated data set and predictions on it, all rectangles."""

import json

import numpy as np
from PIL import Image

from maskrcnn_benchmark.report.annotations import read_annotations
from maskrcnn_benchmark.report.detections import read_detections
from maskrcnn_benchmark.structures.rle import encode_rle

WIDTH, HEIGHT = 60, 40
CAT, DOG = 7, 3


def rle(x, y, w, h):
    """Return the mask of a rectangle."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[y : y + h, x : x + w] = 1
    return encode_rle(mask)


def annotation(own_id, image_id, box, category_id=CAT, **more):
    """Return an entry of a COCO file."""
    return {
        "id": own_id,
        "image_id": image_id,
        "category_id": category_id,
        "bbox": list(box),
        "area": box[2] * box[3],
        "iscrowd": 0,
        "segmentation": rle(*box),
        **more,
    }


def prediction(image_id, box, category_id=CAT, score=0.9, mask_iou=0.8):
    """Return a row of results."""
    return {
        "image_id": image_id,
        "category_id": category_id,
        "segmentation": rle(*box),
        "score": score,
        "mask_iou": mask_iou,
        "mask_score": score * mask_iou,
    }


class World:
    """Files of a data set in a folder.

    Args:
        folder: to write to.
        annotations: the entries.
        predictions: the rows.
        names: file name of each image id.
    """

    def __init__(self, folder, annotations, predictions, names=None):
        images = {1, 2, *(one["image_id"] for one in annotations)}
        self.names = names or {image: f"{image}.png" for image in sorted(images)}
        self.ann_file, self.results = folder / "annotations.json", folder / "results.json"
        self.images, self.output = folder / "images", folder / "output"
        self.content = {
            "images": [
                {"id": image, "file_name": name, "width": WIDTH, "height": HEIGHT}
                for image, name in self.names.items()
            ],
            "categories": [{"id": CAT, "name": "cat"}, {"id": DOG, "name": "dog"}],
            "annotations": annotations,
        }
        self.ann_file.write_text(json.dumps(self.content))
        self.results.write_text(json.dumps(predictions))

    def draw(self):
        """Write gray images."""
        self.images.mkdir()
        for name in self.names.values():
            Image.new("RGB", (WIDTH, HEIGHT), "gray").save(self.images / name, "PNG")

    def read(self):
        """Return annotations and predictions."""
        coco = read_annotations(self.ann_file)
        return coco, read_detections(self.results, coco)
