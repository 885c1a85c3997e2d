"""Write a COCO file whose keypoints are taken from instance masks: its extreme points and center.

Every instance becomes an "object" with five keypoints, each a pixel of its mask: the median one of
the top row, of the bottom row, of the left column, of the right column, and the one nearest to the
center of mass. The images are chosen by ``clear_images.py``.

Usage: python benchmarks/extreme_keypoints.py INSTANCES.json OUTPUT.json [--images N]
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from clear_images import choose
from numpy.typing import NDArray

from maskrcnn_benchmark.structures.rle import decode_rle, to_rle

NAMES = ["top", "bottom", "left", "right", "center"]
SKELETON = [[1, 5], [2, 5], [3, 5], [4, 5]]  # counted from 1


def extreme_points(mask: NDArray[np.bool_]) -> list[list[int]]:
    """Return ``x, y`` of the five keypoints of a mask [H, W] that is not empty."""
    rows, columns = np.nonzero(mask)
    chosen = [
        _median(np.flatnonzero(rows == rows.min()), columns),
        _median(np.flatnonzero(rows == rows.max()), columns),
        _median(np.flatnonzero(columns == columns.min()), rows),
        _median(np.flatnonzero(columns == columns.max()), rows),
        int(np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)),
    ]
    return [[int(columns[i]), int(rows[i])] for i in chosen]


def _median(candidates: NDArray[np.int64], along: NDArray[np.int64]) -> int:
    """Return the candidate in the middle of an edge."""
    return int(candidates[np.argsort(along[candidates], kind="stable")[(len(candidates) - 1) // 2]])


def with_keypoints(content: dict[str, Any]) -> dict[str, Any]:
    """Return the content of an annotation file with one class, which has keypoints."""
    images = {image["id"]: image for image in content["images"]}
    annotations = []
    for annotation in content["annotations"]:
        image = images[annotation["image_id"]]
        rle = to_rle(annotation["segmentation"], image["height"], image["width"])
        mask = decode_rle(rle).astype(bool)
        if mask.any():
            flat = [value for x, y in extreme_points(mask) for value in (x, y, 2)]
            own = {"category_id": 1, "keypoints": flat, "num_keypoints": len(NAMES)}
            annotations.append(annotation | own)
    category = {"id": 1, "name": "object", "keypoints": NAMES, "skeleton": SKELETON}
    return {**content, "annotations": annotations, "categories": [category]}


def main() -> None:
    """Parse the command line and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("instances", type=Path, help="annotation file with masks")
    parser.add_argument("output", type=Path, help="annotation file to write")
    parser.add_argument("--images", type=int, default=20, help="number of images to keep")
    args = parser.parse_args()
    content = choose(json.loads(args.instances.read_text(encoding="utf-8")), args.images)
    made = with_keypoints(content)
    args.output.write_text(json.dumps(made), encoding="utf-8")
    print(f"{len(made['images'])} images, {len(made['annotations'])} instances")


if __name__ == "__main__":
    main()
