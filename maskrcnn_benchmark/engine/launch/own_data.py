"""Data sets of the user's own, and the classes that follow from the data."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from yacs.config import CfgNode

from maskrcnn_benchmark.data.build import check_num_classes
from maskrcnn_benchmark.data.classes import make_classes

DatasetFiles = Sequence[str | Path]  # annotation file, folder of the images

_NUM_CLASSES = "MODEL.ROI_BOX_HEAD.NUM_CLASSES"
_SPLITS = ("TRAIN", "TEST")


def register_datasets(
    cfg: CfgNode, datasets: Mapping[str, DatasetFiles], uses: Sequence[str], given: Sequence[str]
) -> list[str]:
    """Add data sets (``--register NAME ANN_FILE IMG_DIR``) to the config, and use them.

    A split that names a registered set, or is among ``given``, stays. Without such a split the
    first set is trained on and the others are tested on, or all are tested on where nothing is
    trained; with it the other split gets the sets that it does not name.

    Args:
        cfg: changed in place.
        datasets: annotation file and image folder of each set, by name.
        uses: the splits that the run uses, of ``TRAIN`` and ``TEST``.
        given: keys that the user sets beside the config file.

    Returns:
        What to tell the user, a line each.

    Raises:
        ValueError: a name cannot be one, or nothing is left to train on.
    """
    names = list(datasets)
    for name, files in datasets.items():
        if not name or "." in name:
            raise ValueError(f"data set {name!r}: a name must not be empty or hold a dot")
        if isinstance(files, str) or len(files) != 2:
            raise ValueError(
                f"data set {name!r}: {files!r} is not (annotation file, folder of the images)"
            )
        entry = {"ANN_FILE": str(files[0]), "IMG_DIR": str(files[1])}
        cfg.merge_from_other_cfg({"DATASETS": {"CUSTOM": {name: entry}}})
    fixed = [
        split
        for split in _SPLITS
        if f"DATASETS.{split}" in given or set(names) & set(cfg.DATASETS[split])
    ]
    # a training that is not tested must not learn from the sets that it would be tested on
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
        f"DATASETS.{split} is {sets}, out of --register; set it to choose otherwise"
        for split, sets in chosen.items()
        if split in uses
    ]


def resolve_num_classes(cfg: CfgNode, uses: Sequence[str]) -> list[str]:
    """Set the number of classes by the data, or check it if the user set it.

    Args:
        cfg: changed in place.
        uses: the splits that the run uses, of ``TRAIN`` and ``TEST``.

    Returns:
        What to tell the user, a line each.

    Raises:
        ValueError: the data sets have other classes, or the user set another number.
        FileNotFoundError: an annotation file is missing.
    """
    names = [name for split in uses for name in cfg.DATASETS[split]]
    if not names or cfg.MODEL.RPN_ONLY:
        return []
    classes = make_classes(cfg, names)
    head = cfg.MODEL.ROI_BOX_HEAD
    if cfg.is_set(_NUM_CLASSES):
        check_num_classes(classes.class_names, head.NUM_CLASSES, names)
        return []
    head.NUM_CLASSES = len(classes.class_names)
    count = len(classes.category_ids)
    found = f"{count} {'class' if count == 1 else 'classes'}"
    return [f"{_NUM_CLASSES} is {head.NUM_CLASSES}: {names[0]} has {found}"]
