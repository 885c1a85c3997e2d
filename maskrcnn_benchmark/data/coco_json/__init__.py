"""COCO annotation files: parsing, validation, and which instances are learned."""

from maskrcnn_benchmark.data.coco_json.coco_file import CocoFile, read_categories
from maskrcnn_benchmark.data.coco_json.learned import Learned, LeftOut
from maskrcnn_benchmark.data.coco_json.load import read_coco

__all__ = ["CocoFile", "Learned", "LeftOut", "read_categories", "read_coco"]
