"""The class names of a data set."""

from typing import NamedTuple

from maskrcnn_benchmark.utils.class_names import BACKGROUND

__all__ = ["BACKGROUND", "Classes"]


class Classes(NamedTuple):
    """The classes of a data set in the order of their labels.

    Attributes:
        class_names: name of each label; 0 is ``__background__``.
        category_ids: id in the annotation file of each label from 1 on.
    """

    class_names: list[str]
    category_ids: list[int]
