"""Checks of the image files against their annotation entries."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from maskrcnn_benchmark.data.coco_json.problems import Entry, Problem
from maskrcnn_benchmark.data.datasets.images import read_image
from maskrcnn_benchmark.utils.file_names import name_on_disk

_ORIENTATION = 0x0112  # EXIF tag; 1 is upright
_THREADS = 8  # reading waits for the disk, and decoding releases the GIL


def inspect_images(entries: Iterable[Entry], folder: Path) -> Iterator[Problem]:
    """Yield the problems of the image files, all of which are decoded."""
    entries = list(entries)
    users = defaultdict(list)
    for entry in entries:
        users[entry["file_name"]].append(entry["id"])
    for name, ids in users.items():
        for image_id in ids[1:]:
            text = f"image id {image_id!r}: its file {name} is also that of image id {ids[0]!r}"
            yield Problem("file used twice", text, image_id, severity="warning")
    with ThreadPoolExecutor(_THREADS) as pool:
        try:
            found = pool.map(partial(_file_problems, folder), entries)
            for problems in tqdm(found, "images", len(entries), disable=None, leave=False):
                yield from problems
        finally:
            pool.shutdown(cancel_futures=True)


def _file_problems(folder: Path, entry: Entry) -> list[Problem]:
    """Return the problems of one file, which is read the way training reads it."""
    path, image_id = folder / name_on_disk(entry["file_name"]), entry["id"]
    annotated = (entry["width"], entry["height"])
    try:
        size = read_image(path, annotated).size
    except FileNotFoundError as error:
        return [Problem("missing file", f"image id {image_id!r}: {error}", image_id)]
    except (OSError, ValueError) as error:
        return [Problem("unreadable file", f"image id {image_id!r}: {error}", image_id)]
    if size != annotated:
        text = (
            f"image id {image_id!r}: {path} is {size[0]} pixels wide and {size[1]} high, the "
            f"annotations say {annotated[0]} and {annotated[1]}"
        )
        return [Problem("size unlike the file's", text, image_id)]
    with Image.open(path) as image:
        stored, orientation = image.size, image.getexif().get(_ORIENTATION, 1)
    if stored == annotated and orientation != 1:
        text = (
            f"image id {image_id!r}: the EXIF orientation {orientation} of {path} rotates it "
            "when displayed, but the annotated size is that of the stored pixels: check that the "
            "annotations fit these"
        )
        return [Problem("EXIF orientation", text, image_id, severity="warning")]
    return []
