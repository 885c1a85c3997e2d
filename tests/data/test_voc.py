"""PASCAL VOC XML: objects that are read, left out or refused."""

import numpy as np
import pytest
import torch
from PIL import Image

from maskrcnn_benchmark.config import cfg
from maskrcnn_benchmark.data import make_classes, make_data_loader
from maskrcnn_benchmark.data.datasets import PascalVOCDataset

OBJECT = """<object><name>{name}</name><difficult>{difficult}</difficult>
<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>
<bndbox><xmin>{box[0]}</xmin><ymin>{box[1]}</ymin><xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox>
</object>"""


def write_voc(folder, images):
    """Write a VOC folder with a split ``train``; an image is ``[(class, difficult, box)]``."""
    for name in ("Annotations", "ImageSets/Main", "JPEGImages"):
        (folder / name).mkdir(parents=True)
    for name, objects in images.items():
        nodes = [OBJECT.format(name=n, difficult=d, box=box) for n, d, box in objects]
        size = "<size><width>30</width><height>20</height><depth>3</depth></size>"
        (folder / "Annotations" / f"{name}.xml").write_text(
            f"<annotation>{size}{''.join(nodes)}</annotation>"
        )
        noise = np.random.default_rng(0).integers(256, size=(20, 30, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / "JPEGImages" / f"{name}.jpg")
    (folder / "ImageSets" / "Main" / "train.txt").write_text("\n".join(images) + "\n")
    return folder


IMAGES = {
    "000005": [("chair", 0, (3, 2, 12, 11)), ("person", 1, (1, 1, 30, 20))],
    "000007": [],
    "000009": [("tvmonitor", 0, (5.5, 4, 40, 40))],
}


def test_objects_are_read(tmp_path):
    dataset = PascalVOCDataset(write_voc(tmp_path, IMAGES), "train")
    assert len(dataset) == 3
    assert len(dataset.class_names) == 21
    assert dataset.map_class_id_to_class_name(9) == "chair"
    info = dataset.get_img_info(0)
    assert (info["id"], info["width"], info["height"]) == ("000005", 30, 20)
    gt = dataset.get_groundtruth(0)
    assert gt.bbox.tolist() == [[2, 1, 11, 10], [0, 0, 29, 19]]  # from 0 on, inclusive
    assert gt.get_field("labels").tolist() == [9, 15]
    assert gt.get_field("difficult").tolist() == [False, True]
    image, target, index = dataset[0]
    assert (image.size, index) == ((30, 20), 0)
    assert target.bbox.tolist() == [[2, 1, 11, 10]]
    assert target.fields() == ["labels"]
    assert len(dataset[1][1]) == 0
    assert dataset[2][1].bbox.tolist() == [[4.5, 3, 29, 19]]  # clipped
    assert dataset[2][1].get_field("labels").tolist() == [20]
    assert str(dataset.learned) == (
        "2 of 3 instances are learned; left out: 1 (difficult); none has a mask"
    )
    both = PascalVOCDataset(tmp_path, "train", use_difficult=True)
    assert (both.learned.count, both.learned.left_out) == (3, {})
    assert both[0][1].get_field("labels").tolist() == [9, 15]
    without = PascalVOCDataset(tmp_path, "train", remove_images_without_annotations=True)
    assert [without.get_img_info(i)["id"] for i in range(2)] == ["000005", "000009"]
    continuous = PascalVOCDataset(tmp_path, "train", pixel_offset=0.0)
    assert continuous.get_groundtruth(0).bbox[0].tolist() == [2, 1, 12, 11]


def test_a_loader_by_its_name_in_the_catalog(tmp_path, monkeypatch):
    write_voc(tmp_path / "datasets" / "voc" / "VOC2007", IMAGES)
    monkeypatch.chdir(tmp_path)
    config = cfg.clone()
    config.merge_from_list(
        ["DATASETS.TRAIN", ("voc_2007_train",), "DATALOADER.NUM_WORKERS", 0]
        + ["MODEL.ROI_BOX_HEAD.NUM_CLASSES", 21, "SOLVER.MAX_ITER", 1, "SOLVER.IMS_PER_BATCH", 2]
        + ["INPUT.MIN_SIZE_TRAIN", 20, "INPUT.MAX_SIZE_TRAIN", 30]
    )
    classes = make_classes(config, config.DATASETS.TRAIN)
    assert classes.class_names[20] == "tvmonitor"
    assert classes.category_ids == list(range(1, 21))
    ((images, targets, _),) = make_data_loader(config)
    assert images.tensors.shape == (2, 3, 20, 30)
    assert sorted(label for t in targets for label in t.get_field("labels").tolist()) == [9, 20]
    assert all(t.get_field("labels").dtype == torch.int64 for t in targets)
    config.MODEL.MASK_ON = True
    with pytest.raises(ValueError, match="voc_2007_train has no masks"):
        make_data_loader(config)
    config.MODEL.MASK_ON, config.MODEL.KEYPOINT_ON = False, True
    with pytest.raises(ValueError, match="voc_2007_train has no keypoints"):
        make_data_loader(config)
    config.DATASETS.TRAIN = ("voc_2012_train",)
    with pytest.raises(FileNotFoundError, match=r"'voc_2012_train': .*VOC2012"):
        make_data_loader(config)


def test_all_problems_are_reported_at_once(tmp_path):
    bad = {"a": [("unicorn", 0, (1, 1, 2, 2))], "b": [], "c": [], "d": [("cat", 0, ("x", 1, 2, 3))]}
    write_voc(tmp_path, bad)
    (tmp_path / "Annotations" / "b.xml").write_text("<annotation>")
    (tmp_path / "Annotations" / "c.xml").unlink()
    with pytest.raises(ValueError, match=r"(?s)a.xml: class 'unicorn'.*b.xml: .*c.xml.*d.xml: "):
        PascalVOCDataset(tmp_path, "train")
    with pytest.raises(FileNotFoundError, match=r"val.txt does not exist"):
        PascalVOCDataset(tmp_path, "val")
    (tmp_path / "ImageSets" / "Main" / "val.txt").write_text("")
    with pytest.raises(ValueError, match="has no image"):
        PascalVOCDataset(tmp_path, "val")
