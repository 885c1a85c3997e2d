"""Reading of COCO annotation files; what is wrong in one is told at once."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

from pycocotools.coco import COCO

from maskrcnn_benchmark.data.datasets.coco_problems import format_problems

_SHOWN_PROBLEMS = 10


def read_coco(ann_file: str | Path) -> COCO:
    """Read and check an annotation file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not in COCO's format, or holds malformed images or annotations; the
            message names the first of them by their ids.
    """
    path = Path(ann_file)
    content = parse_coco(path)
    problems = [problem.text for problem in format_problems(content)]
    if problems:
        shown = problems[:_SHOWN_PROBLEMS]
        rest = len(problems) - len(shown)
        shown += [f"and {rest} more"] if rest else []
        raise ValueError(f"annotation file {path}:\n  " + "\n  ".join(shown))
    coco = COCO()
    coco.dataset = content
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints
        coco.createIndex()
    return coco


def parse_coco(ann_file: str | Path) -> dict[str, Any]:
    """Return a file's content, unchecked but for its lists of images, categories, annotations.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not JSON, or has not these lists; annotations may be left out.
    """
    path = Path(ann_file)
    if not path.is_file():
        raise FileNotFoundError(f"annotation file {path} does not exist")
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"annotation file {path} is not JSON: {error}") from error
    if isinstance(content, dict):
        content.setdefault("annotations", [])  # test sets have none
    for key in ("images", "categories", "annotations"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise ValueError(f"annotation file {path} is not in COCO format: no list {key!r}")
    return content
