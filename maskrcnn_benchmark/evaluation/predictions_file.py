"""Predictions on disk: ``predictions.pth``, a list with one plain dict per image.

``torch.load("predictions.pth", weights_only=True)`` reads it. For N detections of an image:

- ``bbox``: float ``[N, 4]``, in pixels of the original image and the format ``mode``
- ``size``: (width, height) of the original image
- ``mode``: ``xyxy`` or ``xywh``
- ``pixel_offset``: 1 for inclusive boxes, 0 for continuous ones
- ``fields``: dict of tensors ``[N]``: ``labels``, ``scores`` and, if the model predicts them,
  ``mask_ious`` and ``mask_scores`` (``objectness`` for proposals); and ``rles``, a list of N
  compressed COCO RLEs of the image's size: pycocotools decodes
  ``{"size": [height, width], "counts": rles[i]}``; and with a keypoint head ``keypoints``, float
  ``[N, K, 3]`` (``x, y, 1``), and ``keypoint_logits``, ``[N, K]``
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from maskrcnn_benchmark.structures import fields
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.keypoints import Keypoints
from maskrcnn_benchmark.structures.rle_masks import RleMasks

_KEYPOINT_LOGITS = "keypoint_logits"


def save_predictions(predictions: Sequence[BoxList], path: Path) -> None:
    """Write predictions in the format described above."""
    plain = []
    for prediction in predictions:
        values = {name: prediction.get_field(name) for name in prediction.fields()}
        if fields.RLES in values:
            values[fields.RLES] = list(values[fields.RLES].counts)
        if fields.KEYPOINTS in values:
            keypoints = values[fields.KEYPOINTS]
            values[fields.KEYPOINTS] = keypoints.keypoints
            values[_KEYPOINT_LOGITS] = keypoints.get_field(fields.LOGITS)
        plain.append(
            {
                "bbox": prediction.bbox,
                "size": tuple(prediction.size),
                "mode": prediction.mode,
                "pixel_offset": prediction.pixel_offset,
                "fields": values,
            }
        )
    torch.save(plain, path)


def load_predictions(path: Path) -> list[BoxList]:
    """Read a file written by ``save_predictions``, in the form that ``evaluate_coco`` takes."""
    return [_box_list(p) for p in torch.load(path, map_location="cpu", weights_only=True)]


def _box_list(plain: dict[str, Any]) -> BoxList:
    size, offset = plain["size"], plain["pixel_offset"]
    prediction = BoxList(plain["bbox"], size, plain["mode"], pixel_offset=offset)
    values = dict(plain["fields"])
    if fields.RLES in values:
        values[fields.RLES] = RleMasks(size, values[fields.RLES])
    if fields.KEYPOINTS in values:
        keypoints = Keypoints(values[fields.KEYPOINTS], size, pixel_offset=offset)
        keypoints.add_field(fields.LOGITS, values.pop(_KEYPOINT_LOGITS))
        values[fields.KEYPOINTS] = keypoints
    for name, value in values.items():
        prediction.add_field(name, value)
    return prediction
