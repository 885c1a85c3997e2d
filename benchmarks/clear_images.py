"""Choose clear photographs of a COCO file: ``clear_images.py SOURCE TARGET [--images N]``.

They are the first by id without crowds whose every instance is at least a tenth of the image's
short side wide and high: so neither a small input nor 28 x 28 masks stand in the way.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any


def is_clear(image: dict[str, Any], annotations: list[dict[str, Any]]) -> bool:
    """Return whether an image has instances, no crowd, and none too small."""
    smallest = min(image["width"], image["height"]) / 10
    return bool(annotations) and all(
        not each["iscrowd"] and min(each["bbox"][2:]) > smallest for each in annotations
    )


def choose(content: dict[str, Any], count: int) -> dict[str, Any]:
    """Return the content of an annotation file with ``count`` images and their annotations."""
    annotations = defaultdict(list)
    for annotation in content["annotations"]:
        annotations[annotation["image_id"]].append(annotation)
    clear = [image for image in content["images"] if is_clear(image, annotations[image["id"]])]
    images = sorted(clear, key=lambda image: image["id"])[:count]
    ids = {image["id"] for image in images}
    chosen = [each for each in content["annotations"] if each["image_id"] in ids]
    return {**content, "images": images, "annotations": chosen}


def main() -> None:
    """Parse the command line and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("source", type=Path, help="annotation file")
    parser.add_argument("target", type=Path, help="annotation file to write")
    parser.add_argument("--images", type=int, default=20, help="number of images to keep")
    args = parser.parse_args()
    made = choose(json.loads(args.source.read_text(encoding="utf-8")), args.images)
    args.target.write_text(json.dumps(made), encoding="utf-8")
    classes = {each["category_id"] for each in made["annotations"]}
    print(
        f"{len(made['images'])} images, {len(made['annotations'])} instances, "
        f"{len(classes)} classes"
    )


if __name__ == "__main__":
    main()
