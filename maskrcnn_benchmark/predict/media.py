"""Search for input images and videos, and choice of the output paths."""

import glob
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NoReturn

from PIL import Image

from maskrcnn_benchmark.utils.file_names import fitted_name

# formats that Pillow lists but cannot decode
_NO_PICTURES = frozenset(("BUFR", "GRIB", "HDF5", "MPEG", "WMF"))
# a selection of the formats that FFmpeg reads
VIDEO_ENDINGS = frozenset(
    (
        *(".3g2", ".3gp", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".m1v", ".m2ts"),
        *(".m2v", ".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4", ".mpe", ".mpeg", ".mpg"),
        *(".mts", ".mxf", ".nut", ".ogm", ".ogv", ".qt", ".rm", ".rmvb", ".ts", ".vob"),
        *(".webm", ".wmv", ".y4m"),
    )
)


@cache
def image_endings() -> frozenset[str]:
    """Return the suffixes of the image files that Pillow reads, in lower case."""
    registered = Image.registered_extensions()
    readable = Image.OPEN.keys() - _NO_PICTURES
    return frozenset(ending for ending, name in registered.items() if name in readable)


def is_video(path: Path) -> bool:
    """Return whether a file is a video, by its suffix."""
    return path.suffix.lower() in VIDEO_ENDINGS


@dataclass
class Media:
    """The images and videos that a user specified.

    Attributes:
        files: files without duplicates, sorted within each input.
        searched: folders that were searched: absolute, with links resolved.
        left_out: suffix -> number of files in these folders that are neither image nor video.
    """

    files: list[Path] = field(default_factory=list)
    searched: list[Path] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    def notice(self) -> str:
        """Return a one-line note on the skipped files; "" if there are none."""
        if not self.left_out:
            return ""
        return f"skipped, neither image nor video by their suffix: {_listed(self.left_out)}"


def find_media(inputs: Sequence[str], *, outside: Path) -> Media:
    """Find the images and videos that a user specified.

    A file given by name is accepted whatever its suffix. In folders (searched recursively,
    following links) and for glob patterns, the suffix decides.

    Args:
        inputs: files, folders and glob patterns; an existing name is not treated as a pattern.
        outside: the output folder. Files in it are skipped, so that earlier output does not become
            input, unless the searched folder itself lies in it.

    Raises:
        FileNotFoundError: an input does not exist, or contains no image or video.
    """
    media, files = Media(), []
    for name in inputs:
        path = Path(name)
        if path.is_file():
            files.append(path)
        elif path.is_dir() or glob.has_magic(name):
            files += _search(name, _real(outside), media)
        else:
            raise FileNotFoundError(f"{name} does not exist")
    media.files = list({os.path.abspath(path): path for path in files}.values())  # noqa: PTH100 "a/../b"
    return media


def _search(name: str, outside: Path, media: Media) -> list[Path]:
    """Return the images and videos of a folder or pattern; record the rest in ``media``."""
    base, found = (Path(name), [Path(name)]) if Path(name).is_dir() else _matches(name)
    media.searched.append(_real(base))
    visited: set[Path] = set()
    candidates: list[Path] = []
    for path in found:
        candidates += _files_below(path, visited) if path.is_dir() else [path]
    nothing = "no files found"
    if candidates and not _real(base).is_relative_to(outside):
        candidates = [path for path in candidates if not _real(path).is_relative_to(outside)]
        nothing = f"all its files are in the output folder {outside}"
    endings = image_endings() | VIDEO_ENDINGS
    candidates = sorted(set(candidates))
    files = [path for path in candidates if path.suffix.lower() in endings]
    rest = (path.suffix.lower() for path in candidates if path.suffix.lower() not in endings)
    others = Counter(ending or "without suffix" for ending in rest)
    if not files:
        there = f"it contains: {_listed(others)}" if others else nothing
        raise FileNotFoundError(f"{name} contains no image or video; {there}")
    media.left_out += others
    return files


def _matches(pattern: str) -> tuple[Path, list[Path]]:
    """Return the folder that a pattern searches, and the matches; existing names are literal."""
    parts = Path(pattern).parts
    base = Path()
    while (base / parts[0]).is_dir() and len(parts) > 1:
        base, parts = base / parts[0], parts[1:]
    literal = glob.escape(str(base))
    found = glob.glob(os.path.join(literal, *parts), recursive=True)  # noqa: PTH118, PTH207
    return base, [Path(name) for name in sorted(found)]


def _files_below(folder: Path, visited: set[Path]) -> Iterator[Path]:
    """Yield all files below a folder; a folder reached by several links is visited once."""

    def fail(error: OSError) -> NoReturn:
        raise error

    for name, folders, files in os.walk(folder, followlinks=True, onerror=fail):
        place = _real(Path(name))
        if place in visited:
            folders.clear()
            continue
        visited.add(place)
        folders.sort()
        yield from (Path(name) / file for file in files)


def _real(path: Path) -> Path:
    """Return the absolute path with links resolved; unlike ``resolve``, accept circular links."""
    return Path(os.path.realpath(path))


def _listed(endings: Counter[str]) -> str:
    return ", ".join(f"{count} {ending}" for ending, count in endings.most_common())


def common_folder(files: Sequence[Path]) -> Path:
    """Return the deepest folder that contains all files, as an absolute path."""
    return Path(os.path.commonpath([path.absolute().parent for path in files]))


def output_paths(
    files: Sequence[Path], folder: Path, *, searched: Iterable[Path] = ()
) -> list[Path]:
    """Return the output path of each file: a ``.png`` image or an ``.mp4`` video.

    The outputs mirror the layout of the files below their common folder. They are named after the
    stem or, if two would collide, after the full name (``a.jpg.png``, ``a.tif.png``). A name that
    is too long for the file system is truncated, and a checksum of the whole name is appended.

    Args:
        files: the inputs.
        folder: output folder.
        searched: see ``Media``.

    Raises:
        ValueError: an output would overwrite an input or become an input of the next run.
    """
    root = common_folder(files)
    places = [path.absolute().relative_to(root) for path in files]
    endings = [".mp4" if is_video(path) else ".png" for path in files]
    whole = [False] * len(files)
    while True:
        named = [
            place.with_name(fitted_name(place.name if keep else place.stem, ending))
            for place, ending, keep in zip(places, endings, whole, strict=True)
        ]
        # some file systems are not case-sensitive
        count = Counter(str(name).casefold() for name in named)
        meets = [count[str(name).casefold()] > 1 for name in named]
        if not any(meet and not keep for meet, keep in zip(meets, whole, strict=True)):
            break
        whole = [keep or meet for meet, keep in zip(meets, whole, strict=True)]
    outputs = [folder / name for name in named]
    _check_outputs(outputs, files, _real(folder), searched)
    return outputs


def _check_outputs(
    outputs: Sequence[Path], files: Sequence[Path], folder: Path, searched: Iterable[Path]
) -> None:
    inputs = {_real(path) for path in files}
    exposed = [place for place in searched if place.is_relative_to(folder)]  # see find_media
    for path in outputs:
        place = _real(path)
        if place in inputs:
            raise ValueError(f"{path} is an input and would be overwritten: choose another folder")
        if any(place.is_relative_to(other) for other in exposed):
            raise ValueError(
                f"{path} would be among the inputs of the next run: choose another output folder, "
                "not that of the input nor above it"
            )
