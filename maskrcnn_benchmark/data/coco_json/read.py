"""Parsing of COCO json files without holding all annotations as Python objects."""

import json
import mmap
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from maskrcnn_benchmark.data.coco_json.pack import PackedRecords

_skip_space = re.compile(r"[ \t\n\r]*").match
_CATEGORIES = b'"categories"'
_MAX_CATEGORIES = 1 << 20  # bytes looked at after that key


def read_content(ann_file: str | Path) -> dict[str, Any]:
    """Return the content of a file with ``images``, ``categories`` and packed ``annotations``.

    The entries are not validated. A file without ``annotations`` gets an empty list.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not JSON in UTF-8, or lacks one of these lists.
    """
    path = Path(ann_file)
    if not path.is_file():
        raise FileNotFoundError(f"annotation file {path} does not exist")
    try:
        content = load_packing(_decode(path.read_bytes()), "annotations")
    except RecursionError:
        raise ValueError(f"annotation file {path} is not in COCO format: nested too deep") from None
    except ValueError as error:
        raise ValueError(f"annotation file {path} is not JSON: {error}") from None
    if isinstance(content, dict):
        content.setdefault("annotations", PackedRecords([]))  # test sets have none
    lists = {"images": list, "categories": list, "annotations": PackedRecords}
    for key, kind in lists.items():
        if not isinstance(content, dict) or not isinstance(content.get(key), kind):
            raise ValueError(f"annotation file {path} is not in COCO format: no list {key!r}")
    return content


def _decode(content: bytes) -> str:
    """Return the text of a file in UTF-8, with or without a byte order mark."""
    encoding = json.detect_encoding(content)
    if not encoding.startswith("utf-8"):
        raise ValueError(f"it is {encoding[:6].upper()}; save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        odd, place = error.object[error.start], error.start
        raise ValueError(f"byte {odd:#x} at {place} is not UTF-8; save it as UTF-8") from None


def find_categories(path: Path) -> list[Any] | None:
    """Return the list after the only "categories" key; None if it cannot be found that way."""
    if not path.is_file() or not path.stat().st_size:
        return None
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        start = content.find(_CATEGORIES)
        if start < 0 or content.find(_CATEGORIES, start + 1) >= 0:
            return None
        start += len(_CATEGORIES)
        text = content[start : start + _MAX_CATEGORIES].decode(errors="replace")
    try:
        found, _ = json.JSONDecoder().raw_decode(text.lstrip(" \t\r\n:"))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, list) else None


def load_packing(text: str, key: str) -> Any:
    """Parse JSON as ``json.loads`` does, but pack one list entry by entry.

    Args:
        text: the JSON text.
        key: key of the outermost object whose list becomes ``PackedRecords``.

    Raises:
        ValueError: it is not JSON.
        RecursionError: it is nested too deeply.
    """
    reader = _Reader(text)
    if not reader.take("{"):
        return reader.value()
    content: dict[str, Any] = {}
    for name in reader.names():
        packs = name == key and reader.take("[")
        content[name] = PackedRecords(reader.items()) if packs else reader.value()
    reader.end()
    return content


class _Reader:
    """Incremental reader of a JSON text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._decode = json.JSONDecoder().raw_decode
        self._position = 0
        self._move(0)

    def _move(self, position: int) -> None:
        """Advance to the first character from ``position`` on that is not white space."""
        match = _skip_space(self._text, position)
        assert match is not None
        self._position = match.end()

    def value(self) -> Any:
        """Read and return one value."""
        value, position = self._decode(self._text, self._position)
        self._move(position)
        return value

    def take(self, sign: str) -> bool:
        """Return whether ``sign`` comes next, and consume it if so."""
        found = self._text.startswith(sign, self._position)
        if found:
            self._move(self._position + 1)
        return found

    def _expect(self, sign: str) -> None:
        if not self.take(sign):
            raise json.JSONDecodeError(f"Expecting {sign!r}", self._text, self._position)

    def items(self) -> Iterator[Any]:
        """Yield the entries of a list whose opening bracket was consumed."""
        if self.take("]"):
            return
        yield self.value()
        while not self.take("]"):
            self._expect(",")
            yield self.value()

    def names(self) -> Iterator[str]:
        """Yield the keys of an object whose brace was consumed; the caller reads each value."""
        if self.take("}"):
            return
        while True:
            if not self._text.startswith('"', self._position):
                raise json.JSONDecodeError("Expecting a name", self._text, self._position)
            name = self.value()
            self._expect(":")
            yield name
            if self.take("}"):
                return
            self._expect(",")

    def end(self) -> None:
        """Raise an error unless the text is exhausted."""
        if self._position != len(self._text):
            raise json.JSONDecodeError("Extra data", self._text, self._position)
