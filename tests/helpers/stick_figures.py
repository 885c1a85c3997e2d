"""Drawn figures with five keypoints and masks, as a COCO data set on disk."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

NAMES = ["head", "left_hand", "right_hand", "left_foot", "right_foot"]
SKELETON = [[1, 2], [1, 3], [1, 4], [1, 5]]  # counted from 1, as in the file
CATEGORY = {"id": 4, "name": "figure", "keypoints": NAMES, "skeleton": SKELETON}
_OFFSETS = np.array([[20, 4], [36, 14], [4, 14], [30, 46], [10, 46]])


def figure(x: int, y: int) -> dict[str, Any]:
    """Return the annotation of a figure of about 40 x 50 pixels, without ids."""
    points = _OFFSETS + (x, y)
    hull = cv2.convexHull(points.astype(np.int32))[:, 0]
    return {
        "category_id": 4,
        "bbox": [x + 2, y + 2, 37, 47],
        "segmentation": [hull.astype(float).flatten().tolist()],
        "area": 1000,
        "iscrowd": 0,
        "keypoints": [float(v) for px, py in points.tolist() for v in (px, py, 2)],
        "num_keypoints": 5,
    }


def write_figures(folder: Path, images: list[list[dict[str, Any]]]) -> tuple[Path, Path]:
    """Write images of 96 x 80 pixels with the given figures; return json and image folder."""
    root = folder / "images"
    root.mkdir(parents=True)
    content: dict[str, Any] = {"images": [], "annotations": [], "categories": [CATEGORY]}
    for number, figures in enumerate(images, 1):
        picture = np.full((80, 96, 3), 60, np.uint8)
        name = f"{number}.png"
        content["images"].append({"id": number, "file_name": name, "width": 96, "height": 80})
        for annotation in figures:
            points = np.reshape(annotation.get("keypoints") or np.zeros((5, 3)), (5, 3))[:, :2]
            for start, end in SKELETON:
                ends = (points[i - 1].astype(int).tolist() for i in (start, end))
                cv2.line(picture, *ends, (230, 200, 90), 3)
            own = {"id": len(content["annotations"]) + 1, "image_id": number}
            content["annotations"].append(own | annotation)
        cv2.imwrite(str(root / name), picture)
    path = folder / "figures.json"
    path.write_text(json.dumps(content))
    return path, root
