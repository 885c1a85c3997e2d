"""The annotations that a report compares predictions with."""

from pathlib import Path

from pycocotools.coco import COCO

from maskrcnn_benchmark.data.coco_json import read_coco
from maskrcnn_benchmark.data.coco_json.ground_truth import index_annotations
from maskrcnn_benchmark.structures.box_ops import PIXEL_OFFSET


def read_annotations(ann_file: str | Path) -> COCO:
    """Return the annotations of a file, validated, see ``index_annotations``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: see ``read_coco``.
    """
    file = read_coco(ann_file, PIXEL_OFFSET)
    return index_annotations(file.images, file.categories, file.annotations, file.left_out)
