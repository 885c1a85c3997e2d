"""Put label errors into a data set of masks, and split it into two folds.

``python benchmarks/label_errors.py DATA FOLDER [--seed N] [--share S]`` reads
``DATA/annotations/instances_{train,val}.json`` and writes into ``FOLDER``:

- ``fold_0.json`` and ``fold_1.json``: each a random half of the images, with the wrong labels
- ``noisy.json``: both together
- ``true.json``: the same images as they were
- ``errors.json``: what was changed, a list of ``LabelError`` as objects

A share of the instances, crowds and very small ones excepted, gets one of the errors ``KINDS``
each, in turn: dropped (the annotation is removed), shifted, eroded and dilated (until the IoU with
the true mask is at most 0.6), merged (the mask also covers the nearest instance, whose annotation
is removed), swapped (another class of the data set). Where an error is impossible (a lone instance
cannot be merged; with one class none can be swapped) the next one is made.
"""

import argparse
import json
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from pycocotools import mask as mask_utils

Mask = npt.NDArray[np.uint8]  # [H, W] of 0 and 1
Entry = dict[str, Any]  # an object of a COCO file

MOVED = ("shifted", "eroded", "dilated")
KINDS = ("dropped", *MOVED, "merged", "swapped")
HIGHEST_IOU = 0.6  # of a mask that was shifted, eroded or dilated with the true one
SMALLEST_AREA = 256.0  # pixels; less is not worth a correction


class LabelError(NamedTuple):
    """One error; ``removed`` is the annotation that it took out of the file."""

    kind: str
    image_id: int
    annotation_id: int
    removed: int | None = None


def read(data: Path) -> Entry:
    """Return both annotation files of a data set as one."""
    parts = [
        json.loads((data / "annotations" / f"instances_{split}.json").read_text(encoding="utf-8"))
        for split in ("train", "val")
    ]
    return {
        "images": [image for part in parts for image in part["images"]],
        "annotations": [each for part in parts for each in part["annotations"]],
        "categories": parts[0]["categories"],
    }


def decode(annotation: Entry, image: Entry) -> Mask:
    """Return the mask of an annotation, ``[H, W]``."""
    segmentation, size = annotation["segmentation"], (image["height"], image["width"])
    if isinstance(segmentation, list):
        segmentation = mask_utils.merge(mask_utils.frPyObjects(segmentation, *size))
    elif isinstance(segmentation["counts"], list):
        segmentation = mask_utils.frPyObjects(segmentation, *size)
    mask: Mask = mask_utils.decode(segmentation)
    return mask


def with_mask(annotation: Entry, mask: Mask) -> Entry:
    """Return an annotation with another mask, and its box and area."""
    rle = mask_utils.encode(np.asfortranarray(mask))
    return {
        **annotation,
        "bbox": mask_utils.toBbox(rle).tolist(),
        "area": float(mask_utils.area(rle)),
        "segmentation": {"size": rle["size"], "counts": rle["counts"].decode()},
    }


def mask_iou(a: Mask, b: Mask) -> float:
    """Return the IoU of two masks of an image."""
    return float((a & b).sum() / max(1, (a | b).sum()))


def _shift(rng: random.Random) -> Callable[[Mask, int], Mask]:
    angle = rng.uniform(0, 2 * np.pi)

    def change(mask: Mask, steps: int) -> Mask:
        move = np.array([[1, 0, steps * np.cos(angle)], [0, 1, steps * np.sin(angle)]])
        return cv2.warpAffine(mask, move, mask.shape[::-1], flags=cv2.INTER_NEAREST)

    return change


def _morph(operation: int) -> Callable[[Mask, int], Mask]:
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    return lambda mask, steps: cv2.morphologyEx(mask, operation, cross, iterations=steps)


def spoil(mask: Mask, kind: str, rng: random.Random) -> Mask | None:
    """Return a mask shifted, eroded or dilated by the fewest pixels that suffice.

    None if that is impossible, because nothing is left of it or it already fills the image.
    """
    change = {
        "shifted": _shift(rng),
        "eroded": _morph(cv2.MORPH_ERODE),
        "dilated": _morph(cv2.MORPH_DILATE),
    }[kind]
    for steps in range(1, max(mask.shape)):
        changed = change(mask, steps)
        if not changed.any():
            return None
        if mask_iou(mask, changed) <= HIGHEST_IOU:
            return changed
    return None


