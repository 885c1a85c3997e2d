"""Class names of data sets and of COCO, and their comparison."""

from collections.abc import Sequence
from typing import NamedTuple

from yacs.config import CfgNode

BACKGROUND = "__background__"  # name of label 0
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

_LEFT_OUT = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}  # unused category ids

COCO_NAMES = [name.strip() for name in _NAMES.replace("\n", " ").split(",")]
COCO_CATEGORY_IDS = [i for i in range(1, 91) if i not in _LEFT_OUT]


class Classes(NamedTuple):
    """The classes of a data set in the order of their labels.

    Attributes:
        class_names: name of each label; label 0 is ``__background__``.
        category_ids: category id in the annotation file of each label from 1 on.
    """

    class_names: list[str]
    category_ids: list[int]


# for weights that do not store their class names
COCO_CLASSES = Classes([BACKGROUND, *COCO_NAMES], list(COCO_CATEGORY_IDS))


class NumClasses(NamedTuple):
    """The number of classes of a model.

    Attributes:
        key: the config key that sets it.
        number: its value, background included.
    """

    key: str
    number: int


def make_num_classes(cfg: CfgNode) -> NumClasses | None:
    """Return the number of classes of a model; None for an RPN alone, which detects no classes."""
    if cfg.MODEL.RETINANET_ON:
        return NumClasses("MODEL.RETINANET.NUM_CLASSES", cfg.MODEL.RETINANET.NUM_CLASSES)
    if cfg.MODEL.RPN_ONLY:
        return None
    return NumClasses("MODEL.ROI_BOX_HEAD.NUM_CLASSES", cfg.MODEL.ROI_BOX_HEAD.NUM_CLASSES)


def difference_of_classes(theirs: Sequence[str] | None, ours: Sequence[str] | None) -> str:
    """Describe how two lists of class names differ; "" if they agree or one is unknown.

    Args:
        theirs: name of each label in a checkpoint, background included.
        ours: name of each label in the data.
    """
    if not theirs or not ours or list(theirs) == list(ours):
        return ""
    differing = [f"{a} and {b}" for a, b in zip(theirs, ours, strict=False) if a != b]
    hint = f"; the first difference is {differing[0]}" if differing else ""
    return f"it has {_listed(theirs)}, the data has {_listed(ours)}{hint}"


def _listed(class_names: Sequence[str]) -> str:
    """Return ``"3 classes (cat, dog, cow)"``, truncated if long; 0 is the background."""
    names = list(class_names)[1:]
    more = ", ..." if len(names) > _SHOWN else ""
    return f"{len(names)} classes ({', '.join(names[:_SHOWN])}{more})"
