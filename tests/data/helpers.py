"""A tiny COCO data set on disk."""

import json

import numpy as np
from PIL import Image


def square(x, y, side, **more):
    """Return an annotation of category 3: a square box whose mask fills it."""
    polygon = [x, y, x + side, y, x + side, y + side, x, y + side]
    box = [x, y, side, side]
    return {"bbox": box, "segmentation": [polygon], "category_id": 3, "iscrowd": 0, **more}


def write_coco(folder, images, categories=((3, "cat"), (7, "dog"))):
    """Write images and annotations.

    Args:
        folder: output folder.
        images: ``(width, height, annotations without id and image_id)`` per image.
        categories: category ids and names.

    Returns:
        ``(annotation file, image folder)``.
    """
    root = folder / "images"
    root.mkdir(exist_ok=True)
    content = {"images": [], "annotations": []}
    content["categories"] = [{"id": i, "name": name} for i, name in categories]
    rng = np.random.RandomState(0)
    for number, (width, height, annotations) in enumerate(images):
        image_id, name = 10 * (len(images) - number), f"{number}.png"
        Image.fromarray(rng.randint(0, 256, (height, width, 3), dtype=np.uint8)).save(root / name)
        content["images"].append(
            {"id": image_id, "file_name": name, "width": width, "height": height}
        )
        for annotation in annotations:
            entry = {"id": len(content["annotations"]) + 1, "image_id": image_id, "area": 1}
            content["annotations"].append({**entry, **annotation})
    path = folder / "annotations.json"
    path.write_text(json.dumps(content))
    return path, root
