"""Read the classes of the data sets of a run before anything is built."""

from collections.abc import Sequence

from yacs.config import CfgNode

from maskrcnn_benchmark.data.build import make_dataset_entry
from maskrcnn_benchmark.structures.class_names import Classes


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
