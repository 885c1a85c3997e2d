"""Cityscapes' folders: what is read of label images and polygons, and what is refused."""

import json
import re

import numpy as np
import pytest
import torch
from PIL import Image

from maskrcnn_benchmark.config import cfg
from maskrcnn_benchmark.config.paths_catalog import DatasetCatalog
from maskrcnn_benchmark.data import make_classes, make_data_loader
from maskrcnn_benchmark.data.datasets import CityScapesDataset
from maskrcnn_benchmark.evaluation import evaluate_cityscapes

SIZE = (64, 32)
# name in the city -> objects: label, number, x, y, width, height
IMAGES = {
    "ulm/ulm_000001_000019": [
        ("car", 0, 2, 3, 20, 10),
        ("person", 0, 30, 5, 10, 20),
        ("caravan", 0, 45, 2, 15, 12),
    ],
    "ulm/ulm_000000_000019": [("bicycle", 7, 10, 10, 12, 12), ("cargroup", None, 40, 10, 20, 15)],
    "bonn/bonn_000000_000019": [],
}
IDS = {"person": 24, "car": 26, "cargroup": 26, "caravan": 29, "bicycle": 33}


def write_cityscapes(folder, images=None, split="train"):
    """Write label images, polygons and pictures of rectangles in Cityscapes' folders."""
    for name, objects in (images or IMAGES).items():
        pixels = np.full(SIZE[::-1], 7, dtype=np.uint16)  # road
        polygons = []
        for label, number, x, y, w, h in objects:
            value = IDS[label] if number is None else IDS[label] * 1000 + number
            pixels[y : y + h, x : x + w] = value
            corners = [[x, y], [x + w, y], [x + w, y + h], [x, y + h]]
            polygons.append({"label": label, "polygon": corners})
        polygons.append({"label": "sky", "polygon": [[0, 0], [9, 0], [9, 9]]})
        polygons.append({"label": "car", "deleted": 1, "polygon": [[0, 0], [9, 0], [9, 9]]})
        content = {"imgWidth": SIZE[0], "imgHeight": SIZE[1], "objects": polygons}
        image = folder / "leftImg8bit" / split / f"{name}_leftImg8bit.png"
        start = folder / "gtFine" / split / name
        for path in (image, start):
            path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", SIZE, (90, 120, 150)).save(image)
        Image.fromarray(pixels).save(f"{start}_gtFine_instanceIds.png")
        start.with_name(f"{start.name}_gtFine_polygons.json").write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_cityscapes(tmp_path_factory.mktemp("cityscapes"))


def build(folder, mode, **options):
    return CityScapesDataset(folder / "leftImg8bit", folder / "gtFine", "train", mode, **options)


@pytest.mark.parametrize(("mode", "classes"), [("mask", 9), ("poly", 11)])
def test_instances_are_read(folder, mode, classes):
    dataset = build(folder, mode)
    assert len(dataset.class_names) == classes
    assert dataset.class_names[:4] == ["__background__", "person", "rider", "car"]
    ids = [dataset.get_img_info(i)["id"] for i in range(len(dataset))]
    assert ids == ["bonn_000000_000019", "ulm_000000_000019", "ulm_000001_000019"]
    image, target, index = dataset[2]
    assert (image.size, index) == (SIZE, 2)
    found = {
        dataset.class_names[label]: box
        for label, box in zip(
            target.get_field("labels").tolist(), target.bbox.tolist(), strict=True
        )
    }
    expected = {"person": [30, 5, 39, 24], "car": [2, 3, 21, 12]}  # inclusive
    if mode == "poly":
        expected["caravan"] = [45, 2, 59, 13]
    assert found == expected
    masks = target.get_field("masks").decode()
    for mask, box in zip(masks, target.bbox.int().tolist(), strict=True):
        x1, y1, x2, y2 = box
        filled = np.zeros_like(mask)
        filled[y1 : y2 + 1, x1 : x2 + 1] = 1
        np.testing.assert_array_equal(mask, filled)
    assert dataset.get_labels(2) == set(target.get_field("labels").tolist())
    assert dataset.get_labels(0) == set()
    assert len(dataset[0][1]) == 0
    assert len(dataset[1][1]) == 1  # without the group of cars
    assert str(dataset.learned) == f"{3 + (mode == 'poly')} of {3 + (mode == 'poly')} " + (
        "instances are learned"
    )


def test_boxes_follow_the_convention_of_the_model(folder):
    continuous = build(folder, "mask", pixel_offset=0.0)[1][1]
    assert continuous.bbox.tolist() == [[10, 10, 22, 22]]


def test_images_without_instances_and_a_part_of_the_split(folder):
    assert len(build(folder, "mask", remove_images_without_annotations=True)) == 2
    assert len(build(folder, "poly", mini=1)) == 1


