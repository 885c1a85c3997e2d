"""Read a large, well-formed COCO file piece by piece, in little memory."""

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from maskrcnn_benchmark.data.coco_json.annotation_columns import PackedAnnotations
from maskrcnn_benchmark.data.coco_json.bulk import Bulk
from maskrcnn_benchmark.data.coco_json.coco_file import CocoFile, JudgedFile
from maskrcnn_benchmark.data.coco_json.pack import Block
from maskrcnn_benchmark.data.coco_json.problems import Entry
from maskrcnn_benchmark.data.ordered_map import ordered_map, usable_processors
from maskrcnn_benchmark.utils.user_error import UserError

_PIECE = 1 << 17  # bytes read at a time; the values of more would not fit into a processor's cache
_LIST = re.compile(rb'"annotations"[ \t\r\n]*:[ \t\r\n]*\[')
_NEXT = re.compile(rb"\}[ \t\r\n]*,[ \t\r\n]*(?=\{)")
_KEY = b'"categories"'
_MOST_TAIL = 1 << 26  # bytes after the annotations that are read at once
_MOST_PROCESSES, _LEAST_SHARE = 8, 1 << 25  # that parse, and bytes for each
_MOST_CATEGORIES = 1 << 20  # bytes at the end in which categories are looked for


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

    Raises:
        UserError: a process that parses was killed.
    """
    try:
        with path.open("rb") as source:
            guess = _guess_categories(source)
            head, start = _read_head(source)
        images, categories = head.get("images"), head.get("categories", guess)
        if not isinstance(images, list) or not isinstance(categories, list):
            return None
        judged = JudgedFile(images, categories, pixel_offset)
        head["images"] = images = []  # they are held once
        tail: Entry = {}
        annotations = PackedAnnotations(_records(path, start, judged, tail), file)
    except UserError:
        raise
    except (_UnusualError, ValueError, RecursionError):
        return None
    if head.keys() & tail.keys() or {**head, **tail}.get("categories") != categories:
        return None
    made = judged.finish(annotations)
    return None if made.problems else made


def _guess_categories(source: BinaryIO) -> Any:
    """Return the list after the last "categories" key if it is near the end of the file."""
    size = source.seek(0, 2)
    source.seek(max(size - _MOST_CATEGORIES, 0))
    _, key, text = source.read().rpartition(_KEY)
    source.seek(0)
    if not key:
        return None
    try:
        return json.JSONDecoder().raw_decode(text.decode().lstrip(" \t\r\n:"))[0]
    except ValueError:
        return None


def _read_head(source: BinaryIO) -> tuple[Entry, int]:
    """Return the object up to the list of annotations, and where that begins."""
    content = bytearray()
    while piece := source.read(_PIECE):
        seen = max(len(content) - 64, 0)
        content += piece
        if found := _LIST.search(content, seen):
            # a beginning of the file that is an object once it is closed here ends in the list
            head = json.loads(content[: found.end()].decode() + "]}")
            if not isinstance(head, dict) or list(head)[-1] != "annotations":
                raise _UnusualError
            return head, found.end()
    raise _UnusualError


def _records(path: Path, start: int, judged: JudgedFile, tail: Entry) -> Iterator[Block | Entry]:
    """Yield the annotations, unless there are problems.

    Args:
        path: of the json.
        start: where the list of annotations begins.
        judged: validates them.
        tail: gets what follows the list in the outermost object.
    """

    def judge(piece: tuple[bytes, int]) -> tuple[Bulk | bytes, int] | None:
        content, end = piece
        try:
            return judged.in_bulk(_loads(content)) or content, end
        except ValueError:  # the list ends in this piece
            return None

    size = path.stat().st_size - start
    processes = min(usable_processors(), _MOST_PROCESSES, size // _LEAST_SHARE)
    with contextlib.closing(ordered_map(judge, lambda: _pieces(path, start), processes)) as pieces:
        for found in pieces:
            if found is None:
                break
            made, start = found
            if isinstance(made, Bulk):
                yield judged.add_bulk(made)
            else:
                yield from judged.records(_loads(made))
            if judged.problems:
                raise _UnusualError
    yield from judged.records(_read_tail(path, start, tail))


def _pieces(path: Path, start: int) -> Iterator[tuple[bytes, int]]:
    """Yield pieces of the list of annotations, each as a list, and where it ends in the file.

    The first piece that is no JSON contains the end of the list.
    """
    rest = bytearray()
    with path.open("rb") as source:
        source.seek(start)
        while len(rest) < _MOST_TAIL and (read := source.read(_PIECE)):
            rest += read
            if end := _end_of_entry(rest):
                # what is a list once it is closed here ends between two entries of the list
                piece = b"[" + rest[:end] + b"]"
                taken = rest.index(b",", end) + 1
                start += taken
                del rest[:taken]
                yield piece, start


def _read_tail(path: Path, start: int, tail: Entry) -> list[Any]:
    """Return the annotations from ``start`` on, and add what follows them to ``tail``."""
    with path.open("rb") as source:
        source.seek(start)
        rest = source.read(_MOST_TAIL)
        if source.read(1):
            raise _UnusualError
    names: list[str] = []

    def collect(pairs: list[tuple[str, Any]]) -> Entry:
        names[:] = [name for name, _ in pairs]  # at last those of the outermost object
        return dict(pairs)

    found = json.loads('{"annotations": [' + rest.decode(), object_pairs_hook=collect)
    if len(set(names)) < len(names):
        raise _UnusualError
    annotations: list[Any] = found.pop("annotations")
    tail |= found
    return annotations


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
