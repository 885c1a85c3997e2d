"""Write a COCO file whose keypoints are taken from instance masks: its extreme points and center.

Every instance becomes an "object" with five keypoints, each a pixel of its mask: the median one of
the top row, of the bottom row, of the left column, of the right column, and the one nearest to the
center of mass.

Usage: python benchmarks/extreme_keypoints.py INSTANCES.json OUTPUT.json [--images N]
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskrcnn_benchmark.structures.rle import decode_rle, to_rle

NAMES = ["top", "bottom", "left", "right", "center"]
SKELETON = [[1, 5], [2, 5], [3, 5], [4, 5]]  # counted from 1
_SMALLEST = 0.1  # of the short side of the image


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


def choose_images(content: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """Return the first images by id without crowds whose instances are all large."""
    instances = defaultdict(list)
    for annotation in content["annotations"]:
        instances[annotation["image_id"]].append(annotation)

    def is_clear(image: dict[str, Any]) -> bool:
        smallest = min(image["width"], image["height"]) * _SMALLEST
        return bool(instances[image["id"]]) and all(
            not a["iscrowd"] and min(a["bbox"][2:]) > smallest for a in instances[image["id"]]
        )

    return sorted(filter(is_clear, content["images"]), key=lambda image: image["id"])[:count]


def with_keypoints(content: dict[str, Any], count: int) -> dict[str, Any]:
    """Return the content of the new file."""
    images = {image["id"]: image for image in choose_images(content, count)}
    annotations = []
    for annotation in content["annotations"]:
        image = images.get(annotation["image_id"])
        if image is None:
            continue
        rle = to_rle(annotation["segmentation"], image["height"], image["width"])
        mask = decode_rle(rle).astype(bool)
        if mask.any():
            flat = [value for x, y in extreme_points(mask) for value in (x, y, 2)]
            own = {"category_id": 1, "keypoints": flat, "num_keypoints": len(NAMES)}
            annotations.append(annotation | own)
    category = {"id": 1, "name": "object", "keypoints": NAMES, "skeleton": SKELETON}
    kept = {"images": list(images.values()), "annotations": annotations}
    return {**content, **kept, "categories": [category]}


def main() -> None:
    """Parse the command line and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("instances", type=Path, help="annotation file with masks")
    parser.add_argument("output", type=Path, help="annotation file to write")
    parser.add_argument("--images", type=int, default=20, help="number of images to keep")
    args = parser.parse_args()
    made = with_keypoints(json.loads(args.instances.read_text(encoding="utf-8")), args.images)
    args.output.write_text(json.dumps(made), encoding="utf-8")
    print(f"{len(made['images'])} images, {len(made['annotations'])} instances")


if __name__ == "__main__":
    main()
