"""Validation of keypoints: the names and limbs of a category, the points of an annotation."""

from collections.abc import Mapping, Sequence
from typing import Any

from maskrcnn_benchmark.data.coco_json.values import are_numbers, is_text, shown
from maskrcnn_benchmark.structures.keypoints import KeypointSet

MIN_KEYPOINTS = 10  # annotated keypoints of a training image, as upstream
_MAX_COORDINATE = 1e7  # pixels; beyond it float32 cannot represent half a pixel


class MalformedKeypointsError(ValueError):
    """Raised for malformed keypoints; the message is one line that says what is wrong."""


def read_keypoint_set(category: Mapping[str, Any]) -> KeypointSet | None:
    """Return the keypoints that a category declares; None if it has none.

    ``keypoints`` is a list of names, ``skeleton`` (optional) a list of pairs counted from 1.

    Raises:
        MalformedKeypointsError: they are malformed.
    """
    names, limbs = category.get("keypoints") or [], category.get("skeleton") or []
    if not isinstance(names, list) or not all(type(n) is str and is_text(n) for n in names):
        raise MalformedKeypointsError(f"keypoints {shown(names)} is not a list of names")
    if len(set(names)) < len(names):
        raise MalformedKeypointsError(f"keypoints {shown(names)} has a name twice")
    ends = range(1, len(names) + 1)
    if not isinstance(limbs, list) or not all(_is_limb(limb, ends) for limb in limbs):
        raise MalformedKeypointsError(
            f"skeleton {shown(limbs)} is not a list of pairs of numbers from 1 to {len(names)}"
        )
    return KeypointSet(names, [[a - 1, b - 1] for a, b in limbs]) if names else None


def _is_limb(limb: Any, ends: range) -> bool:
    is_pair = isinstance(limb, list) and len(limb) == 2
    return is_pair and all(type(end) is int and end in ends for end in limb)


def read_keypoints(values: Any, count: int) -> list[float]:
    """Return the keypoints ``x, y, v`` of an annotation, ``3 * count`` numbers; 0 if missing.

    Raises:
        MalformedKeypointsError: they are malformed.
    """
    if values is None or values == []:
        return [0.0] * (3 * count)
    if not are_numbers(values) or len(values) != 3 * count:
        raise MalformedKeypointsError(
            f"keypoints {shown(values)} is not {3 * count} finite numbers, as its category has "
            f"{count} keypoints of x, y, v"
        )
    if not set(values[2::3]) <= {0, 1, 2}:
        raise MalformedKeypointsError(
            f"keypoints {shown(values)} has a visibility that is not 0, 1 or 2"
        )
    if max(map(abs, values)) > _MAX_COORDINATE:
        raise MalformedKeypointsError(f"keypoints {shown(values)} is not in pixels of an image")
    return values


def count_annotated(keypoints: Sequence[float]) -> int:
    """Return how many keypoints are annotated (v > 0)."""
    return sum(v > 0 for v in keypoints[2::3])


def has_valid_annotation(
    annotations: Sequence[Mapping[str, Any]], min_keypoints: int = MIN_KEYPOINTS
) -> bool:
    """Return whether an image stays in the training set of a keypoint model.

    Some box must be more than a pixel wide and high, and, if there are keypoints, at least
    ``min_keypoints`` of them must be annotated. Crowds count too, as upstream.

    Args:
        annotations: those of the image, with ``bbox`` and, of categories with keypoints,
            ``keypoints``.
        min_keypoints: over all annotations.
    """
    if not any(min(annotation["bbox"][2:]) > 1 for annotation in annotations):
        return False
    keypoints = [a["keypoints"] for a in annotations if "keypoints" in a]
    return not keypoints or sum(map(count_annotated, keypoints)) >= min_keypoints
