"""Draw instances on images, for papers and for inspection. Plain arrays in, images out."""

from .coco_files import load_detections
from .draw import draw_instances
from .instances import Instances, from_coco_annotations
from .sheet import contact_sheet

__all__ = [
    "Instances",
    "contact_sheet",
    "draw_instances",
    "from_coco_annotations",
    "load_detections",
]
