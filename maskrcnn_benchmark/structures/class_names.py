"""Names of classes: those of a data set, COCO's, and how two lists of them differ."""

from collections.abc import Sequence
from typing import NamedTuple

BACKGROUND = "__background__"  # the name of label 0
_SHOWN = 20  # classes listed in a message

_NAMES = """
person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire
hydrant, stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear,
zebra, giraffe, backpack, umbrella, handbag, tie, suitcase, frisbee, skis, snowboard, sports
ball, kite, baseball bat, baseball glove, skateboard, surfboard, tennis racket, bottle, wine
glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange, broccoli, carrot, hot
dog, pizza, donut, cake, chair, couch, potted plant, bed, dining table, toilet, tv, laptop,
mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, book, clock,
vase, scissors, teddy bear, hair drier, toothbrush
"""

_LEFT_OUT = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}  # ids without a class

COCO_NAMES = [name.strip() for name in _NAMES.replace("\n", " ").split(",")]
COCO_CATEGORY_IDS = [i for i in range(1, 91) if i not in _LEFT_OUT]


class Classes(NamedTuple):
    """The classes of a data set in the order of their labels.

    Attributes:
        class_names: name of each label; 0 is ``__background__``.
        category_ids: id in the annotation file of each label from 1 on.
    """

    class_names: list[str]
    category_ids: list[int]


# for weights that do not say what they detect
COCO_CLASSES = Classes([BACKGROUND, *COCO_NAMES], list(COCO_CATEGORY_IDS))


def difference_of_classes(theirs: Sequence[str] | None, ours: Sequence[str] | None) -> str:
    """Describe how two lists of classes differ; "" if they agree or one is unknown.

    Args:
        theirs: the name of each label in a checkpoint, including the background.
        ours: the name of each label in the data.
    """
    if not theirs or not ours or list(theirs) == list(ours):
        return ""
    differing = [f"{a} and {b}" for a, b in zip(theirs, ours, strict=False) if a != b]
    hint = f"; the first to differ are {differing[0]}" if differing else ""
    return f"it is of {_listed(theirs)}, the data of {_listed(ours)}{hint}"


def _listed(class_names: Sequence[str]) -> str:
    """Return ``"3 classes (cat, dog, cow)"``, cut after the first few; 0 is the background."""
    names = list(class_names)[1:]
    more = ", ..." if len(names) > _SHOWN else ""
    return f"{len(names)} classes ({', '.join(names[:_SHOWN])}{more})"
