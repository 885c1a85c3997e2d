"""Locations of data sets and pretrained weights.

``PATHS_CATALOG`` can name another Python file with a ``DatasetCatalog`` and a ``ModelCatalog``,
each with ``get(name)``. The model catalog may also return local paths; a URL may end in
``#sha256=<hex>``, which is then verified.
"""

import json
from pathlib import Path
from typing import Any

_VOC_SPLITS = ("2007_train", "2007_val", "2007_test", "2012_train", "2012_val", "2012_test")
_VOC_WITH_JSON = _VOC_SPLITS[:-1]  # the annotations of the 2012 test set are not public
_KEYPOINTS = (  # year, split, folder of the images
    *(("2014", split, split) for split in ("train", "val")),
    *(("2014", split, "val") for split in ("minival", "valminusminival")),
    *(("2017", split, split) for split in ("train", "val")),
)
_CITYSCAPES = "cityscapes_fine_instanceonly_seg"


def _voc_folder(split: str) -> str:
    return f"voc/VOC{split[:4]}"


class DatasetCatalog:
    """Data set names and their files, relative to ``DATA_DIR``.

    ``DATASETS`` lists data sets in COCO format with image folder and annotation file; ``LVIS``
    those in LVIS format; ``VOC`` lists PASCAL VOC in its XML format with folder and split;
    ``CITYSCAPES`` lists Cityscapes' own files with split and kind of masks.
    """

    DATA_DIR = "datasets"
    DATASETS = {
        "coco_2014_train": ("coco/train2014", "coco/annotations/instances_train2014.json"),
        "coco_2014_val": ("coco/val2014", "coco/annotations/instances_val2014.json"),
        "coco_2014_minival": ("coco/val2014", "coco/annotations/instances_minival2014.json"),
        "coco_2014_valminusminival": (
            "coco/val2014",
            "coco/annotations/instances_valminusminival2014.json",
        ),
        "coco_2014_test": ("coco/test2014", "coco/annotations/image_info_test2014.json"),
        "coco_2017_train": ("coco/train2017", "coco/annotations/instances_train2017.json"),
        "coco_2017_val": ("coco/val2017", "coco/annotations/instances_val2017.json"),
        "coco_2017_test": ("coco/test2017", "coco/annotations/image_info_test2017.json"),
        "coco_2017_test-dev": ("coco/test2017", "coco/annotations/image_info_test-dev2017.json"),
        **{
            f"keypoints_coco_{year}_{split}": (
                f"coco/{folder}{year}",
                f"coco/annotations/person_keypoints_{split}{year}.json",
            )
            for year, split, folder in _KEYPOINTS
        },
        **{
            f"voc_{split}_cocostyle": (
                f"{_voc_folder(split)}/JPEGImages",
                f"{_voc_folder(split)}/Annotations/pascal_{split[5:]}{split[:4]}.json",
            )
            for split in _VOC_WITH_JSON
        },
        **{
            f"{_CITYSCAPES}_{split}_cocostyle": (
                "cityscapes/images",
                f"cityscapes/annotations/instancesonly_filtered_gtFine_{split}.json",
            )
            for split in ("train", "val", "test")
        },
    }
    LVIS = {
        f"lvis_v1_{split}": ("coco", f"lvis/lvis_v1_{split}.json") for split in ("train", "val")
    }
    CITYSCAPES = {
        f"cityscapes_{mode}_instance_{split}": {
            "split": split.replace("mini", ""),
            "mode": mode,
            **({"mini": 10} if split == "minival" else {}),
        }
        for mode in ("poly", "mask")
        for split in ("train", "val", "minival")
    }
    VOC = {f"voc_{split}": (_voc_folder(split), split[5:]) for split in _VOC_SPLITS}

    @classmethod
    def get(cls, name: str) -> dict[str, Any]:
        """Look up a data set.

        Returns:
            ``{"factory": name in the registry data.registry.DATASETS, "args": keyword arguments}``.

        Raises:
            ValueError: the name is not in the catalog.
        """
        data_dir = Path(cls.DATA_DIR)
        if name in cls.VOC:
            folder, split = cls.VOC[name]
            args = {"data_dir": str(data_dir / folder), "split": split}
            return {"factory": "PascalVOCDataset", "args": args}
        if name in cls.CITYSCAPES:
            images, annotations = (data_dir / "cityscapes" / f for f in ("leftImg8bit", "gtFine"))
            folders = {"img_dir": str(images), "ann_dir": str(annotations)}
            return {"factory": "CityScapesDataset", "args": folders | cls.CITYSCAPES[name]}
        known = cls.DATASETS | cls.LVIS
        if name not in known:
            names = sorted([*known, *cls.VOC, *cls.CITYSCAPES])
            raise ValueError(
                f"unknown data set {name!r}; known: {', '.join(names)}. "
                "For your own data add it to DATASETS.CUSTOM, or use --register"
            )
        root, ann_file = known[name]
        return {
            "factory": "LVISDataset" if name in cls.LVIS else "COCODataset",
            "args": {"root": str(data_dir / root), "ann_file": str(data_dir / ann_file)},
        }


