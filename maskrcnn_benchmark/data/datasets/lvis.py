"""LVIS v1 (Gupta et al., CVPR 2019, arXiv 1908.03195)."""

from maskrcnn_benchmark.data.datasets.coco import COCODataset
from maskrcnn_benchmark.data.registry import DATASETS


@DATASETS.register("LVISDataset")
class LVISDataset(COCODataset):
    """A data set in the format of LVIS v1, evaluated by LVIS's federated metric.

    The file is COCO's, with these differences: an image may have ``coco_url`` in place of
    ``file_name``, then its last two parts (``train2017/000000000009.jpg``) are the file below
    ``root``; each image lists the absent categories (``neg_category_ids``) and those of which not
    every instance is annotated (``not_exhaustive_category_ids``); each category has a ``frequency``
    (``r``, ``c`` or ``f``).
    """

    metric = "lvis"
