"""Cache of validated annotation files, by their content.

A cached file is the packed annotations, which are mapped into memory, then what else there is of a
``CocoFile`` in the format safetensors, the length of that (8 bytes), and the sha256 of all before.
"""

import contextlib
import hashlib
import json
import logging
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from maskrcnn_benchmark.data.coco_json.annotation_columns import PackedAnnotations
from maskrcnn_benchmark.data.coco_json.coco_file import CocoFile
from maskrcnn_benchmark.data.coco_json.entries import Category
from maskrcnn_benchmark.data.coco_json.learned import Learned
from maskrcnn_benchmark.data.coco_json.pack import PackedRecords, map_file
from maskrcnn_benchmark.structures.keypoints import KeypointSet
from maskrcnn_benchmark.utils.folder_lock import one_at_a_time

CACHE_VARIABLE = "MASKRCNN_ANNOTATION_CACHE"  # a folder, or "off"
MIN_SIZE = 1 << 24  # bytes of json: a smaller one is read in a second
_UNUSED = 60 * 86400  # seconds after which a cached file is deleted
_ENDING = ".annotations"
_BLOCK = 1 << 20  # bytes
_LENGTH, _DIGEST = 8, 32  # bytes at the end


def read_through_cache(
    path: Path, key: str, read: Callable[[BinaryIO | None], CocoFile]
) -> CocoFile:
    """Return an annotation file from the cache, or else read it and add it there.

    One process of a machine reads while the others wait. The cache's folder is
    ``~/.cache/maskrcnn_benchmark/annotations``, or what ``MASKRCNN_ANNOTATION_CACHE`` says. If it
    cannot be written to, there is a warning, and nothing is cached.

    Args:
        path: of the json.
        key: whatever else the result depends on.
        read: reads the file without problems; the argument is that of ``PackedRecords``.
    """
    folder = _folder()
    if folder is None or not path.is_file() or path.stat().st_size < MIN_SIZE:
        return read(None)
    target = folder / f"{_digest_of(path, key)}{_ENDING}"
    try:
        found = _load(target)
        if found is not None:
            with contextlib.suppress(PermissionError):  # a shared folder may be read-only
                target.touch()  # it is in use: see _delete_unused
            return found
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with one_at_a_time(folder):
            return _load(target) or _add(target, read)
    except OSError as error:
        _warn(folder, str(error))
        return read(None)


def _folder() -> Path | None:
    """Return the folder of the cache; None if it is switched off."""
    default = Path.home() / ".cache" / "maskrcnn_benchmark" / "annotations"
    chosen = os.environ.get(CACHE_VARIABLE) or str(default)
    return None if chosen == "off" else Path(chosen)


@cache  # once each
def _warn(folder: Path, reason: str) -> None:
    logging.getLogger(__name__).warning(
        f"annotations are not cached in {folder} ({reason}): each start reads them anew; set the "
        f"environment variable {CACHE_VARIABLE} to a folder that can be written to, or to off"
    )


def _digest_of(path: Path, key: str) -> str:
    """Return the name of a json's content, the key, and the code that reads and judges it."""
    digest = hashlib.sha256(key.encode())
    package = Path(__file__).parents[2]
    for part in ("data/coco_json", "structures"):
        for module in sorted((package / part).glob("*.py")):
            digest.update(module.read_bytes())
    _update(digest, path, path.stat().st_size)
    return digest.hexdigest()


def _update(digest: Any, path: Path, size: int) -> None:
    """Add the first ``size`` bytes of a file; they are not mapped, which would count as memory."""
    with path.open("rb") as file:
        while block := file.read(min(_BLOCK, size)):
            digest.update(block)
            size -= len(block)


def _add(target: Path, read: Callable[[BinaryIO | None], CocoFile]) -> CocoFile:
    """Read a file and cache it."""
    _delete_unused(target.parent)
    descriptor, name = tempfile.mkstemp(dir=target.parent)
    os.close(descriptor)
    draft_path = Path(name)
    with draft_path.open("wb") as draft:
        try:
            made = read(draft)
            index = save(_index(made))
            draft.write(index + len(index).to_bytes(_LENGTH, "little"))
            draft.flush()
            digest = hashlib.sha256()
            _update(digest, draft_path, draft.tell())
            draft.write(digest.digest())
            draft.flush()
            draft_path.replace(target)
        except BaseException:
            draft_path.unlink(missing_ok=True)
            raise
    size = target.stat().st_size / 2**20
    logging.getLogger(__name__).info(f"cached the validated annotations: {target}, {size:.0f} MiB")
    return made


def _delete_unused(folder: Path) -> None:
    """Delete what nobody read for two months."""
    for path in folder.glob(f"*{_ENDING}"):
        if time.time() - path.stat().st_mtime > _UNUSED:
            path.unlink(missing_ok=True)


def _index(file: CocoFile) -> dict[str, torch.Tensor]:
    """Return what a cached file holds beside the packed annotations."""
    images, image_ends = file.images.parts()
    about = {"categories": file.categories, "learned": asdict(file.learned)}
    text = np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)
    return {
        "about": torch.from_numpy(text.copy()),
        "images": images,
        "image_ends": image_ends,
        "ends": file.annotations.parts()[1],
        "rows": file.rows,
        "left_out": file.left_out,
    }


def _load(target: Path) -> CocoFile | None:
    """Return a cached file; None if there is none, or it is not what was written."""
    if not target.is_file():
        return None
    size = target.stat().st_size - _DIGEST
    digest = hashlib.sha256()
    _update(digest, target, max(size, 0))
    with target.open("rb") as file:
        file.seek(max(size - _LENGTH, 0))
        length = int.from_bytes(file.read(_LENGTH), "little")
        if size < _LENGTH or file.read() != digest.digest():
            return None
        file.seek(size - _LENGTH - length)
        try:
            index = load(file.read(length))
        except SafetensorError:
            return None
    about = json.loads(index["about"].numpy().tobytes())
    size = int(index["ends"][-1])
    content = map_file(str(target), size) if size else torch.zeros(1, dtype=torch.uint8)
    return CocoFile(
        [_category(*category) for category in about["categories"]],
        PackedRecords.from_parts(index["images"], index["image_ends"]),
        PackedAnnotations.from_parts(content, index["ends"]),
        index["rows"],
        index["left_out"],
        Learned(**about["learned"]),
        [],
    )


def _category(
    id_: Any, name: str, frequency: str | None, keypoint_set: list[Any] | None
) -> Category:
    """Return a category of what JSON makes of it."""
    own = None if keypoint_set is None else KeypointSet(*keypoint_set)
    return Category(id_, name, frequency, own)
