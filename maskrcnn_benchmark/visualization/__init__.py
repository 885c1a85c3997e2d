"""Draw instances on images, for papers and for inspection. Plain arrays in, images out."""

from maskrcnn_benchmark.visualization.coco_files import load_detections
from maskrcnn_benchmark.visualization.draw import draw_instances
from maskrcnn_benchmark.visualization.instances import Instances, from_coco_annotations
from maskrcnn_benchmark.visualization.sheet import contact_sheet

__all__ = [
    "Instances",
    "contact_sheet",
    "draw_instances",
    "from_coco_annotations",
    "load_detections",
]
