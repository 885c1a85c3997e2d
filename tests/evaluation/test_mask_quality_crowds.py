"""Detections are not matched to crowds."""

import numpy as np
from pycocotools import mask as coco_mask

from maskrcnn_benchmark.evaluation.mask_quality import mask_quality
from tests.evaluation.dataset import StandInDataset, square


def rle(x, y, side):
    pixels = np.zeros((60, 60), np.uint8, order="F")
    pixels[y : y + side, x : x + side] = 1
    return coco_mask.encode(pixels)


def test_a_detection_on_a_crowd_is_matched_to_the_neighboring_object():
    crowd = {**square(10, 10, 20), "segmentation": rle(10, 10, 20), "iscrowd": 1}
    shapes = [crowd, {**square(20, 10, 20), "iscrowd": 0}]
    dataset = StandInDataset(
        {
            "images": [{"id": 1, "width": 60, "height": 60}],
            "categories": [{"id": 1, "name": "cat"}],
            "annotations": [
                {"id": i, "image_id": 1, "category_id": 1, **shape}
                for i, shape in enumerate(shapes, 1)
            ],
        }
    )
    common = {"image_id": 1, "category_id": 1}
    bbox = [{**common, "bbox": [10, 10, 20, 20], "score": 0.9}]
    segm = [{**common, "segmentation": rle(10, 10, 20), "score": 0.9, "mask_iou": 0.5}]
    quality = mask_quality(dataset.coco, bbox, segm)
    # half of each square is common to both: 10 of 30 columns
    np.testing.assert_allclose(quality["all"]["mean_true"], 1 / 3)
    assert quality["box IoU > 0.5"]["count"] == 0
