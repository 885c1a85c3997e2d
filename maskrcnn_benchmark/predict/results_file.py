"""A file of predictions in COCO JSON (see ``coco_content``), written and read."""

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from maskrcnn_benchmark.predict.coco_content import CocoContent
from maskrcnn_benchmark.predict.prediction import Prediction
from maskrcnn_benchmark.structures import fields
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.box_ops import PIXEL_OFFSET
from maskrcnn_benchmark.structures.class_names import BACKGROUND
from maskrcnn_benchmark.structures.fields import CLASS_SCORE, SCORE_KINDS
from maskrcnn_benchmark.structures.keypoints import NO_KEYPOINTS, Keypoints, KeypointSet
from maskrcnn_benchmark.structures.rle_masks import RleMasks
from maskrcnn_benchmark.utils.atomic_file import write_atomically


class ResultsFile:
    """A collection of predictions that can be written to a file.

    Args:
        class_names: name of each label; the first is the background.
        category_ids: category id of each label in the file, starting with label 1.
        keypoint_set: the keypoints of the model.
    """

    def __init__(
        self,
        class_names: Sequence[str],
        category_ids: Sequence[int],
        keypoint_set: KeypointSet = NO_KEYPOINTS,
    ) -> None:
        self._coco = CocoContent(class_names, category_ids, keypoint_set)

    def add(self, file_name: str, prediction: Prediction, **more: Any) -> None:
        """Add an image.

        Args:
            file_name: file name of the image.
            prediction: its detections, all of which are written.
            more: additional JSON values of the image entry, such as the frame index of a video.

        Raises:
            ValueError: the box convention differs from that of earlier images.
        """
        self._coco.add(file_name, prediction.detections, prediction.rles(), **more)

    def write(self, path: Path) -> None:
        """Write everything that was added; the file is replaced atomically."""
        content = json.dumps(self._coco.content()).encode()
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda file: file.write(content))


def load_results_file(path: str | Path) -> list[tuple[dict[str, Any], Prediction]]:
    """Read a file written by ``ResultsFile``.

    Returns:
        For each image, its entry in the file (``file_name`` and more) and its prediction, with
        masks as RLE. An image without detections has an empty prediction. Boxes of a file without
        ``info`` are taken as inclusive.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file has another format.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        offset = float(content.get("info", {}).get("pixel_offset", PIXEL_OFFSET))
        labels = {c["id"]: label for label, c in enumerate(content["categories"], 1)}
        names = [BACKGROUND, *(category["name"] for category in content["categories"])]
        keypoint_set = _keypoint_set(content["categories"])
        rows = defaultdict(list)
        for annotation in content["annotations"]:
            rows[annotation["image_id"]].append(annotation)
        return [
            (
                entry,
                Prediction(
                    _detections(entry, rows[entry["id"]], labels, offset),
                    names,
                    keypoint_set=keypoint_set,
                ),
            )
            for entry in content["images"]
        ]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is not a JSON of predictions: {error!r}") from error


def _keypoint_set(categories: Sequence[dict[str, Any]]) -> KeypointSet:
    """Return the keypoints that ``ResultsFile`` wrote to every category."""
    if not categories or "keypoints" not in categories[0]:
        return NO_KEYPOINTS
    limbs = [[a - 1, b - 1] for a, b in categories[0]["skeleton"]]
    return KeypointSet(categories[0]["keypoints"], limbs)


def _detections(
    entry: dict[str, Any], rows: list[dict[str, Any]], labels: dict[int, int], pixel_offset: float
) -> BoxList:
    """Return the detections of an image from its annotations; if empty, with all fields."""
    size = (entry["width"], entry["height"])
    boxes = [row["bbox"] for row in rows]
    found = BoxList(boxes, size, "xywh", pixel_offset=pixel_offset).convert("xyxy")
    found.add_field(fields.LABELS, torch.tensor([labels[r["category_id"]] for r in rows]).long())
    for kind in SCORE_KINDS.values():
        if not rows or kind.key in rows[0] or kind == CLASS_SCORE:
            found.add_field(kind.field, torch.tensor([float(row[kind.key]) for row in rows]))
    if not rows or "segmentation" in rows[0]:
        rles = [row["segmentation"] for row in rows]
        if wrong := [rle["size"] for rle in rles if rle["size"] != [size[1], size[0]]]:
            raise ValueError(f"{entry['file_name']}: a mask of size {wrong[0]!r}, not its image's")
        found.add_field(fields.RLES, RleMasks(size, [rle["counts"] for rle in rles]))
    if rows and "keypoints" in rows[0]:
        points = [row["keypoints"] for row in rows]
        found.add_field(fields.KEYPOINTS, Keypoints(points, size, pixel_offset=pixel_offset))
    return found
