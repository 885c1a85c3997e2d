"""Detections as rows of COCO's json: ``bbox.json`` and ``segm.json``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from pycocotools.coco import COCO

from maskrcnn_benchmark.structures import fields
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.mask_paste import Masker, region_to_rle

Row = dict[str, Any]


class CocoStyleDataset(Protocol):
    """What the evaluation needs to know of a data set in COCO's format.

    Attributes:
        coco: the annotations.
        id_to_img_map: index of an image -> its id in the json.
        contiguous_category_id_to_json_id: label (from 1) -> id of the category in the json.
    """

    coco: COCO
    id_to_img_map: Mapping[int, int]
    contiguous_category_id_to_json_id: Mapping[int, int]

    def get_img_info(self, index: int) -> Mapping[str, Any]:
        """Return at least ``width`` and ``height`` of the original image, in pixels."""
        ...


def original_frame(
    dataset: CocoStyleDataset, predictions: Sequence[BoxList]
) -> Iterator[tuple[int, BoxList]]:
    """Yield ``(image id, boxes in pixels of the original image)`` of the images that have boxes.

    Args:
        dataset: tells ids and sizes.
        predictions: one list per image in the order of the data set, in its resized image.

    Raises:
        ValueError: there is not one prediction for each image.
    """
    if len(predictions) != len(dataset.id_to_img_map):
        raise ValueError(
            f"{len(predictions)} predictions for a data set of {len(dataset.id_to_img_map)} images"
        )
    for index, prediction in enumerate(predictions):
        if len(prediction) == 0:
            continue
        info = dataset.get_img_info(index)
        resized = prediction.resize((int(info["width"]), int(info["height"])))
        yield dataset.id_to_img_map[index], resized


def bbox_rows(dataset: CocoStyleDataset, predictions: Sequence[BoxList]) -> list[Row]:
    """Return a row per detection: ``image_id category_id bbox score``.

    ``bbox`` is ``x, y, width, height`` in the original image, the sizes inclusive (``x2-x1+1``) if
    the prediction's boxes are; ``score`` is the class score. The predictions need ``labels`` and
    ``scores``.
    """
    rows: list[Row] = []
    for image_id, prediction in original_frame(dataset, predictions):
        boxes = prediction.convert("xywh").bbox.tolist()
        scores = prediction.get_field(fields.SCORES).tolist()
        labels = _categories(dataset, prediction)
        rows += [
            {"image_id": image_id, "category_id": label, "bbox": box, "score": score}
            for label, box, score in zip(labels, boxes, scores, strict=True)
        ]
    return rows


def segm_rows(
    dataset: CocoStyleDataset, predictions: Sequence[BoxList], masker: Masker
) -> list[Row]:
    """Return a row per detection: ``image_id category_id segmentation score``.

    ``segmentation`` is a compressed RLE at the size of the original image. ``score`` is the mask
    score where the model predicts one, else the class score. The order is that of ``bbox_rows``.

    Args:
        dataset: tells ids and sizes.
        predictions: with ``labels``, ``scores``, ``mask`` ``[N, 1, M, M]`` and, from a MaskIoU
            head, ``mask_scores``.
        masker: pastes the masks into the image; its threshold must not be negative.
    """
    rows: list[Row] = []
    for image_id, prediction in original_frame(dataset, predictions):
        has_mask_scores = prediction.has_field(fields.MASK_SCORES)
        ranking = fields.MASK_SCORES if has_mask_scores else fields.SCORES
        scores = prediction.get_field(ranking).tolist()
        rles = paste_to_rles(prediction, masker)
        labels = _categories(dataset, prediction)
        rows += [
            {"image_id": image_id, "category_id": label, "segmentation": rle, "score": score}
            for label, rle, score in zip(labels, rles, scores, strict=True)
        ]
    return rows


def ranked_by_class_score(segm: Sequence[Row], bbox: Sequence[Row]) -> list[Row]:
    """Return the mask rows with the class scores of the box rows, which are in the same order."""
    return [{**mask, "score": box["score"]} for mask, box in zip(segm, bbox, strict=True)]


def paste_to_rles(prediction: BoxList, masker: Masker) -> list[dict[str, Any]]:
    """Return the masks of one image as compressed RLEs (``counts`` as str) at ``prediction.size``.

    No mask is made at the size of the image.
    """
    regions = masker.regions(prediction.get_field(fields.MASK), prediction)
    return [region_to_rle(region, prediction.size) for region in regions]


def _categories(dataset: CocoStyleDataset, prediction: BoxList) -> list[int]:
    labels = prediction.get_field(fields.LABELS).tolist()
    return [dataset.contiguous_category_id_to_json_id[label] for label in labels]
