"""Problems of a COCO file, reported by image and annotation id."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, NamedTuple

from maskrcnn_benchmark.data.coco_json.values import is_id, shown

Entry = dict[str, Any]
Severity = Literal["error", "warning"]

_SHOWN_PROBLEMS = 3


class Problem(NamedTuple):
    """A problem found in an annotation file.

    Attributes:
        kind: short name, shared by problems of one kind, by which they are counted.
        text: the full message, which names the image or annotation.
        image_id: id of the image concerned, if any.
        annotation_id: id of the annotation concerned, if any and if it is a number or a string.
        number: position of that annotation in the file, from 1.
        severity: a file with an error is refused; a warning may be intended.
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
    """Return a problem whose text begins with the annotation's id, or else its position."""
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
    """Raise one error that lists the first problems, if any of them is an error.

    Raises:
        ValueError: there is an error among them.
    """
    texts = [problem.text for problem in problems if problem.severity == "error"]
    if texts:
        listed = texts[:_SHOWN_PROBLEMS]
        rest = len(texts) - len(listed)
        listed += [f"and {rest} more, which `msrcnn inspect` lists"] if rest else []
        raise ValueError(f"annotation file {ann_file}: " + "; ".join(listed))
