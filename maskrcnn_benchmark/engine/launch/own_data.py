"""Custom data sets, and the number of classes inferred from the data."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from yacs.config import CfgNode

from maskrcnn_benchmark.data.classes import make_classes, make_keypoint_set
from maskrcnn_benchmark.data.fit import check_num_classes, check_num_keypoints
from maskrcnn_benchmark.structures.class_names import make_num_classes

DatasetFiles = Sequence[str | Path]  # annotation file, image folder

_NUM_KEYPOINTS = "MODEL.ROI_KEYPOINT_HEAD.NUM_CLASSES"
_SPLITS = ("TRAIN", "TEST")


def register_datasets(
    cfg: CfgNode, datasets: Mapping[str, DatasetFiles], uses: Sequence[str], given: Sequence[str]
) -> list[str]:
    """Register custom data sets (``--register NAME ANN_FILE IMG_DIR``) and assign them to splits.

    A split that is in ``given`` or already names a registered data set is left unchanged; the
    other split then gets the remaining data sets. If no split is fixed, the first data set is used
    for training and the others for testing; in a run without training, all are used for testing.

    Args:
        cfg: config, modified in place.
        datasets: annotation file and image folder of each data set, by name.
        uses: splits used by the run: ``TRAIN``, ``TEST`` or both.
        given: keys that override the config file.

    Returns:
        One log line per assigned split.

    Raises:
        ValueError: a name is invalid, or no data set is left for training.
    """
    names = list(datasets)
    for name, files in datasets.items():
        if not name or "." in name:
            raise ValueError(f"data set {name!r}: a name must not be empty or contain a dot")
        if isinstance(files, str) or len(files) != 2:
            raise ValueError(f"data set {name!r}: {files!r} is not (annotation file, image folder)")
        entry = {"ANN_FILE": str(files[0]), "IMG_DIR": str(files[1])}
        cfg.merge_from_other_cfg({"DATASETS": {"CUSTOM": {name: entry}}})
    fixed = [
        split
        for split in _SPLITS
        if f"DATASETS.{split}" in given or set(names) & set(cfg.DATASETS[split])
    ]
    # a run that skips testing must not train on the test sets either
    splits = _SPLITS if "TRAIN" in uses else ("TEST",)
    free = [split for split in splits if split not in fixed]
    rest = [name for name in names if not any(name in cfg.DATASETS[split] for split in fixed)]
    if not names or not free:
        return []
    chosen = {split: tuple(rest) for split in free}
    if len(free) == len(_SPLITS):
        chosen = {"TRAIN": tuple(rest[:1]), "TEST": tuple(rest[1:])}
    if chosen.get("TRAIN") == ():
        raise ValueError("no data set is left to train on: register another, or set DATASETS.TRAIN")
    for split, sets in chosen.items():
        setattr(cfg.DATASETS, split, sets)
    return [
        f"DATASETS.{split} is {sets}, from --register; set it explicitly to override"
        for split, sets in chosen.items()
        if split in uses
    ]


def resolve_num_classes(cfg: CfgNode, uses: Sequence[str]) -> list[str]:
    """Infer the numbers of classes and keypoints from the data, or check those that are set.

    Args:
        cfg: config, modified in place.
        uses: splits used by the run: ``TRAIN``, ``TEST`` or both.

    Returns:
        Log lines.

    Raises:
        ValueError: the data sets differ in their classes or keypoints, or a number set is wrong.
        FileNotFoundError: an annotation file is missing.
    """
    names = [name for split in uses for name in cfg.DATASETS[split]]
    wanted = make_num_classes(cfg)
    if not names or wanted is None:
        return []
    lines = _resolve_num_keypoints(cfg, names) if cfg.MODEL.KEYPOINT_ON else []
    classes = make_classes(cfg, names)
    if cfg.is_set(wanted.key):
        check_num_classes(classes.class_names, wanted, names)
        return lines
    cfg.merge_from_list([wanted.key, len(classes.class_names)])
    count = len(classes.category_ids)
    found = f"{count} {'class' if count == 1 else 'classes'}"
    return [f"{wanted.key} is {len(classes.class_names)}: {names[0]} has {found}", *lines]


def _resolve_num_keypoints(cfg: CfgNode, names: Sequence[str]) -> list[str]:
    keypoint_set = make_keypoint_set(cfg, names)
    if keypoint_set is None:  # a test set without annotations; training refuses it
        return []
    head, count = cfg.MODEL.ROI_KEYPOINT_HEAD, len(keypoint_set.keypoint_names)
    if cfg.is_set(_NUM_KEYPOINTS):
        check_num_keypoints(keypoint_set, head.NUM_CLASSES, names)
        return []
    head.NUM_CLASSES = count
    return [f"{_NUM_KEYPOINTS} is {count}: {', '.join(keypoint_set.keypoint_names)}"]
