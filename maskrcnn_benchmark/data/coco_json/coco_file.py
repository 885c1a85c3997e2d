"""A validated COCO file, shared by training, evaluation and inspection."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from maskrcnn_benchmark.data.coco_json.bulk import BulkJudge
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
        rows: int64 ``[N]``, index into ``images`` of each annotation's image.
        left_out: uint8 ``[N]``, the ``LeftOut`` of each annotation.
        learned: how many instances are learned.
        problems: all errors.
    """

    categories: list[Category]
    images: PackedRecords
    annotations: PackedRecords
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
    judged = JudgedFile(content["images"], content["categories"])
    annotations = PackedRecords(judged.records(content["annotations"]), file)
    return judged.finish(annotations, pixel_offset)


class JudgedFile:
    """Validates the entries of a file, and notes of each annotation what decides if it is learned.

    Args:
        images: raw entries.
        categories: raw entries.

    Attributes:
        problems: errors found so far.
    """

    def __init__(self, images: list[Any], categories: list[Any]) -> None:
        self._categories, self.problems = judge_categories(categories)
        by_id, of_images = judge_images(images)
        self.problems += of_images
        self._images = sorted(by_id.values(), key=_numbers_first)
        self._row_of = {image["id"]: row for row, image in enumerate(self._images)}
        self._judge = Judge(by_id, self._categories, self.problems)
        self._bulk_judge = BulkJudge(self._images, self._categories)
        self._boxes, self._rows = array("d"), array("q")
        self._crowd, self._masked = array("b"), array("b")

    def records_in_bulk(self, pieces: Iterable[Sequence[Any]]) -> Iterator[Entry]:
        """Yield what ``records`` does, given the raw annotations in pieces of any length."""
        first = 1
        for piece in pieces:
            bulk = self._bulk_judge.annotations(piece, first)
            if bulk is None:
                yield from self.records(piece, first)
            else:
                self._rows.extend(bulk.rows)
                self._boxes.frombytes(bulk.boxes.tobytes())
                self._crowd.extend([record["iscrowd"] for record in bulk.records])
                has_mask = [record["segmentation"] is not None for record in bulk.records]
                self._masked.extend(has_mask)
                yield from bulk.records
            first += len(piece)

    def records(self, entries: Iterable[Any], first: int = 1) -> Iterator[Entry]:
        """Yield the records of the well-formed ones among raw annotations, see ``Judge``.

        Args:
            entries: the annotations.
            first: position of the first of them in the file, from 1.
        """
        for number, entry in enumerate(entries, first):
            record = self._judge.annotation(entry, number)
            if record is None:
                continue
            self._rows.append(self._row_of[record["image_id"]])
            self._boxes.extend(record["bbox"])
            self._crowd.append(record["iscrowd"])
            self._masked.append(record["segmentation"] is not None)
            yield record

    def finish(self, annotations: PackedRecords, pixel_offset: float) -> CocoFile:
        """Return the file, given all that ``records`` yielded."""
        boxes = torch.from_numpy(np.array(self._boxes)).reshape(-1, 4)
        rows = torch.from_numpy(np.array(self._rows))
        is_crowd, has_mask = (
            torch.from_numpy(np.array(flags)) > 0 for flags in (self._crowd, self._masked)
        )
        of_images = [(image["width"], image["height"]) for image in self._images]
        sizes = torch.tensor(of_images, dtype=torch.float64).reshape(-1, 2)[rows]
        left_out = find_left_out(boxes, sizes, is_crowd, pixel_offset)
        learned = Learned(
            len(annotations),
            {why.text: n for why in LeftOut if why and (n := int((left_out == why).sum()))},
            int(((left_out == LeftOut.LEARNED) & ~has_mask).sum()),
        )
        if learned.total and not learned.count:
            text = f"nothing is left to learn: {learned}"
            if boxes.min() >= 0 and 0 < boxes.max() <= 1:
                text += "; the boxes look normalized to 0..1, and must be in pixels"
            self.problems.append(Problem("nothing to learn", text))
        return CocoFile(
            self._categories,
            PackedRecords(self._images),
            annotations,
            rows,
            left_out,
            learned,
            self.problems,
        )


def _numbers_first(image: Entry) -> tuple[bool, Any]:
    return type(image["id"]) is str, image["id"]
