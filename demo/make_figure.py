"""Figure of docs/EVALUATION.md: confident detections with poor masks next to ones with good masks.

``python demo/make_figure.py --evaluation output/demo/inference/synthetic_val --annotations
output/demo/data/annotations/instances_val.json --images output/demo/data/val --output
demo/demo.png``

Among the detections with a class score of at least ``--score`` whose box overlaps an object of
their class, it shows those with the lowest and the highest PREDICTED mask IoU, at most one per
image; the true mask IoU is printed above each, and the true border is dashed white.
"""

import argparse
import contextlib
import io
import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from maskrcnn_benchmark.data.datasets.images import read_image
from maskrcnn_benchmark.structures.rle import decode_rle, to_rle
from maskrcnn_benchmark.utils.file_names import name_on_disk
from maskrcnn_benchmark.utils.user_error import failures_named, user_errors
from maskrcnn_benchmark.visualization import (
    Instances,
    contact_sheet,
    draw_instances,
    load_detections,
)

_MIN_BOX_IOU = 0.5
_MIN_SIDE = 40  # smaller objects are hard to see in a figure
_CELL = 320


@dataclass(frozen=True)
class Finding:
    """A detection matched to an object: its predicted scores and its true mask IoU."""

    image_id: int
    index: int  # index among the detections of the image
    class_score: float
    predicted_iou: float
    true_iou: float
    truth: NDArray[np.bool_]  # [H, W]


def findings(coco: COCO, detections: dict[int, Instances]) -> list[Finding]:
    """Match detections to the ground truth of their class by box IoU."""
    found = []
    for image_id, instances in detections.items():
        size = (coco.imgs[image_id]["height"], coco.imgs[image_id]["width"])
        truth = coco.loadAnns(coco.getAnnIds(image_id, iscrowd=False))
        for i in range(len(instances)):
            same = [a for a in truth if coco.cats[a["category_id"]]["name"] == instances.names[i]]
            x1, y1, x2, y2 = instances.boxes[i]
            box = np.array([[x1, y1, x2 - x1 + 1, y2 - y1 + 1]])
            if not same or min(box[0, 2:]) < _MIN_SIDE:
                continue
            overlaps = coco_mask.iou(box, np.array([a["bbox"] for a in same]), [0] * len(same))[0]
            best = int(np.argmax(overlaps))
            if overlaps[best] < _MIN_BOX_IOU:
                continue
            mask = instances.mask(i, size)
            true_mask = decode_rle(to_rle(same[best]["segmentation"], *size)) > 0
            iou = float((mask & true_mask).sum() / (mask | true_mask).sum())
            score, predicted = float(instances.scores[i]), float(instances.mask_ious[i])
            found.append(Finding(image_id, i, score, predicted, iou, true_mask))
    return found


def _first_of_each_image(ordered: list[Finding], count: int, taken: set[int]) -> list[Finding]:
    """Return the first ``count`` findings, at most one per image; add their images to ``taken``."""
    chosen = []
    for finding in ordered:
        if len(chosen) < count and finding.image_id not in taken:
            chosen.append(finding)
            taken.add(finding.image_id)
    return chosen


def _dashed_border(canvas: NDArray[np.uint8], truth: NDArray[np.bool_]) -> None:
    """Draw the true border as a dashed white line, in place; ``truth`` has the canvas size."""
    contours, _ = cv2.findContours(truth.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    for contour in contours:
        for start in range(0, len(contour), 18):
            dash = contour[start : start + 10]
            cv2.polylines(canvas, [dash], False, (0, 0, 0), 4, cv2.LINE_AA)
            cv2.polylines(canvas, [dash], False, (255, 255, 255), 2, cv2.LINE_AA)


def cell(image: NDArray[np.uint8], instances: Instances, finding: Finding) -> NDArray[np.uint8]:
    """Return a square crop around a detection, with its mask, both scores and the true border."""
    i = finding.index
    x1, y1, x2, y2 = instances.boxes[i]
    side = min(round(1.5 * max(x2 - x1, y2 - y1)), *image.shape[:2])
    left = int(np.clip((x1 + x2 - side) / 2, 0, image.shape[1] - side))
    top = int(np.clip((y1 + y2 - side) / 2, 0, image.shape[0] - side))
    window = (slice(top, top + side), slice(left, left + side))
    size = (_CELL, _CELL)
    mask = instances.mask(i, image.shape[:2])
    alone = Instances(
        masks=(cv2.resize(mask[window].astype(np.float32), size) > 0.5)[None],
        labels=instances.labels[i : i + 1],
        names=[instances.names[i]],
        scores=instances.scores[i : i + 1],
        mask_ious=instances.mask_ious[i : i + 1],
    )
    cut = np.ascontiguousarray(cv2.resize(image[window], size, interpolation=cv2.INTER_CUBIC))
    truth = cv2.resize(finding.truth[window].astype(np.float32), size) > 0.5
    _dashed_border(cut, truth)
    return draw_instances(cut, alone, color_by="class", long_side=_CELL)


def make_figure(
    annotations: Path, images: Path, evaluation: Path, *, columns: int, min_score: float
) -> NDArray[np.uint8]:
    """Draw the figure described in the module docstring.

    Raises:
        ValueError: there is no detection to show, or its mask IoU is unknown.
    """
    coco = COCO()
    coco.dataset = json.loads(annotations.read_text(encoding="utf-8"))
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    names = {category["id"]: category["name"] for category in coco.dataset["categories"]}
    detections = load_detections(evaluation, names, min_score=min_score)
    if any(instances.mask_ious is None for instances in detections.values()):
        raise ValueError(
            f"{evaluation / 'segm.json'} has rows without mask_iou: evaluate a model with a "
            "MaskIoU head (MODEL.MASKIOU_ON)"
        )
    by_quality = sorted(findings(coco, detections), key=lambda f: f.predicted_iou)
    if not by_quality:
        raise ValueError(f"no detection with a class score >= {min_score} matches an object")
    taken: set[int] = set()
    poor = _first_of_each_image(by_quality, columns, taken)
    good = _first_of_each_image(by_quality[::-1], columns, taken)
    pictures, titles = [], []
    for finding in poor + good:
        entry = coco.imgs[finding.image_id]
        path = images / name_on_disk(entry["file_name"])
        image = np.asarray(read_image(path, (entry["width"], entry["height"])))
        pictures.append(cell(image, detections[finding.image_id], finding))
        titles.append(f"true mask IoU {finding.true_iou:.2f}")
    return contact_sheet(pictures, titles, columns=columns, cell_size=(_CELL, _CELL))


@failures_named()
def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description="Draw confident detections with poor and good masks."
    )
    parser.add_argument(
        "--evaluation", type=Path, required=True, help="folder of bbox.json and segm.json"
    )
    parser.add_argument(
        "--annotations", type=Path, required=True, help="annotation file (COCO JSON)"
    )
    parser.add_argument("--images", type=Path, required=True, help="image folder")
    parser.add_argument("--output", type=Path, default=Path("demo/demo.png"))
    parser.add_argument("--columns", type=int, default=4, help="number of detections of each kind")
    parser.add_argument("--score", type=float, default=0.8, help="minimum class score")
    args = parser.parse_args()
    with user_errors():
        figure = make_figure(
            args.annotations,
            args.images,
            args.evaluation,
            columns=args.columns,
            min_score=args.score,
        )
    # 256 colors: a quarter of the file size, without visible difference
    Image.fromarray(figure).quantize(256).save(args.output, optimize=True)
    print(f"wrote {args.output}")


if __name__ == "__main__":
    main()
