"""Names of files: in UTF-8 text, as the system spells them, and as long as a disk allows."""

import os
import zlib

_MOST_BYTES = 255  # of a file name, on the usual disks


def name_in_text(path: str) -> str:
    """Return a path from the command line or the disk as UTF-8 text holds it.

    Where the locale is not UTF-8, Python's own spelling of such a path is another one.
    """
    return os.fsencode(path).decode("utf-8", "surrogateescape")


def name_on_disk(text: str) -> str:
    """Return a path out of UTF-8 text, such as a json, as the system takes it."""
    return os.fsdecode(text.encode("utf-8", "surrogateescape"))


def fitted_name(name: str, ending: str) -> str:
    """Return a file name with an ending; one too long is cut, and a checksum of it follows."""
    content, rest = os.fsencode(name), os.fsencode(ending)
    if len(content) + len(rest) <= _MOST_BYTES:
        return name + ending
    mark = f"~{zlib.crc32(content):08x}"
    kept = content[: _MOST_BYTES - len(rest) - len(mark)].decode("utf-8", "ignore")
    return name_on_disk(kept) + mark + ending
