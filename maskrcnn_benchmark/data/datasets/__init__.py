"""The data sets. A ``factory`` of the paths catalog names a class of the registry ``DATASETS``."""

from maskrcnn_benchmark.data.datasets.cityscapes import CityScapesDataset
from maskrcnn_benchmark.data.datasets.coco import COCODataset
from maskrcnn_benchmark.data.datasets.concat_dataset import ConcatDataset
from maskrcnn_benchmark.data.datasets.lvis import LVISDataset
from maskrcnn_benchmark.data.datasets.voc import PascalVOCDataset

__all__ = [
    "COCODataset",
    "CityScapesDataset",
    "ConcatDataset",
    "LVISDataset",
    "PascalVOCDataset",
]
