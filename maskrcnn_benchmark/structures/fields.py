"""Names of the fields that a ``BoxList`` carries between the parts of the product."""

LABELS = "labels"  # int64 [N]: class of a ground truth or of a detection, 0 is background
SCORES = "scores"  # float [N]: class score of a detection
OBJECTNESS = "objectness"  # float [N]: RPN score of a proposal, after the sigmoid
DIFFICULT = "difficult"  # bool [N]: VOC's mark of a ground truth that need not be found
MASKS = "masks"  # SegmentationMask of N instances: ground truth
MASK = "mask"  # float [N, 1, M, M]: predicted mask probabilities in the frame of the box
RLES = "rles"  # RleMasks of N predicted masks, pasted into the image
MASK_IOUS = "mask_ious"  # float [N]: predicted IoU of the mask with the instance, not clamped
MASK_SCORES = "mask_scores"  # float [N]: scores * mask_ious
