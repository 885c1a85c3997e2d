"""Read a large, well-formed COCO file piece by piece, in little memory."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from maskrcnn_benchmark.data.coco_json.coco_file import CocoFile, JudgedFile
from maskrcnn_benchmark.data.coco_json.pack import PackedRecords
from maskrcnn_benchmark.data.coco_json.problems import Entry, Problem

_PIECE = 1 << 20  # bytes read at a time
_LIST = re.compile(rb'"annotations"[ \t\r\n]*:[ \t\r\n]*\[')
_NEXT = re.compile(rb"\}[ \t\r\n]*,[ \t\r\n]*(?=\{)")
_KEY = b'"categories"'
_MOST_TAIL = 64 * _PIECE  # bytes after the annotations that are read at once


class _UnusualError(Exception):
    """Raised for content that ``read_content`` and ``judge_content`` are to judge."""


def read_chunks(path: Path, pixel_offset: float, file: BinaryIO | None) -> CocoFile | None:
    """Return what ``judge_content(read_content(path), ...)`` returns; None if that has to decide.

    The latter is so if an entry has a problem, if it is no JSON, if the annotations precede the
    images, or keys are repeated.

    Args:
        path: of the json.
        pixel_offset: convention of the boxes (``box_ops``), that of the model.
        file: see ``PackedRecords``; for the annotations.
    """
    try:
        with path.open("rb") as source:
            guess = _guess_categories(source)
            head, rest = _read_head(source)
            images, categories = head.get("images"), head.get("categories", guess)
            if not isinstance(images, list) or not isinstance(categories, list):
                return None
            judged = JudgedFile(images, categories)
            head["images"] = images = []  # they are held once
            tail: Entry = {}
            pieces = _pieces(source, rest, tail, judged.problems)
            annotations = PackedRecords(judged.records_in_bulk(pieces), file)
    except (_UnusualError, ValueError, RecursionError):
        return None
    if head.keys() & tail.keys() or {**head, **tail}.get("categories") != categories:
        return None
    made = judged.finish(annotations, pixel_offset)
    return None if made.problems else made


def _guess_categories(source: BinaryIO) -> Any:
    """Return the list after the last "categories" key if it is near the end of the file."""
    size = source.seek(0, 2)
    source.seek(max(size - _PIECE, 0))
    _, key, text = source.read().rpartition(_KEY)
    source.seek(0)
    if not key:
        return None
    try:
        return json.JSONDecoder().raw_decode(text.decode().lstrip(" \t\r\n:"))[0]
    except ValueError:
        return None


def _read_head(source: BinaryIO) -> tuple[Entry, bytearray]:
    """Return the object up to the list of annotations, and what was read beyond."""
    content = bytearray()
    while piece := source.read(_PIECE):
        seen = max(len(content) - 64, 0)
        content += piece
        if found := _LIST.search(content, seen):
            # a beginning of the file that is an object once it is closed here ends in the list
            head = json.loads(content[: found.end()].decode() + "]}")
            if not isinstance(head, dict) or list(head)[-1] != "annotations":
                raise _UnusualError
            return head, content[found.end() :]
    raise _UnusualError


def _pieces(
    source: BinaryIO, rest: bytearray, tail: Entry, problems: list[Problem]
) -> Iterator[list[Any]]:
    """Yield the annotations in pieces of a megabyte, unless there are problems.

    Args:
        source: the file.
        rest: what was read of the file after the beginning of the list.
        tail: gets what follows the list in the outermost object.
        problems: what was found so far.
    """
    while piece := source.read(_PIECE):
        rest += piece
        end = _end_of_entry(rest)
        if not end:
            continue
        try:
            # what is a list once it is closed here ends between two entries of the list
            yield _loads(b"[" + rest[:end] + b"]")
        except ValueError:
            break
        if problems:
            raise _UnusualError
        del rest[: rest.index(b",", end) + 1]
    rest += source.read(_MOST_TAIL)
    if source.read(1):
        raise _UnusualError
    names: list[str] = []

    def collect(pairs: list[tuple[str, Any]]) -> Entry:
        names[:] = [name for name, _ in pairs]  # at last those of the outermost object
        return dict(pairs)

    found = json.loads('{"annotations": [' + rest.decode(), object_pairs_hook=collect)
    if len(set(names)) < len(names):
        raise _UnusualError
    yield found.pop("annotations")
    tail |= found


def _loads(content: bytes) -> Any:
    """Parse JSON as the standard library does, but in a quarter of the time."""
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:  # stricter: it takes neither NaN nor half of a surrogate pair
        return json.loads(content.decode())


def _end_of_entry(content: bytearray) -> int:
    """Return where the last object ends that another follows; 0 if there is none."""
    end = content.rfind(b"}")
    while end > 0:
        if _NEXT.match(content, end):
            return end + 1
        end = content.rfind(b"}", 0, end)
    return 0
