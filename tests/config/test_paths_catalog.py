"""Names of data sets and weights."""

import json

import pytest

from maskrcnn_benchmark.config.paths_catalog import DatasetCatalog, ModelCatalog
from tests.helpers.vectors import REFERENCE

RECORDED = json.loads((REFERENCE / "configs.json").read_text())
ENTRIES = [e for part in RECORDED.values() if isinstance(part, dict) for e in part.values()]


def test_a_data_set():
    assert DatasetCatalog.get("coco_2014_minival") == {
        "factory": "COCODataset",
        "args": {
            "root": "datasets/coco/val2014",
            "ann_file": "datasets/coco/annotations/instances_minival2014.json",
        },
    }
    assert DatasetCatalog.get("keypoints_coco_2014_valminusminival")["args"] == {
        "root": "datasets/coco/val2014",
        "ann_file": "datasets/coco/annotations/person_keypoints_valminusminival2014.json",
    }
    assert DatasetCatalog.get("keypoints_coco_2017_train")["args"] == {
        "root": "datasets/coco/train2017",
        "ann_file": "datasets/coco/annotations/person_keypoints_train2017.json",
    }


def test_voc_and_cityscapes_have_upstreams_names():
    assert DatasetCatalog.get("voc_2012_val") == {
        "factory": "PascalVOCDataset",
        "args": {"data_dir": "datasets/voc/VOC2012", "split": "val"},
    }
    assert DatasetCatalog.get("voc_2007_test_cocostyle") == {
        "factory": "COCODataset",
        "args": {
            "root": "datasets/voc/VOC2007/JPEGImages",
            "ann_file": "datasets/voc/VOC2007/Annotations/pascal_test2007.json",
        },
    }
    found = DatasetCatalog.get("cityscapes_fine_instanceonly_seg_val_cocostyle")["args"]
    assert found == {
        "root": "datasets/cityscapes/images",
        "ann_file": "datasets/cityscapes/annotations/instancesonly_filtered_gtFine_val.json",
    }


def test_every_name_of_the_recorded_configs_resolves():
    for entry in ENTRIES:
        for key, value in entry["overrides"].items():
            if key.startswith("DATASETS."):
                for name in value["__tuple__"]:
                    DatasetCatalog.get(name)
            if key == "MODEL.WEIGHT" and value:
                url = ModelCatalog.get(value.removeprefix("catalog://"))
                assert url.startswith("https://dl.fbaipublicfiles.com/detectron/")
                assert url.endswith(".pkl")


def test_addresses_of_weights():
    base = "https://dl.fbaipublicfiles.com/detectron"
    assert ModelCatalog.get("ImageNetPretrained/MSRA/R-50") == (
        f"{base}/ImageNetPretrained/MSRA/R-50.pkl"
    )
    name = "Caffe2Detectron/COCO/35857890/e2e_faster_rcnn_R-101-FPN_1x"
    assert ModelCatalog.get(name) == (
        f"{base}/35857890/12_2017_baselines/e2e_faster_rcnn_R-101-FPN_1x.yaml.01_38_50.sNxI7sX7/"
        "output/train/coco_2014_train%3Acoco_2014_valminusminival/generalized_rcnn/model_final.pkl"
    )
    keypoints = "Caffe2Detectron/COCO/37697547/e2e_keypoint_rcnn_R-50-FPN_1x"
    assert ModelCatalog.get(keypoints) == (
        f"{base}/37697547/12_2017_baselines/e2e_keypoint_rcnn_R-50-FPN_1x.yaml.08_42_54.kdzV35ao/"
        "output/train/keypoints_coco_2014_train%3Akeypoints_coco_2014_valminusminival/"
        "generalized_rcnn/model_final.pkl"
    )


def test_unknown_names():
    with pytest.raises(ValueError, match=r"coco_2015.*coco_2014_train.*DATASETS.CUSTOM"):
        DatasetCatalog.get("coco_2015")
    with pytest.raises(ValueError, match=r"R-51.*ImageNetPretrained/MSRA/R-50"):
        ModelCatalog.get("ImageNetPretrained/MSRA/R-51")
