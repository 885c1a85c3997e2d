"""Parsing of large JSON without ever holding it as Python objects."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from maskrcnn_benchmark.data.datasets.packed_records import PackedRecords

_skip_space = re.compile(r"[ \t\n\r]*").match


def load_packing(path: Path, key: str) -> Any:
    """Parse a JSON file as ``json.loads`` does, but pack one list entry by entry.

    Args:
        path: of the file, in UTF-8.
        key: of the outermost object; the list there becomes ``PackedRecords``.

    Raises:
        ValueError: it is not JSON, or not UTF-8.
    """
    reader = _Reader(path.read_bytes().decode("utf-8-sig"))
    if not reader.take("{"):
        return reader.value()
    content: dict[str, Any] = {}
    for name in reader.names():
        packs = name == key and reader.take("[")
        content[name] = PackedRecords(reader.items()) if packs else reader.value()
    reader.end()
    return content


class _Reader:
    """Goes through a JSON text value by value."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._decode = json.JSONDecoder().raw_decode
        self._position = 0
        self._move(0)

    def _move(self, position: int) -> None:
        """Go on to what is not white space, from ``position`` on."""
        match = _skip_space(self._text, position)
        assert match is not None
        self._position = match.end()

    def value(self) -> Any:
        """Read a whole value."""
        value, position = self._decode(self._text, self._position)
        self._move(position)
        return value

    def take(self, sign: str) -> bool:
        """Tell whether ``sign`` comes next, and pass it."""
        found = self._text.startswith(sign, self._position)
        if found:
            self._move(self._position + 1)
        return found

    def _expect(self, sign: str) -> None:
        if not self.take(sign):
            raise json.JSONDecodeError(f"Expecting {sign!r}", self._text, self._position)

    def items(self) -> Iterator[Any]:
        """Read the entries of a list whose bracket was taken."""
        if self.take("]"):
            return
        yield self.value()
        while not self.take("]"):
            self._expect(",")
            yield self.value()

    def names(self) -> Iterator[str]:
        """Read the names of an object whose brace was taken; the caller reads each value."""
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
        """Require that nothing is left."""
        if self._position != len(self._text):
            raise json.JSONDecodeError("Extra data", self._text, self._position)
