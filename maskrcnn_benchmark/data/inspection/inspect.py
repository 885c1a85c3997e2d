"""All checks of a data set, and its statistics."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskrcnn_benchmark.data.coco_json.coco_file import judge_content
from maskrcnn_benchmark.data.coco_json.entries import Category
from maskrcnn_benchmark.data.coco_json.learned import Learned
from maskrcnn_benchmark.data.coco_json.problems import Entry, Problem
from maskrcnn_benchmark.data.coco_json.read import read_content
from maskrcnn_benchmark.data.coco_json.values import shown
from maskrcnn_benchmark.data.inspection.annotations import inspect_annotations
from maskrcnn_benchmark.data.inspection.images import inspect_images
from maskrcnn_benchmark.structures.box_ops import PIXEL_OFFSET


@dataclass(frozen=True)
class Inspection:
    """The result of inspecting a data set.

    Attributes:
        problems: all problems, errors first and otherwise in file order.
        images: the valid image entries by id.
        annotations: the valid annotations, crowds included, see ``coco_json.judge``.
        names: class name of each category id.
        learned: how many of the annotations are learned.
        unlisted_files: number of files in the folder without an image entry.
    """

    problems: list[Problem]
    images: Mapping[Any, Entry]
    annotations: list[Entry]
    names: Mapping[Any, str]
    learned: Learned
    unlisted_files: int

    @property
    def num_errors(self) -> int:
        """The number of problems that are errors."""
        return sum(problem.severity == "error" for problem in self.problems)

    def empty_images(self) -> list[Any]:
        """Return the ids of the images without any annotation, crowds included."""
        annotated = {annotation["image_id"] for annotation in self.annotations}
        return [image_id for image_id in self.images if image_id not in annotated]


def inspect_coco(ann_file: str | Path, folder: str | Path) -> Inspection:
    """Check an annotation file and its images.

    Raises:
        FileNotFoundError: the file or the folder is missing.
        ValueError: the file is not JSON, or not in COCO's format.
    """
    content, folder = read_content(ann_file), Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"image folder {folder} does not exist")
    file = judge_content(content, PIXEL_OFFSET)
    of_files = list(inspect_images(file.images, folder))
    broken = {problem.image_id for problem in of_files if problem.severity == "error"}
    readable = {image["id"] for image in file.images} - broken
    problems = [
        *file.problems,
        *of_files,
        *inspect_annotations(content["annotations"], file, readable),
        *_category_warnings(file.categories, content["annotations"]),
    ]
    if not content["annotations"]:
        text = (
            "there are no annotations: the data can be used for prediction only, not for training"
        )
        problems.append(Problem("no annotations", text, severity="warning"))
    listed = {entry["file_name"] for entry in file.images}
    unlisted = sum(path.is_file() and path.name not in listed for path in folder.iterdir())
    problems.sort(key=lambda problem: problem.severity != "error")
    return Inspection(
        problems,
        {image["id"]: image for image in file.images},
        list(file.annotations),
        {category.id: category.name for category in file.categories},
        file.learned,
        unlisted,
    )


def _category_warnings(
    categories: Sequence[Category], annotations: Iterable[Any]
) -> Iterator[Problem]:
    """Yield warnings about classes without annotations and class names used twice."""
    used = {shown(a.get("category_id")) for a in annotations if isinstance(a, dict)}
    for category in categories:
        if shown(category.id) not in used:
            text = f"category id {shown(category.id)} ({category.name}) has no annotation"
            yield Problem("unused category", text, severity="warning")
    for name, times in Counter(category.name for category in categories).items():
        if times > 1:
            text = f"category name {shown(name)} occurs {times} times"
            yield Problem("category name twice", text, severity="warning")
