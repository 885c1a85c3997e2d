import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from maskrcnn_benchmark.data.synthetic import CLASS_NAMES, sample_scene, write_synthetic_coco
from maskrcnn_benchmark.data.synthetic.coco import _annotation
from maskrcnn_benchmark.data.synthetic.scene import SUPERSAMPLING


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_synthetic_coco(tmp_path_factory.mktemp("set"), num_train=160, num_val=6, seed=3)


@pytest.fixture(scope="module")
def train(folder: Path) -> COCO:
    return COCO(folder / "annotations" / "instances_train.json")


def _files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_same_seed_same_bytes_whatever_the_hash_seed_and_the_threads(tmp_path: Path) -> None:
    code = (
        "import sys, cv2; cv2.setNumThreads(int(sys.argv[2]));"
        "from maskrcnn_benchmark.data.synthetic import write_synthetic_coco as write;"
        "write(sys.argv[1], num_train=4, num_val=2, seed=7)"
    )
    for name, threads in (("1", "1"), ("2", "2")):
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / name), threads],
            check=True,
            env={**os.environ, "PYTHONHASHSEED": name},
        )
    first, second = _files(tmp_path / "1"), _files(tmp_path / "2")
    assert len(first) == 8
    assert first == second


def test_another_seed_or_split_gives_other_images(folder: Path, tmp_path: Path) -> None:
    other = write_synthetic_coco(tmp_path, num_train=1, num_val=1, seed=4)
    name = "000001.png"
    pictures = {
        (root / s / name).read_bytes() for root in (folder, other) for s in ("train", "val")
    }
    assert len(pictures) == 4


def test_an_image_does_not_depend_on_their_number(folder: Path, tmp_path: Path) -> None:
    small = write_synthetic_coco(tmp_path, num_train=3, num_val=0, seed=3)
    for path in sorted((small / "train").iterdir()):
        assert path.read_bytes() == (folder / "train" / path.name).read_bytes()
    content = json.loads((small / "annotations" / "instances_val.json").read_text())
    assert content["images"] == content["annotations"] == []


def test_files_agree_with_the_annotations(folder: Path, train: COCO) -> None:
    assert [c["name"] for c in train.dataset["categories"]] == list(CLASS_NAMES)
    assert len(list((folder / "train").iterdir())) == len(train.imgs) == 160
    for image in train.imgs.values():
        pixels = cv2.imread(str(folder / "train" / image["file_name"]))
        assert pixels.shape == (image["height"], image["width"], 3)


def test_area_and_box_are_those_of_the_mask(train: COCO) -> None:
    for annotation in train.anns.values():
        mask = train.annToMask(annotation)
        ys, xs = np.nonzero(mask)
        box = [xs.min(), ys.min(), xs.max() - xs.min() + 1, ys.max() - ys.min() + 1]
        assert annotation["bbox"] == box
        assert annotation["area"] == mask.sum() > 0


def test_every_kind_of_annotation_occurs(train: COCO) -> None:
    kinds = {"polygon": 0, "parts": 0, "rle": 0, "crowd": 0}
    for annotation in train.anns.values():
        segmentation = annotation["segmentation"]
        if annotation["iscrowd"]:
            kinds["crowd"] += 1
            assert isinstance(segmentation["counts"], list)
        elif isinstance(segmentation, dict):
            kinds["rle"] += 1
            assert isinstance(segmentation["counts"], str)
        else:
            kinds["parts" if len(segmentation) > 1 else "polygon"] += 1
            assert all(len(p) >= 6 and len(p) % 2 == 0 for p in segmentation)
    assert min(kinds["polygon"], kinds["parts"], kinds["rle"]) > 80
    assert 1 <= kinds["crowd"] <= 20
    empty = [i for i in train.imgs if not train.getAnnIds(i)]
    assert 1 <= len(empty) <= 15


def test_visible_masks_do_not_overlap(train: COCO) -> None:
    for image_id in list(train.imgs)[:40]:
        masks = [train.annToMask(a) for a in train.loadAnns(train.getAnnIds(image_id))]
        if masks:
            total = np.sum(masks, axis=0)
            # polygons are rounded separately, so neighbors may share border pixels
            assert (total > 1).sum() <= 0.06 * (total > 0).sum()


def test_annotation_covers_what_was_drawn() -> None:
    ious = []
    for seed in range(12):
        for instance in sample_scene(np.random.default_rng(seed), (128, 160)).instances:
            annotation = _annotation(instance)
            assert annotation is not None
            rle = annotation["segmentation"]
            if isinstance(rle, list):
                rle = coco_mask.merge(coco_mask.frPyObjects(rle, 128, 160))
            elif isinstance(rle["counts"], list):
                rle = coco_mask.frPyObjects(rle, 128, 160)
            mask = coco_mask.decode(rle) > 0
            cells = instance.visible.reshape(128, SUPERSAMPLING, 160, SUPERSAMPLING)
            drawn = cells.mean(axis=(1, 3)) >= 0.5
            ious.append((mask & drawn).sum() / (mask | drawn).sum())
    assert np.quantile(ious, 0.05) > 0.8  # thin limbs of small instances lose the most
    assert np.median(ious) > 0.96


def test_difficulty_and_cue_are_independent_of_each_other_class_and_size(train: COCO) -> None:
    rows = [a for a in train.anns.values() if not a["iscrowd"]]
    traits = np.array([[a["difficulty"], a["cue"], np.log(a["area"])] for a in rows])
    labels = np.array([a["category_id"] for a in rows])
    bound = 4 / np.sqrt(len(rows))  # four standard errors of a correlation that is zero
    assert np.abs(np.corrcoef(traits.T)[np.triu_indices(3, 1)]).max() < bound
    for category in range(1, len(CLASS_NAMES) + 1):
        of_class = traits[labels == category, :2]
        error = traits[:, :2].std(axis=0) / np.sqrt(len(of_class))
        assert (np.abs(of_class.mean(axis=0) - traits[:, :2].mean(axis=0)) < 4 * error).all()


def test_hard_instances_stand_out_less_from_their_surroundings(folder: Path, train: COCO) -> None:
    contrast = {"easy": [], "hard": []}
    for annotation in train.anns.values():
        kind = "easy" if annotation["difficulty"] < 0.25 else "hard"
        if annotation["iscrowd"] or 0.25 <= annotation["difficulty"] <= 0.75:
            continue
        name = train.imgs[annotation["image_id"]]["file_name"]
        image = cv2.imread(str(folder / "train" / name)).astype(np.float64)
        mask = train.annToMask(annotation)
        around = cv2.dilate(mask, np.ones((11, 11), np.uint8)) - mask
        difference = image[mask > 0].mean(axis=0) - image[around > 0].mean(axis=0)
        contrast[kind].append(np.abs(difference).mean())
    assert np.median(contrast["easy"]) > 1.6 * np.median(contrast["hard"])


@pytest.mark.parametrize(
    "arguments",
    [{"num_train": -1}, {"num_val": -2}, {"seed": -1}, {"image_size": (32, 200)}],
)
def test_impossible_arguments_are_refused(tmp_path: Path, arguments: dict) -> None:
    with pytest.raises(ValueError, match=str(next(iter(arguments))).split("_")[0]):
        write_synthetic_coco(tmp_path, **arguments)
