"""Whether data and model fit: numbers of classes and keypoints, and masks."""

from collections.abc import Sequence

from maskrcnn_benchmark.data.datasets import ConcatDataset
from maskrcnn_benchmark.data.datasets.annotated_images import AnnotatedImages
from maskrcnn_benchmark.structures.class_names import NumClasses
from maskrcnn_benchmark.structures.keypoints import KeypointSet


def check_fit(
    dataset: AnnotatedImages | ConcatDataset,
    names: Sequence[str],
    *,
    classes: NumClasses | None,
    masks: bool,
    keypoints: int | None,
) -> None:
    """Refuse to train a model on data that it cannot learn from.

    Args:
        dataset: the training set.
        names: names of its parts, for the message.
        classes: number of classes of the model; None for an RPN-only model.
        masks: whether the model predicts masks.
        keypoints: number of keypoints that the model predicts; None without a keypoint head.
    """
    # a data set may have a subset of the model's classes
    if classes is not None and len(dataset.class_names) > classes.number:
        check_num_classes(dataset.class_names, classes, names)
    if masks and not dataset.has_masks:
        raise ValueError(f"{', '.join(names)} has no masks: set MODEL.MASK_ON False")
    if keypoints is not None:
        check_num_keypoints(dataset.keypoint_set, keypoints, names)


def check_num_classes(
    class_names: Sequence[str], classes: NumClasses, names: Sequence[str]
) -> None:
    """Raise an error if model and data differ in their number of classes.

    Args:
        class_names: names of the data's classes, background included.
        classes: number of classes of the model.
        names: names of the data sets, for the message.

    Raises:
        ValueError: they differ.
    """
    if len(class_names) != classes.number:
        raise ValueError(
            f"{', '.join(names)} has {len(class_names) - 1} classes: "
            f"{classes.key} must be {len(class_names)} (the background counts), "
            f"not {classes.number}; if it is unset, the tools infer it from the data"
        )


def check_num_keypoints(
    keypoint_set: KeypointSet | None, num_keypoints: int, names: Sequence[str]
) -> None:
    """Raise an error if model and data differ in their number of keypoints.

    Args:
        keypoint_set: the keypoints of the data, if any.
        num_keypoints: number of keypoints of the model.
        names: names of the data sets, for the message.

    Raises:
        ValueError: they differ.
    """
    if keypoint_set is None:
        raise ValueError(
            f"{', '.join(names)} has no keypoints that its categories agree on: set "
            "MODEL.KEYPOINT_ON False"
        )
    count = len(keypoint_set.keypoint_names)
    if count != num_keypoints:
        raise ValueError(
            f"{', '.join(names)} has {count} keypoints: MODEL.ROI_KEYPOINT_HEAD.NUM_CLASSES must "
            f"be {count}, not {num_keypoints}; if it is unset, the tools infer it from the data"
        )
