"""All checks of a data set, and its figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskrcnn_benchmark.data.datasets.coco_format import parse_coco
from maskrcnn_benchmark.data.datasets.coco_problems import (
    Entry,
    Problem,
    annotation_problems,
    category_names,
    category_problems,
    image_problems,
    usable_images,
)
from maskrcnn_benchmark.data.inspection.annotations import inspect_annotations
from maskrcnn_benchmark.data.inspection.images import inspect_images


@dataclass(frozen=True)
class Inspection:
    """A data set and what was found in it.

    Attributes:
        problems: all of them, errors first, else in the file's order.
        images: the well-formed image entries by id.
        annotations: the well-formed ones, crowds too.
        names: class name of each category id.
        unlisted_files: number of files in the folder that no entry names.
    """

    problems: list[Problem]
    images: Mapping[Any, Entry]
    annotations: list[Entry]
    names: Mapping[Any, str]
    unlisted_files: int

    @property
    def num_errors(self) -> int:
        """Number of problems that are errors."""
        return sum(problem.severity == "error" for problem in self.problems)

    def empty_images(self) -> list[Any]:
        """Ids of the images without any annotation, crowds included."""
        annotated = {annotation["image_id"] for annotation in self.annotations}
        return [number for number in self.images if number not in annotated]


def inspect_coco(ann_file: str | Path, folder: str | Path) -> Inspection:
    """Check an annotation file and its images.

    Raises:
        FileNotFoundError: the file or the folder is missing.
        ValueError: the file is not JSON, or not in COCO's format.
    """
    content, folder = parse_coco(ann_file), Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"image folder {folder} does not exist")
    images = usable_images(content["images"])
    names = category_names(content["categories"])
    category_ids = set(names)
    problems = [
        *category_problems(content["categories"]),
        *image_problems(content["images"]),
        *inspect_images(images.values(), folder),
        *inspect_annotations(content["annotations"], images, category_ids),
        *_category_warnings(names, content["annotations"]),
    ]
    well_formed = [
        annotation
        for annotation in content["annotations"]
        if not any(annotation_problems(annotation, images, category_ids))
    ]
    listed = {entry["file_name"] for entry in images.values()}
    unlisted = sum(path.is_file() and path.name not in listed for path in folder.iterdir())
    problems.sort(key=lambda problem: problem.severity != "error")
    return Inspection(problems, images, well_formed, names, unlisted)


def _category_warnings(names: Mapping[Any, str], annotations: list[Any]) -> Iterator[Problem]:
    """Yield classes without annotation, and names that several classes share."""
    used = Counter(a.get("category_id") for a in annotations if isinstance(a, dict))
    for number, name in names.items():
        if number not in used:
            text = f"category id {number} ({name}) has no annotation"
            yield Problem("unused category", text, severity="warning")
    for name, times in Counter(names.values()).items():
        if times > 1:
            text = f"category name {name!r} occurs {times} times"
            yield Problem("category name twice", text, severity="warning")
