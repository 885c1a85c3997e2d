"""A validated COCO file, shared by training, evaluation and inspection."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from maskrcnn_benchmark.data.coco_json.annotation_columns import PackedAnnotations
from maskrcnn_benchmark.data.coco_json.bulk import Bulk, BulkJudge
from maskrcnn_benchmark.data.coco_json.entries import Category, judge_categories, judge_images
from maskrcnn_benchmark.data.coco_json.judge import Judge
from maskrcnn_benchmark.data.coco_json.learned import Learned, LeftOut, find_left_out
from maskrcnn_benchmark.data.coco_json.pack import Block, PackedRecords
from maskrcnn_benchmark.data.coco_json.problems import Entry, Problem, refuse
from maskrcnn_benchmark.data.coco_json.read import find_categories, read_content

_PART = 1 << 14  # annotations whose boxes are judged together


@dataclass(frozen=True)
class CocoFile:
    """The well-formed entries of an annotation file, and its problems.

    Attributes:
        categories: in the order of the file.
        images: entries sorted by id, numbers before strings.
        annotations: see ``Judge.annotation``.
        rows: int64 ``[N]``, index into ``images`` of each annotation's image.
        left_out: uint8 ``[N]``, the ``LeftOut`` of each annotation.
        learned: how many instances are learned.
        problems: all errors.
    """

    categories: list[Category]
    images: PackedRecords
    annotations: PackedAnnotations
    rows: Tensor
    left_out: Tensor
    learned: Learned
    problems: list[Problem]


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


def judge_content(
    content: dict[str, Any], pixel_offset: float, file: BinaryIO | None = None
) -> CocoFile:
    """Validate the content that ``read_content`` returns.

    Args:
        content: of the json.
        pixel_offset: convention of the boxes (``box_ops``), that of the model.
        file: see ``PackedRecords``; for the annotations.
    """
    judged = JudgedFile(content["images"], content["categories"], pixel_offset)
    annotations = PackedAnnotations(judged.records(content["annotations"]), file)
    return judged.finish(annotations)


class JudgedFile:
    """Validates the entries of a file, and notes of each annotation what decides if it is learned.

    Args:
        images: raw entries.
        categories: raw entries.
        pixel_offset: convention of the boxes (``box_ops``), that of the model.

    Attributes:
        problems: errors found so far.
    """

    def __init__(self, images: list[Any], categories: list[Any], pixel_offset: float) -> None:
        self._pixel_offset = pixel_offset
        self._categories, self.problems = judge_categories(categories)
        self._images, of_images = judge_images(images)
        self.problems += of_images
        self._judge = Judge(self._images, self._categories, self.problems)
        self._bulk_judge = BulkJudge(self._images, self._categories)
        self._num_seen = 0
        self._rows, self._crowd, self._masked = array("q"), array("b"), array("b")
        self._boxes = array("d")  # of the last annotations
        self._left_out: list[Tensor] = []  # of all before those
        self._extent = (inf, -inf)  # of the numbers of their boxes

    def in_bulk(self, entries: Sequence[Any]) -> Bulk | None:
        """Return raw annotations for ``add_bulk``; None if ``records`` has to decide about them."""
        return self._bulk_judge.annotations(entries)

    def add_bulk(self, bulk: Bulk) -> Block:
        """Return the records of annotations that follow those seen so far."""
        self._num_seen += len(bulk.rows)
        self._rows.frombytes(bulk.rows.tobytes())
        self._boxes.frombytes(bulk.boxes.tobytes())
        self._crowd.frombytes(bulk.is_crowd.tobytes())
        self._masked.frombytes(bulk.has_mask.tobytes())
        self._judge_boxes(_PART)
        return bulk.block

    def records(self, entries: Iterable[Any]) -> Iterator[Entry]:
        """Yield the records of the well-formed ones among raw annotations, see ``Judge``.

        Args:
            entries: the annotations that follow those seen so far.
        """
        for entry in entries:
            self._num_seen += 1
            record = self._judge.annotation(entry, self._num_seen)
            if record is None:
                continue
            self._rows.append(self._images.row_of[record["image_id"]])
            self._boxes.extend(record["bbox"])
            self._crowd.append(record["iscrowd"])
            self._masked.append(record["segmentation"] is not None)
            self._judge_boxes(_PART)
            yield record

    def _judge_boxes(self, minimum: int) -> None:
        """Decide which of the last annotations are learned, if there are at least ``minimum``."""
        if len(self._boxes) < 4 * minimum:
            return
        boxes = torch.from_numpy(np.array(self._boxes)).reshape(-1, 4)
        rows = np.array(self._rows[len(self._rows) - len(boxes) :])
        crowd = torch.from_numpy(np.array(self._crowd[len(self._crowd) - len(boxes) :]))
        sizes = torch.from_numpy(self._images.sizes[rows]).double()
        self._left_out.append(find_left_out(boxes, sizes, crowd > 0, self._pixel_offset))
        low, high = self._extent
        self._extent = min([low, *self._boxes]), max([high, *self._boxes])
        self._boxes = array("d")

    def finish(self, annotations: PackedAnnotations) -> CocoFile:
        """Return the file, given all records."""
        self._judge_boxes(0)
        left_out = torch.cat(self._left_out)
        has_mask = torch.from_numpy(np.array(self._masked)) > 0
        learned = Learned(
            len(annotations),
            {why.text: n for why in LeftOut if why and (n := int((left_out == why).sum()))},
            int(((left_out == LeftOut.LEARNED) & ~has_mask).sum()),
        )
        if learned.total and not learned.count:
            text = f"nothing is left to learn: {learned}"
            low, high = self._extent
            if low >= 0 and 0 < high <= 1:
                text += "; the boxes look normalized to 0..1, and must be in pixels"
            self.problems.append(Problem("nothing to learn", text))
        return CocoFile(
            self._categories,
            self._images.records,
            annotations,
            torch.from_numpy(np.array(self._rows)),
            left_out,
            learned,
            self.problems,
        )
