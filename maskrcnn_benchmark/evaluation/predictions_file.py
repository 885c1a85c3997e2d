"""Predictions on disk: ``predictions.pth``, a list of plain dicts of tensors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from maskrcnn_benchmark.structures.bounding_box import BoxList


def save_predictions(predictions: Sequence[BoxList], path: Path) -> None:
    """Write predictions so that ``torch.load(path, weights_only=True)`` reads them.

    Each image is a dict of ``bbox`` ``[N, 4]``, ``size`` (width, height), ``mode``,
    ``pixel_offset`` and ``fields``.
    """
    plain = [
        {
            "bbox": prediction.bbox,
            "size": tuple(prediction.size),
            "mode": prediction.mode,
            "pixel_offset": prediction.pixel_offset,
            "fields": {name: prediction.get_field(name) for name in prediction.fields()},
        }
        for prediction in predictions
    ]
    torch.save(plain, path)


def load_predictions(path: Path) -> list[BoxList]:
    """Read what ``save_predictions`` wrote."""
    predictions = []
    for plain in torch.load(path, map_location="cpu", weights_only=True):
        prediction = BoxList(
            plain["bbox"], plain["size"], plain["mode"], pixel_offset=plain["pixel_offset"]
        )
        for name, value in plain["fields"].items():
            prediction.add_field(name, value)
        predictions.append(prediction)
    return predictions
