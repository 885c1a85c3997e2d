"""Read the classes of the data sets of a run before anything is built."""

from collections.abc import Sequence
from typing import Any

from yacs.config import CfgNode

from maskrcnn_benchmark.data.build import make_dataset_entry
from maskrcnn_benchmark.structures.class_names import Classes
from maskrcnn_benchmark.structures.keypoints import KeypointSet


def make_classes(cfg: CfgNode, names: Sequence[str]) -> Classes:
    """Return the classes that the named data sets share, reading only their categories.

    The category ids are those of the first data set; the ids of the others may differ as long as
    the names agree.

    Raises:
        ValueError: no name is given, one is unknown, an annotation file is malformed, or the
            classes differ.
        FileNotFoundError: a data set is missing at the path that the catalog gives.
    """
    if not names:
        raise ValueError("no data set is named: set DATASETS.TRAIN or DATASETS.TEST, or --register")
    made = []
    for name in names:
        dataset, args = make_dataset_entry(cfg, name)
        try:
            made.append(dataset.read_classes(**args))
        except FileNotFoundError as error:
            raise FileNotFoundError(f"data set {name!r}: {error}") from error
    for name, classes in zip(names, made, strict=True):
        if classes.class_names != made[0].class_names:
            raise ValueError(
                f"data sets {names[0]!r} and {name!r} differ in their classes, or in the order of "
                f"them: {made[0].class_names[1:]} and {classes.class_names[1:]}"
            )
    return made[0]


def make_keypoint_set(cfg: CfgNode, names: Sequence[str]) -> KeypointSet | None:
    """Return the keypoints of the named data sets, reading only their categories; None without any.

    Raises:
        ValueError: a name is unknown, an annotation file is malformed, or the keypoints differ.
        FileNotFoundError: a data set is missing at the path that the catalog gives.
    """
    found: dict[str, KeypointSet] = {}
    for name in names:
        dataset, args = make_dataset_entry(cfg, name)
        keypoint_set = dataset.read_keypoint_set(**args)
        if keypoint_set is not None:
            found[name] = keypoint_set
    first = next(iter(found), "")
    for name, keypoint_set in found.items():
        if keypoint_set.keypoint_names != found[first].keypoint_names:
            raise ValueError(
                f"data sets {first!r} and {name!r} differ in their keypoints, or in the order of "
                f"them: {found[first].keypoint_names} and {keypoint_set.keypoint_names}"
            )
    return found.get(first)


def make_metadata(cfg: CfgNode, names: Sequence[str]) -> dict[str, Any]:
    """Return what a checkpoint stores of the data: classes and, with a keypoint head, keypoints.

    Raises:
        ValueError, FileNotFoundError: see ``make_classes`` and ``make_keypoint_set``.
    """
    metadata: dict[str, Any] = make_classes(cfg, names)._asdict()
    keypoint_set = make_keypoint_set(cfg, names) if cfg.MODEL.KEYPOINT_ON else None
    return metadata if keypoint_set is None else metadata | keypoint_set._asdict()
