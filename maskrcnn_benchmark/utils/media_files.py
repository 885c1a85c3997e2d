"""Which images and videos a command is to read, and where what it makes of them goes."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

IMAGE_ENDINGS = frozenset(
    (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
)
VIDEO_ENDINGS = frozenset((".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm"))


def is_video(path: Path) -> bool:
    """Tell by its ending whether a file is a video."""
    return path.suffix.lower() in VIDEO_ENDINGS


def find_media(inputs: Sequence[str], *, outside: Path) -> list[Path]:
    """Return the images and videos that a user means, each once, sorted within each input.

    Args:
        inputs: files of any ending, folders (searched with all that is below them) and glob
            patterns.
        outside: files in this folder are left out of folders and patterns, so that what a command
            wrote before is not its input.

    Raises:
        FileNotFoundError: an input is not there, or there is no image or video in it.
    """
    found = [path for name in inputs for path in _expanded(name, outside.resolve())]
    return list({os.path.abspath(path): path for path in found}.values())  # noqa: PTH100 "a/../b"


def _expanded(name: str, outside: Path) -> list[Path]:
    path = Path(name)
    if path.is_file():
        return [path]
    if path.is_dir():
        candidates: Iterable[Path] = path.rglob("*")
    elif glob.has_magic(name):
        candidates = map(Path, glob.glob(name, recursive=True))  # noqa: PTH207 it may be absolute
    else:
        raise FileNotFoundError(f"{name} does not exist")
    endings = IMAGE_ENDINGS | VIDEO_ENDINGS
    files = [
        candidate
        for candidate in sorted(candidates)
        if candidate.suffix.lower() in endings
        and candidate.is_file()
        and not candidate.resolve().is_relative_to(outside)
    ]
    if not files:
        raise FileNotFoundError(f"{name} holds no image or video ({' '.join(sorted(endings))})")
    return files


def common_folder(files: Sequence[Path]) -> Path:
    """Return the deepest folder that holds all files, absolute."""
    return Path(os.path.commonpath([path.absolute().parent for path in files]))


def output_paths(files: Sequence[Path], folder: Path) -> list[Path]:
    """Return where the picture (``.png``) or video (``.mp4``) of each file goes.

    Below ``folder`` the outputs lie as the files do below their common folder. They are named by
    the stem; where two would meet, by the whole name (``a.jpg.png`` and ``a.tif.png``).

    Raises:
        ValueError: an output would overwrite an input.
    """
    root = common_folder(files)
    places = [path.absolute().relative_to(root) for path in files]
    endings = [".mp4" if is_video(path) else ".png" for path in files]
    whole = [False] * len(files)
    while True:
        named = [
            place.with_name((place.name if keep else place.stem) + ending)
            for place, ending, keep in zip(places, endings, whole, strict=True)
        ]
        # some disks do not tell upper from lower case
        count = Counter(str(name).casefold() for name in named)
        meets = [count[str(name).casefold()] > 1 for name in named]
        if not any(meet and not keep for meet, keep in zip(meets, whole, strict=True)):
            break
        whole = [keep or meet for meet, keep in zip(meets, whole, strict=True)]
    outputs = [folder / name for name in named]
    inputs = {path.resolve() for path in files}
    for path in outputs:
        if path.resolve() in inputs:
            raise ValueError(f"{path} is an input and would be overwritten: choose another folder")
    return outputs
