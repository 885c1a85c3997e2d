"""The embedded data set: seeded pictures with exact masks, in COCO format."""

from .coco import write_synthetic_coco
from .scene import Instance, Scene, sample_scene
from .shapes import CLASS_NAMES

__all__ = ["CLASS_NAMES", "Instance", "Scene", "sample_scene", "write_synthetic_coco"]
