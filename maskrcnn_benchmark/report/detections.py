"""Result files with masks or boxes: of an evaluation, of ``tools/predict.py``, of other systems.

- a folder of ``tools/test_net.py``, with ``segm.json`` (mask scores, ``mask_iou``) and
  ``bbox.json`` (class scores), or one of these files
- the json of ``tools/predict.py``: images are found by file name, classes by name
- COCO's result format, a list of rows with ``image_id``, ``category_id``, ``segmentation`` or
  ``bbox``, and ``score``; ``mask_iou`` and ``mask_score`` are read where every row has them
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools.coco import COCO

from maskrcnn_benchmark.data.coco_json.segmentation import MalformedMaskError, read_segmentation
from maskrcnn_benchmark.data.coco_json.values import are_numbers, is_id, shown
from maskrcnn_benchmark.evaluation.mask_ious import Floats
from maskrcnn_benchmark.evaluation.matched_masks import (
    DetectedMasks,
    as_boxes,
    boxes_of_masks,
)
from maskrcnn_benchmark.structures.fields import CLASS_SCORE, MASK_IOU, MASK_SCORE
from maskrcnn_benchmark.structures.rle import to_rle

Row = dict[str, Any]

_BOXES, _MASKS = "bbox.json", "segm.json"
_BOX = 4  # numbers


def read_detections(path: str | Path, coco: COCO) -> DetectedMasks:
    """Return the detected masks of a file or folder of one of the kinds above.

    Args:
        path: the file, or the folder of an evaluation.
        coco: the annotations, see ``read_annotations``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is in no such format, or does not belong to the annotations; the message
            names the file, the row and its image.
    """
    path = Path(path)
    if path.is_dir():
        path = path / _MASKS
    raw = _read_rows(path, coco)
    rows = [_checked_mask(path, number, row, coco) for number, row in enumerate(raw, 1)]
    return DetectedMasks(rows, *_boxes_and_scores(path, raw, rows))


def read_boxes(path: str | Path, coco: COCO) -> list[Row]:
    """Return the detected boxes of a file or folder of one of the kinds above.

    Arguments and errors are those of ``read_detections``.

    Returns:
        Rows with ``image_id``, ``category_id``, ``bbox`` and ``score``, the class score.
    """
    path = Path(path)
    if path.is_dir():
        path = path / _BOXES
    raw = _read_rows(path, coco)
    ids = [
        _checked_ids(f"predictions {path}, row {number}", row, coco)
        for number, row in enumerate(raw, 1)
    ]
    boxes, scores = _boxes(path, raw).tolist(), _column(path, raw, CLASS_SCORE.key).tolist()
    return [
        {**own, "bbox": box, "score": score}
        for own, box, score in zip(ids, boxes, scores, strict=True)
    ]


def detected_kinds(path: str | Path) -> set[str]:
    """Return what a file or folder holds of ``bbox`` and ``segm``; both if nothing was detected.

    Raises:
        FileNotFoundError: there is no such file, or no result in the folder.
        ValueError: it is not JSON.
    """
    path = Path(path)
    if path.is_dir():
        found = {name.partition(".")[0] for name in (_BOXES, _MASKS) if (path / name).is_file()}
        if not found:
            raise FileNotFoundError(f"predictions {path}: no {_BOXES} and no {_MASKS} in it")
        return found
    content = _read_json(path)
    rows = content.get("annotations") if isinstance(content, dict) else content
    keys = {"bbox": "bbox", "segmentation": "segm"}
    if not isinstance(rows, list) or not rows or not isinstance(rows[0], dict):
        return set(keys.values())  # the reader says what is wrong
    return {kind for key, kind in keys.items() if key in rows[0]} or set(keys.values())


def _read_rows(path: Path, coco: COCO) -> list[Any]:
    """Return the rows of a file with the ids of the annotations, not checked."""
    content = _read_json(path)
    if isinstance(content, dict) and isinstance(content.get("annotations"), list):
        return _with_ids_of(path, content, coco)
    if isinstance(content, list):
        return content
    raise ValueError(
        f"predictions {path} are neither a list of COCO results nor what tools/predict.py writes"
    )


def _read_json(path: Path) -> Any:
    if not path.is_file():
        raise FileNotFoundError(f"predictions {path} do not exist")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"predictions {path} are not JSON: {error}") from None


def _with_ids_of(path: Path, content: Mapping[str, Any], coco: COCO) -> list[Row]:
    """Return the rows of a file of ``tools/predict.py`` with the ids of the annotations."""
    try:
        images = {one["id"]: one["file_name"] for one in content["images"]}
        names = {one["id"]: one["name"] for one in content["categories"]}
    except (KeyError, TypeError) as error:
        raise ValueError(f"predictions {path}: no images and categories: {error!r}") from None
    rows = list(content["annotations"])
    for key, own, known in (
        ("image_id", images, {entry["file_name"]: i for i, entry in coco.imgs.items()}),
        ("category_id", names, {entry["name"]: i for i, entry in coco.cats.items()}),
    ):
        for index, row in enumerate(rows):
            if isinstance(row, dict) and is_id(row.get(key)) and row[key] in own:
                name = own[row[key]]
                if not isinstance(name, str) or name not in known:
                    raise ValueError(
                        f"predictions {path}, row {index + 1}: {key} {row[key]!r}, {shown(name)}, "
                        "is not in the annotation file"
                    )
                rows[index] = row | {key: known[name]}
    return rows


def _checked_ids(where: str, row: Any, coco: COCO) -> Row:
    """Return the ids of a row; ``where`` names it in errors."""
    if not isinstance(row, dict):
        raise ValueError(f"{where}: {shown(row)} is not a JSON object")
    for key, known in (("image_id", coco.imgs), ("category_id", coco.cats)):
        if not is_id(row.get(key)) or row[key] not in known:
            raise ValueError(
                f"{where}: {key} {shown(row.get(key))} is not in the annotation file; give the "
                "annotations of the images that were predicted on"
            )
    return {"image_id": row["image_id"], "category_id": row["category_id"]}


def _checked_mask(path: Path, number: int, row: Any, coco: COCO) -> Row:
    """Return ids and compressed RLE of a row."""
    where = f"predictions {path}, row {number}"
    ids = _checked_ids(where, row, coco)
    image = coco.imgs[row["image_id"]]
    where += f" (image {shown(row['image_id'])})"
    if "segmentation" not in row:
        raise ValueError(f"{where} has no segmentation: give the results for masks ({_MASKS})")
    try:
        mask = read_segmentation(row["segmentation"], image["width"], image["height"])
    except MalformedMaskError as error:
        raise ValueError(f"{where}: {error}") from None
    height, width = image["height"], image["width"]
    empty = {"size": [height, width], "counts": [height * width]}
    return ids | {"segmentation": to_rle(empty if mask is None else mask, height, width)}


def _boxes_and_scores(
    path: Path, raw: Sequence[Row], rows: Sequence[Row]
) -> tuple[Floats, dict[str, Floats]]:
    """Return the boxes, of the masks if there are none, and the columns of the known scores."""
    columns = {CLASS_SCORE.key: _column(path, raw, CLASS_SCORE.key)}
    for kind in (MASK_IOU, MASK_SCORE):
        if any(kind.key in row for row in raw):
            columns[kind.key] = _column(path, raw, kind.key)
    beside = _rows_beside(path, raw)
    if MASK_IOU.key in columns and MASK_SCORE.key not in columns:
        # as this project's evaluation writes it, for COCO's server: the score is the mask score
        columns[MASK_SCORE.key] = columns.pop(CLASS_SCORE.key)
        if beside is not None:
            columns[CLASS_SCORE.key] = _column(path.with_name(_BOXES), beside, CLASS_SCORE.key)
    for file, boxed in ((path.with_name(_BOXES), beside), (path, raw)):
        if boxed and all("bbox" in row for row in boxed):
            return _boxes(file, boxed), columns
    return boxes_of_masks(rows), columns


def _boxes(path: Path, rows: Sequence[Row]) -> Floats:
    """Return the boxes ``[N, 4]`` of rows, which must all have one."""
    for number, row in enumerate(rows, 1):
        box = row.get("bbox")
        if not isinstance(box, list) or not are_numbers(box) or len(box) != _BOX:
            raise ValueError(
                f"predictions {path}, row {number} (image {shown(row['image_id'])}): bbox "
                f"{shown(box)} is not x, y, width, height"
            )
    return as_boxes([row["bbox"] for row in rows])


def _column(path: Path, rows: Sequence[Row], key: str) -> Floats:
    values = [row.get(key) for row in rows]
    if not are_numbers(values):
        number = next(i for i, value in enumerate(values) if not are_numbers([value]))
        raise ValueError(
            f"predictions {path}, row {number + 1} (image {shown(rows[number]['image_id'])}): "
            f"{key} is {shown(values[number])}, not a finite number"
        )
    return np.array(values, dtype=np.float64)


def _rows_beside(path: Path, rows: Sequence[Row]) -> list[Row] | None:
    """Return the rows of the file of boxes that the same evaluation wrote, if it is there.

    Raises:
        ValueError: the file belongs to other masks.
    """
    beside = path.with_name(_BOXES)
    if path.name != _MASKS or not beside.is_file():
        return None
    boxes = _read_json(beside)
    keys = ("image_id", "category_id")
    if not isinstance(boxes, list) or [
        [box.get(key) if isinstance(box, dict) else None for key in keys] for box in boxes
    ] != [[row[key] for key in keys] for row in rows]:
        raise ValueError(
            f"{beside} and {path.name} have different rows: keep the files of one evaluation in a "
            f"folder, or move {_BOXES} away if it belongs to other results"
        )
    return boxes
