"""Load annotation files for training and evaluation."""

import contextlib
import gc
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from maskrcnn_benchmark.data.coco_json.cache import read_through_cache
from maskrcnn_benchmark.data.coco_json.chunks import read_chunks
from maskrcnn_benchmark.data.coco_json.coco_file import CocoFile, judge_content
from maskrcnn_benchmark.data.coco_json.problems import refuse
from maskrcnn_benchmark.data.coco_json.read import read_content


def read_coco(ann_file: str | Path, pixel_offset: float) -> CocoFile:
    """Read and validate an annotation file; a large one is read from the cache the next time.

    Args:
        ann_file: path of the json.
        pixel_offset: convention of the boxes (``box_ops``), that of the model.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not in COCO format, an entry is malformed, or no instance of it can be
            learned; the message names the first errors by their ids.
    """
    path = Path(ann_file)

    def read(file: BinaryIO | None) -> CocoFile:
        with _collection_paused():
            return _read(path, pixel_offset, file)

    return read_through_cache(path, f"{float(pixel_offset)}", read)


def _read(path: Path, pixel_offset: float, file: BinaryIO | None) -> CocoFile:
    """Read and validate a file without the cache; ``file`` is that of ``PackedRecords``."""
    made = read_chunks(path, pixel_offset, file) if path.is_file() else None
    if made is None:
        if file is not None:
            file.seek(0)
            file.truncate()
        made = judge_content(read_content(path), pixel_offset, file)
    refuse(path, made.problems)
    return made


@contextlib.contextmanager
def _collection_paused() -> Iterator[None]:
    """Pause the garbage collector, which takes a third of the time and finds nothing.

    The entries of a file are millions of lists and dicts without a cycle.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
