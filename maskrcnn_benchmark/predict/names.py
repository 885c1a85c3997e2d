"""Names of labels and keypoints, also for weights that do not store them."""

from yacs.config import CfgNode

from maskrcnn_benchmark.structures.class_names import BACKGROUND, COCO_CLASSES, Classes
from maskrcnn_benchmark.structures.keypoints import COCO_PERSON, NO_KEYPOINTS, KeypointSet


def make_model_keypoints(cfg: CfgNode, given: KeypointSet | None) -> KeypointSet:
    """Return the keypoints of the model, see ``Predictor.from_cfg``.

    Raises:
        ValueError: their number is not that of the model.
    """
    if not cfg.MODEL.KEYPOINT_ON:
        return NO_KEYPOINTS
    count = cfg.MODEL.ROI_KEYPOINT_HEAD.NUM_CLASSES
    if given is None and count == len(COCO_PERSON.keypoint_names):
        return COCO_PERSON
    if given is None:
        return KeypointSet([f"keypoint {number}" for number in range(1, count + 1)], [])
    if len(given.keypoint_names) != count:
        raise ValueError(
            f"{len(given.keypoint_names)} keypoint names for a model of {count} keypoints: "
            f"{given.keypoint_names}"
        )
    return given


def complete_classes(given: Classes | None, count: int) -> Classes:
    """Return the classes of ``count`` labels, including the background."""
    if given is None:
        is_coco = count == len(COCO_CLASSES.class_names)
        given = COCO_CLASSES if is_coco else Classes([BACKGROUND], [])
    names, ids = given
    if len(names) > count:
        raise ValueError(f"{len(names) - 1} class names for a model of {count - 1}: {names[1:]}")
    names = [*names, *(f"class {label}" for label in range(len(names), count))]
    return Classes(names, list(ids) if len(ids) == count - 1 else list(range(1, count)))
