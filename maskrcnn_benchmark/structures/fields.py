"""Names of the fields of a ``BoxList``, and the table of the scores of a detection."""

from typing import NamedTuple

LABELS = "labels"  # int64 [N]: class of a ground truth or of a detection, 0 is background
SCORES = "scores"  # float [N]: class score of a detection
OBJECTNESS = "objectness"  # float [N]: RPN score of a proposal, after the sigmoid
DIFFICULT = "difficult"  # bool [N]: VOC's mark of a ground truth that need not be found
MASKS = "masks"  # SegmentationMask of N instances: ground truth
MASK = "mask"  # float [N, 1, M, M]: predicted mask probabilities in the frame of the box
RLES = "rles"  # RleMasks of N predicted masks, pasted into the image
MASK_IOUS = "mask_ious"  # float [N]: predicted IoU of the mask with the instance, not clamped
MASK_SCORES = "mask_scores"  # float [N]: scores * mask_ious


class ScoreKind(NamedTuple):
    """What a score of a detection is called in each place.

    Attributes:
        field: the field of a ``BoxList`` and the attribute of a ``Prediction``.
        key: in json files, on the command line, and as a ``score_key``.
        word: in front of the value in a drawn label; "" for a score that is not drawn.
    """

    field: str
    key: str
    word: str


CLASS_SCORE = ScoreKind(SCORES, "score", "cls")
MASK_IOU = ScoreKind(MASK_IOUS, "mask_iou", "mask")
MASK_SCORE = ScoreKind(MASK_SCORES, "mask_score", "")

# by key; a model without a MaskIoU head predicts the first only
SCORE_KINDS = {kind.key: kind for kind in (CLASS_SCORE, MASK_IOU, MASK_SCORE)}
