"""Names of the fields of a ``BoxList``, and the kinds of scores of a detection."""

from typing import NamedTuple

LABELS = "labels"  # int64 [N]: class of a ground truth or a detection; 0 is background
SCORES = "scores"  # float [N]: class score of a detection
OBJECTNESS = "objectness"  # float [N]: RPN score of a proposal, after the sigmoid
DIFFICULT = "difficult"  # bool [N]: VOC's flag of objects that the evaluation ignores
MASKS = "masks"  # SegmentationMask of N ground-truth instances
# Keypoints of N instances, annotated or predicted; predicted ones have the field LOGITS and v = 1
KEYPOINTS = "keypoints"
LOGITS = "logits"  # float [N, K], a field of predicted Keypoints: the heat map at each keypoint
MASK = "mask"  # float [N, 1, M, M]: predicted mask probabilities inside the box
RLES = "rles"  # RleMasks: N predicted masks pasted into the image
MASK_IOUS = "mask_ious"  # float [N]: predicted IoU of mask and instance, not clamped
MASK_SCORES = "mask_scores"  # float [N]: scores * mask_ious


class ScoreKind(NamedTuple):
    """The names of one kind of detection score.

    Attributes:
        field: field of a ``BoxList`` and attribute of a ``Prediction``.
        key: name in JSON files, on the command line, and as a ``score_key``.
        word: prefix of the value in a drawn label; "" for a score that is not drawn.
    """

    field: str
    key: str
    word: str


CLASS_SCORE = ScoreKind(SCORES, "score", "cls")
MASK_IOU = ScoreKind(MASK_IOUS, "mask_iou", "mask")
MASK_SCORE = ScoreKind(MASK_SCORES, "mask_score", "")

# by key; a model without a MaskIoU head predicts only the first
SCORE_KINDS = {kind.key: kind for kind in (CLASS_SCORE, MASK_IOU, MASK_SCORE)}