def _published() -> dict[str, str]:
    """Return the URLs of the models in ``model_zoo.json`` by ``<project>/<name>``.

    torchvision's also have the name of their weights enum, as in
    ``torchvision/MaskRCNN_ResNet50_FPN_V2_Weights.COCO_V1``.
    """
    rows = json.loads(Path(__file__).with_name("model_zoo.json").read_text(encoding="utf-8"))[
        "models"
    ]
    found = {}
    for row in rows:
        sha256 = f"#sha256={row['sha256_prefix']}" if "sha256_prefix" in row else ""
        for name in (row["name"], row.get("enum", row["name"])):
            found[f"{row['project']}/{name}"] = row["url"] + sha256
    return found


class ModelCatalog:
    """``catalog://`` names of published weights and their URLs.

    ``PUBLISHED`` lists full detectors of mmdetection, detectron2 and torchvision, which are
    converted on first use; the others are Detectron's.
    """

    PUBLISHED = _published()

    URL = "https://dl.fbaipublicfiles.com/detectron"
    IMAGENET = {
        "MSRA/R-50": "ImageNetPretrained/MSRA/R-50.pkl",
        "MSRA/R-50-GN": "ImageNetPretrained/47261647/R-50-GN.pkl",
        "MSRA/R-101": "ImageNetPretrained/MSRA/R-101.pkl",
        "MSRA/R-101-GN": "ImageNetPretrained/47592356/R-101-GN.pkl",
        "FAIR/20171220/X-101-32x8d": "ImageNetPretrained/20171220/X-101-32x8d.pkl",
    }
    DETECTRON_FILE = (
        "output/train/{0}coco_2014_train%3A{0}coco_2014_valminusminival/generalized_rcnn/"
        "model_final.pkl"
    )
    # Model id and name -> timestamp and signature of the training run, part of the URL.
    DETECTRON = {
        "35857197/e2e_faster_rcnn_R-50-C4_1x": "01_33_49.iAX0mXvW",
        "35857345/e2e_faster_rcnn_R-50-FPN_1x": "01_36_30.cUF7QR7I",
        "35857890/e2e_faster_rcnn_R-101-FPN_1x": "01_38_50.sNxI7sX7",
        "36761737/e2e_faster_rcnn_X-101-32x8d-FPN_1x": "06_31_39.5MIHi1fZ",
        "35858791/e2e_mask_rcnn_R-50-C4_1x": "01_45_57.ZgkA7hPB",
        "35858933/e2e_mask_rcnn_R-50-FPN_1x": "01_48_14.DzEQe4wC",
        "35861795/e2e_mask_rcnn_R-101-FPN_1x": "02_31_37.KqyEK4tT",
        "36761843/e2e_mask_rcnn_X-101-32x8d-FPN_1x": "06_35_59.RZotkLKI",
        "37129812/e2e_mask_rcnn_X-152-32x8d-FPN-IN5k_1.44x": "09_35_36.8pzTQKYK",
        "37697547/e2e_keypoint_rcnn_R-50-FPN_1x": "08_42_54.kdzV35ao",
    }

    @classmethod
    def get(cls, name: str) -> str:
        """Return the URL of the weights called ``name`` (without ``catalog://``).

        Raises:
            ValueError: the name is not in the catalog.
        """
        if name in cls.PUBLISHED:
            return cls.PUBLISHED[name]
        for prefix, addresses in cls._tables().items():
            key = name.removeprefix(prefix)
            if name.startswith(prefix) and key in addresses:
                return f"{cls.URL}/{addresses[key]}"
        known = sorted(prefix + key for prefix, table in cls._tables().items() for key in table)
        known += sorted(cls.PUBLISHED)
        raise ValueError(f"unknown weights catalog://{name}; known: {', '.join(known)}")

    @classmethod
    def _tables(cls) -> dict[str, dict[str, str]]:
        """Return the tables of paths below ``URL`` by name prefix."""
        detectron = {}
        for key, signature in cls.DETECTRON.items():
            model_id, model = key.split("/")
            folder = f"{model_id}/12_2017_baselines/{model}.yaml.{signature}"
            data = "keypoints_" if "keypoint" in model else ""
            detectron[key] = f"{folder}/{cls.DETECTRON_FILE.format(data)}"
        return {"ImageNetPretrained/": cls.IMAGENET, "Caffe2Detectron/COCO/": detectron}