def test_classes_are_those_of_the_labels():
    classes = CityScapesDataset.read_classes("", "", "train", "mask")
    assert classes.category_ids == [24, 25, 26, 27, 28, 31, 32, 33]
    with pytest.raises(ValueError, match="Cityscapes' mode is 'rle'; it must be one of mask, poly"):
        CityScapesDataset.read_classes("", "", "train", "rle")


def test_the_catalog_names_both_kinds():
    entry = DatasetCatalog.get("cityscapes_poly_instance_minival")
    assert entry == {
        "factory": "CityScapesDataset",
        "args": {
            "img_dir": "datasets/cityscapes/leftImg8bit",
            "ann_dir": "datasets/cityscapes/gtFine",
            "split": "val",
            "mode": "poly",
            "mini": 10,
        },
    }
    assert "mini" not in DatasetCatalog.get("cityscapes_mask_instance_val")["args"]


@pytest.mark.parametrize(
    ("suffix", "mode", "content", "message"),
    [
        ("polygons.json", "poly", b"{", "it is no JSON"),
        ("polygons.json", "poly", b"[]", "it has not the form"),
        ("polygons.json", "poly", b'{"imgWidth": 4, "imgHeight": 4}', "it lacks 'objects'"),
        (
            *("polygons.json", "poly"),
            b'{"imgWidth": 4, "imgHeight": 4, "objects": [{"label": "car", "polygon": [[1, 2]]}]}',
            r"object 0 \(car\) has a polygon of 1 corners",
        ),
        ("instanceIds.png", "mask", b"text", "it is no readable image"),
    ],
)
def test_malformed_files_are_named(tmp_path, suffix, mode, content, message):
    folder = write_cityscapes(tmp_path)
    broken = folder / f"gtFine/train/ulm/ulm_000001_000019_gtFine_{suffix}"
    broken.write_bytes(content)
    with pytest.raises(ValueError, match=f"malformed annotations:\n  .*{suffix}: {message}"):
        build(folder, mode)
    broken.unlink()
    with pytest.raises(FileNotFoundError, match=rf"{re.escape(str(broken))} does not exist \(1"):
        build(folder, mode)


def test_a_colored_label_image_is_refused(tmp_path):
    folder = write_cityscapes(tmp_path)
    Image.new("RGB", SIZE).save(
        folder / "gtFine/train/ulm/ulm_000001_000019_gtFine_instanceIds.png"
    )
    with pytest.raises(ValueError, match=r"it has pixels uint8 \[32, 64, 3\], not whole numbers"):
        build(folder, "mask")


def test_folders_must_exist(tmp_path):
    with pytest.raises(FileNotFoundError, match="leftImg8bit/train does not exist"):
        build(tmp_path, "mask")
    (tmp_path / "leftImg8bit/train").mkdir(parents=True)
    with pytest.raises(ValueError, match="no city has an image"):
        build(tmp_path, "mask")


@pytest.mark.parametrize("mode", ["mask", "poly"])
def test_a_loader_and_perfect_predictions(tmp_path, monkeypatch, mode):
    write_cityscapes(tmp_path / "datasets/cityscapes")
    monkeypatch.chdir(tmp_path)
    name = f"cityscapes_{mode}_instance_train"
    config = cfg.clone()
    config.merge_from_list(
        ["DATASETS.TRAIN", (name,), "DATASETS.TEST", (name,), "DATALOADER.NUM_WORKERS", 0]
        + ["MODEL.MASK_ON", True, "MODEL.ROI_BOX_HEAD.NUM_CLASSES", 9 if mode == "mask" else 11]
        + ["SOLVER.IMS_PER_BATCH", 2, "SOLVER.MAX_ITER", 1, "INPUT.MIN_SIZE_TRAIN", 32]
    )
    assert len(make_classes(config, config.DATASETS.TRAIN).class_names) == (
        9 if mode == "mask" else 11
    )
    images, targets, _ = next(iter(make_data_loader(config)))
    assert len(images.image_sizes) == 2
    assert sum(map(len, targets)) >= 3
    dataset = make_data_loader(config, is_train=False)[0].dataset
    predictions = []
    for index in range(len(dataset)):
        gt = dataset.get_groundtruth(index)
        found = gt.copy_with_fields(["labels"])
        found.add_field("scores", torch.ones(len(gt)))
        found.add_field("mask", torch.ones(len(gt), 1, 28, 28))
        predictions.append(found)
    results = evaluate_cityscapes(dataset, predictions, iou_types=("bbox", "segm"))
    assert results["bbox"]["AP"] == results["segm"]["AP"] == 1
    assert results.per_class["segm"]["bus"] == -1
    empty = [found[:0] for found in predictions]
    assert evaluate_cityscapes(dataset, empty)["bbox"]["AP"] == 0
