"""COCO's 80 classes, for weights that do not say what they detect."""

from maskrcnn_benchmark.data.datasets.classes import BACKGROUND, Classes
from maskrcnn_benchmark.utils.coco_names import COCO_CATEGORY_IDS, COCO_NAMES

COCO_CLASSES = Classes([BACKGROUND, *COCO_NAMES], list(COCO_CATEGORY_IDS))
