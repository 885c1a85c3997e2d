"""What may be wrong with a COCO file, told by ids."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, NamedTuple

from maskrcnn_benchmark.data.coco_json.values import is_id, shown

Entry = dict[str, Any]
Severity = Literal["error", "warning"]

_SHOWN_PROBLEMS = 3


class Problem(NamedTuple):
    """One thing that is wrong.

    Attributes:
        kind: a few words that many problems share, to count them by.
        text: the whole sentence, which names the image or annotation.
        image_id: id of the image that it is about, if any.
        annotation_id: id of the annotation that it is about, if any and if it is a number or text.
        number: place of that annotation in the file, from 1.
        severity: with an error the file is refused; what has a warning may be intended.
    """

    kind: str
    text: str
    image_id: Any = None
    annotation_id: Any = None
    number: int | None = None
    severity: Severity = "error"


def of_annotation(
    entry: Entry, number: int, kind: str, text: str, severity: Severity = "error"
) -> Problem:
    """Return a problem of an annotation, whose text begins with its id, or else its place."""
    own_id = entry.get("id")
    known = is_id(own_id)
    name = f"annotation id {shown(own_id)}" if known else f"annotation number {number}"
    image_id = entry.get("image_id")
    return Problem(
        kind,
        f"{name}: {text}",
        image_id if is_id(image_id) else None,
        own_id if known else None,
        number,
        severity,
    )


def refuse(ann_file: str | Path, problems: Iterable[Problem]) -> None:
    """Raise an error in one line of the first problems, if there are any.

    Raises:
        ValueError: there are.
    """
    texts = [problem.text for problem in problems if problem.severity == "error"]
    if texts:
        listed = texts[:_SHOWN_PROBLEMS]
        rest = len(texts) - len(listed)
        listed += [f"and {rest} more, which `msrcnn inspect` lists"] if rest else []
        raise ValueError(f"annotation file {ann_file}: " + "; ".join(listed))
