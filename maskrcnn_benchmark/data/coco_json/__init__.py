"""COCO's json: how it is read, what is valid in it, and what is learned of it."""

from maskrcnn_benchmark.data.coco_json.coco_file import CocoFile, read_categories, read_coco
from maskrcnn_benchmark.data.coco_json.learned import Learned, LeftOut

__all__ = ["CocoFile", "Learned", "LeftOut", "read_categories", "read_coco"]
