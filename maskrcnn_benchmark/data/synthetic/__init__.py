"""The embedded data set: generated images with exact masks, in COCO format."""

from maskrcnn_benchmark.data.synthetic.coco import write_synthetic_coco
from maskrcnn_benchmark.data.synthetic.scene import Instance, Scene, sample_scene
from maskrcnn_benchmark.data.synthetic.shapes import CLASS_NAMES

__all__ = ["CLASS_NAMES", "Instance", "Scene", "sample_scene", "write_synthetic_coco"]
