"""File names: conversion between UTF-8 text and the file system, and their maximum length."""

import os
import zlib

_MOST_BYTES = 255  # of a file name, in common file systems


def name_in_text(path: str) -> str:
    """Convert a path from the command line or the file system to UTF-8 text.

    In a locale other than UTF-8, Python decodes such a path differently.
    """
    return os.fsencode(path).decode("utf-8", "surrogateescape")


def name_on_disk(text: str) -> str:
    """Convert a path from UTF-8 text, such as JSON, to what the file system expects."""
    return os.fsdecode(text.encode("utf-8", "surrogateescape"))


def fitted_name(name: str, ending: str) -> str:
    """Append a suffix to a file name; truncate a long name and append its checksum."""
    content, rest = os.fsencode(name), os.fsencode(ending)
    if len(content) + len(rest) <= _MOST_BYTES:
        return name + ending
    mark = f"~{zlib.crc32(content):08x}"
    kept = content[: _MOST_BYTES - len(rest) - len(mark)].decode("utf-8", "ignore")
    return name_on_disk(kept) + mark + ending
