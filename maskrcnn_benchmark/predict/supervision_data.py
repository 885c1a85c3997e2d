"""Detections as ``Detections`` of the supervision package."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskrcnn_benchmark.structures import fields
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.fields import CLASS_SCORE, SCORE_KINDS
from maskrcnn_benchmark.utils.user_error import MissingPackageError


def to_detections(
    detections: BoxList,
    *,
    edges: NDArray[np.float64],
    masks: NDArray[np.bool_] | None,
    names: Sequence[str],
) -> Any:
    """Return ``supervision.Detections``.

    Args:
        detections: N detections.
        edges: the edges of their boxes, ``[N, 4]``.
        masks: bool ``[N, H, W]``; None: there are no masks.
        names: their class names.

    Raises:
        MissingPackageError: supervision is not installed.
    """
    try:
        import supervision
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            "to_supervision needs the supervision package: pip install supervision"
        ) from error
    data: dict[str, Any] = {"class_name": np.array(names, dtype=np.str_)}
    for kind in SCORE_KINDS.values():
        if detections.has_field(kind.field) and kind != CLASS_SCORE:
            data[kind.key] = detections.get_field(kind.field).numpy()
    if detections.has_field(fields.KEYPOINTS):
        data[fields.KEYPOINTS] = detections.get_field(fields.KEYPOINTS).keypoints.numpy()
    return supervision.Detections(
        xyxy=edges.astype(np.float32),
        mask=masks,
        confidence=detections.get_field(fields.SCORES).numpy(),
        class_id=detections.get_field(fields.LABELS).numpy() - 1,
        data=data,
    )
