"""A validated COCO file, shared by training, evaluation and inspection."""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from maskrcnn_benchmark.data.coco_json.entries import Category, judge_categories, judge_images
from maskrcnn_benchmark.data.coco_json.judge import Judge
from maskrcnn_benchmark.data.coco_json.learned import Learned, LeftOut, find_left_out
from maskrcnn_benchmark.data.coco_json.pack import PackedRecords
from maskrcnn_benchmark.data.coco_json.problems import Entry, Problem, refuse
from maskrcnn_benchmark.data.coco_json.read import find_categories, read_content


@dataclass(frozen=True)
class CocoFile:
    """The well-formed entries of an annotation file, and its problems.

    Attributes:
        categories: in the order of the file.
        images: entries sorted by id, numbers before strings.
        annotations: see ``Judge.annotation``.
        rows: index into ``images`` of each annotation's image.
        left_out: uint8 ``[N]``, the ``LeftOut`` of each annotation.
        learned: how many instances are learned.
        problems: all errors.
    """

    categories: list[Category]
    images: list[Entry]
    annotations: PackedRecords
    rows: list[int]
    left_out: Tensor
    learned: Learned
    problems: list[Problem]


def read_coco(ann_file: str | Path, pixel_offset: float) -> CocoFile:
    """Read and validate an annotation file.

    Args:
        ann_file: path of the json.
        pixel_offset: convention of the boxes (``box_ops``), that of the model.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not in COCO format, an entry is malformed, or no instance of it can be
            learned; the message names the first errors by their ids.
    """
    file = judge_content(read_content(ann_file), pixel_offset)
    refuse(ann_file, file.problems)
    return file


def read_categories(ann_file: str | Path) -> list[Category]:
    """Return the categories of an annotation file, if possible without parsing the rest.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not in COCO's format, or a category is malformed.
    """
    entries = find_categories(Path(ann_file))
    if entries is None:
        entries = read_content(ann_file)["categories"]
    categories, problems = judge_categories(entries)
    refuse(ann_file, problems)
    return categories


def judge_content(content: dict[str, Any], pixel_offset: float) -> CocoFile:
    """Validate the content that ``read_content`` returns."""
    categories, problems = judge_categories(content["categories"])
    images, of_images = judge_images(content["images"])
    ordered = sorted(images.values(), key=lambda image: (type(image["id"]) is str, image["id"]))
    row_of = {image["id"]: row for row, image in enumerate(ordered)}
    judge = Judge(images, categories)
    boxes, sizes, crowd, masked = array("d"), array("d"), array("b"), array("b")
    rows: list[int] = []

    def judged() -> Iterator[Entry]:
        for number, entry in enumerate(content["annotations"], 1):
            record = judge.annotation(entry, number)
            if record is None:
                continue
            rows.append(row_of[record["image_id"]])
            image = ordered[rows[-1]]
            boxes.extend(record["bbox"])
            sizes.extend((image["width"], image["height"]))
            crowd.append(record["iscrowd"])
            masked.append(record["segmentation"] is not None)
            yield record

    annotations = PackedRecords(judged())
    is_crowd, has_mask = (torch.from_numpy(np.array(flags)) > 0 for flags in (crowd, masked))
    left_out = find_left_out(
        torch.from_numpy(np.array(boxes)).reshape(-1, 4),
        torch.from_numpy(np.array(sizes)).reshape(-1, 2),
        is_crowd,
        pixel_offset,
    )
    learned = Learned(
        len(annotations),
        {why.text: n for why in LeftOut if why and (n := int((left_out == why).sum()))},
        int(((left_out == LeftOut.LEARNED) & ~has_mask).sum()),
    )
    problems += [*of_images, *judge.problems]
    if learned.total and not learned.count:
        text = f"nothing is left to learn: {learned}"
        if min(boxes) >= 0 and 0 < max(boxes) <= 1:
            text += "; the boxes look normalized to 0..1, and must be in pixels"
        problems.append(Problem("nothing to learn", text))
    return CocoFile(categories, ordered, annotations, rows, left_out, learned, problems)
