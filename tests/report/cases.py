"""A drawn data set with detections of it, small and with every difficulty."""

import json

import numpy as np
from PIL import Image

from maskrcnn_benchmark.structures.rle import encode_rle

SIZE = 96
CLASSES = {3: "cat", 7: "a <b> & dog", 8: "never annotated"}


def disc(x, y, radius):
    rows, columns = np.mgrid[:SIZE, :SIZE]
    return (columns - x) ** 2 + (rows - y) ** 2 <= radius**2


def annotation_of(mask, image_id, category_id, **more):
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    x, y = int(columns[0]), int(rows[0])
    return {
        "image_id": image_id,
        "category_id": category_id,
        "bbox": [x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y],
        "segmentation": encode_rle(mask),
        "area": int(mask.sum()),
        "iscrowd": 0,
        **more,
    }


def drawn_case(seed=0, images=8, per_image=4):
    """Return annotations, and rows with all three scores: most near an object, some anywhere."""
    rng = np.random.default_rng(seed)
    names = [f"{i}.png" for i in range(images)]
    entries = [
        {"id": 100 - i, "file_name": name, "width": SIZE, "height": SIZE}
        for i, name in enumerate(names)
    ]
    annotations, rows = [], []
    for entry in entries[:-1]:  # the last image has nothing
        for _ in range(per_image):
            x, y, radius = *rng.uniform(20, 76, 2), rng.uniform(5, 22)
            category_id = int(rng.choice([3, 7]))
            annotations.append(annotation_of(disc(x, y, radius), entry["id"], category_id))
            for _ in range(3):
                shift = rng.normal(0, 0.25 * radius, 2)
                mask = disc(x + shift[0], y + shift[1], radius * rng.uniform(0.7, 1.2))
                wrong = int(rng.choice([3, 7, 8])) if rng.random() < 0.2 else category_id
                rows.append(_row(mask, entry["id"], wrong, rng))
        rows.append(_row(disc(*rng.uniform(10, 86, 2), 9), entry["id"], 3, rng))
    crowd = np.zeros((SIZE, SIZE), bool)
    crowd[80:, 80:] = True
    annotations.append(annotation_of(crowd, 100, 3, iscrowd=1))
    rows.append(_row(disc(88, 88, 6), 100, 3, rng))
    boxed = annotation_of(disc(10, 86, 8), 99, 7)
    annotations.append(boxed | {"segmentation": []})
    rows.append(_row(disc(10, 86, 8), 99, 7, rng))
    for number, annotation in enumerate(annotations):
        annotation["id"] = 1000 + number
    categories = [{"id": i, "name": name} for i, name in CLASSES.items()]
    return {"images": entries, "categories": categories, "annotations": annotations}, rows


def _row(mask, image_id, category_id, rng):
    score, mask_iou = rng.uniform(0.05, 1), rng.uniform(0.2, 1)
    row = annotation_of(mask, image_id, category_id)
    kept = {key: row[key] for key in ("image_id", "category_id", "bbox", "segmentation")}
    return {**kept, "score": score, "mask_iou": mask_iou, "mask_score": score * mask_iou}


def write_case(folder, annotations, rows):
    """Write the files; return the paths of predictions, annotations and images."""
    (folder / "annotations.json").write_text(json.dumps(annotations))
    (folder / "results.json").write_text(json.dumps(rows))
    images = folder / "images"
    images.mkdir(exist_ok=True)
    for entry in annotations["images"]:
        Image.new("RGB", (entry["width"], entry["height"]), (90, 120, 150)).save(
            images / entry["file_name"]
        )
    return folder / "results.json", folder / "annotations.json", images
