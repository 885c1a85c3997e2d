"""The background's name, and comparing the classes of a checkpoint with those of the data."""

from collections.abc import Sequence

BACKGROUND = "__background__"  # the name of label 0
_SHOWN = 20  # classes listed in a message


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