class Injection:
    """The errors that were put into the content of an annotation file so far.

    Args:
        content: the content; not changed.
        rng: decides everything that is random.
    """

    def __init__(self, content: Entry, rng: random.Random) -> None:
        self._rng = rng
        self._images = {image["id"]: image for image in content["images"]}
        self._categories = sorted({each["category_id"] for each in content["annotations"]})
        self.annotations = {each["id"]: each for each in content["annotations"]}
        self._in_image = defaultdict(list)
        for each in content["annotations"]:
            self._in_image[each["image_id"]].append(each["id"])
        self.errors: list[LabelError] = []
        self._touched: set[int] = set()

    def add(self, kinds: Sequence[str], annotation_id: int) -> str | None:
        """Give an annotation the first possible error; return its kind, None if there is none."""
        if annotation_id in self._touched:
            return None
        for kind in kinds:
            annotation = self.annotations[annotation_id]
            removed, changed = self._make(kind, annotation)
            if removed is None and changed is None:
                continue
            if changed is not None:
                self.annotations[annotation_id] = changed
            if removed is not None:
                del self.annotations[removed]
                self._touched.add(removed)
            self._touched.add(annotation_id)
            error = LabelError(kind, annotation["image_id"], annotation_id, removed)
            self.errors.append(error)
            return kind
        return None

    def _make(self, kind: str, annotation: Entry) -> tuple[int | None, Entry | None]:
        """Return the id of an annotation to remove and the changed annotation, or None for each."""
        if kind == "dropped":
            return annotation["id"], None
        if kind == "swapped":
            others = [c for c in self._categories if c != annotation["category_id"]]
            swapped = {**annotation, "category_id": self._rng.choice(others)} if others else None
            return None, swapped
        mask = decode(annotation, self._images[annotation["image_id"]])
        if kind == "merged":
            return self._merge(annotation, mask)
        moved = spoil(mask, kind, self._rng)
        return None, None if moved is None else with_mask(annotation, moved)

    def _merge(self, annotation: Entry, mask: Mask) -> tuple[int | None, Entry | None]:
        image = self._images[annotation["image_id"]]
        distance = cv2.distanceTransform(1 - mask, cv2.DIST_L2, 3)
        near = []
        for other in self._in_image[image["id"]]:
            if other not in self._touched and other != annotation["id"] and self._fit(other):
                other_mask = decode(self.annotations[other], image)
                if other_mask.any():
                    near.append((float(distance[other_mask > 0].min()), other, other_mask))
        if not near:
            return None, None
        _, other, other_mask = min(near, key=lambda item: item[:2])
        return other, with_mask(annotation, mask | other_mask)

    def _fit(self, annotation_id: int) -> bool:
        return is_fit(self.annotations[annotation_id])


def is_fit(annotation: Entry) -> bool:
    """Return whether an annotation may get an error."""
    return not annotation["iscrowd"] and annotation["area"] >= SMALLEST_AREA


def inject(content: Entry, share: float = 0.1, seed: int = 0) -> tuple[Entry, list[LabelError]]:
    """Put errors into a share of the instances.

    Args:
        content: content of a COCO annotation file.
        share: errors per instance that is no crowd.
        seed: the same seed makes the same errors.

    Returns:
        The content with errors (the annotations that are left keep their ids and order), and what
        was done, by annotation id.
    """
    rng = random.Random(seed)
    injection = Injection(content, rng)
    wanted = round(share * sum(not each["iscrowd"] for each in content["annotations"]))
    fit = [each["id"] for each in content["annotations"] if is_fit(each)]
    kinds = list(KINDS)
    for annotation_id in rng.sample(fit, len(fit)):
        if len(injection.errors) == wanted:
            break
        made = injection.add(kinds, annotation_id)
        if made is not None:  # to the end of the queue: each kind gets its turn
            kinds.remove(made)
            kinds.append(made)
    noisy = {**content, "annotations": list(injection.annotations.values())}
    return noisy, sorted(injection.errors, key=lambda error: error.annotation_id)


def folds(content: Entry, seed: int = 0) -> list[Entry]:
    """Return two random halves of the images with their annotations."""
    images = random.Random(seed).sample(content["images"], len(content["images"]))
    halves = []
    for start in range(2):
        chosen = sorted(images[start::2], key=lambda image: image["id"])
        ids = {image["id"] for image in chosen}
        own = [each for each in content["annotations"] if each["image_id"] in ids]
        halves.append({**content, "images": chosen, "annotations": own})
    return halves


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--share", type=float, default=0.1)
    args = parser.parse_args()
    true = read(args.data)
    noisy, errors = inject(true, args.share, args.seed)
    args.folder.mkdir(parents=True, exist_ok=True)
    parts = {f"fold_{i}": fold for i, fold in enumerate(folds(noisy, args.seed))}
    for name, content in {**parts, "noisy": noisy, "true": true}.items():
        (args.folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    listed = [error._asdict() for error in errors]
    (args.folder / "errors.json").write_text(json.dumps(listed, indent=1), encoding="utf-8")
    counts = {kind: sum(error.kind == kind for error in errors) for kind in KINDS}
    print(f"{len(true['annotations'])} instances, {len(errors)} errors: {counts}")


if __name__ == "__main__":
    main()
