"""Masks are converted to RLEs batch by batch, with otherwise unchanged results."""

import gc
import json
import weakref

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

from maskrcnn_benchmark.engine.inference import compute_on_dataset, inference
from maskrcnn_benchmark.evaluation import evaluate_coco
from maskrcnn_benchmark.evaluation.predictions_file import load_predictions
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.mask_paste import Masker
from tests.engine.stand_ins import TinyDataset, TinyModel, tiny_loader
from tests.evaluation.dataset import StandInDataset, square

BOTH = ("bbox", "segm")
ORIGINAL = (40, 30)  # width and height; the model input is twice as large
IMAGES = 8


class Annotated(TinyDataset, StandInDataset):
    """Dummy images resized to 40 x 30, with a square in each."""

    def __init__(self) -> None:
        TinyDataset.__init__(self, IMAGES)
        boxes = [{"id": n, "image_id": 99 + n, **square(5, 4, 20)} for n in range(1, IMAGES + 1)]
        images = [self.get_img_info(index) for index in range(IMAGES)]
        categories = [{"id": 7, "name": "thing"}]
        boxes = [{**box, "category_id": 7} for box in boxes]
        annotations = {"images": images, "annotations": boxes, "categories": categories}
        StandInDataset.__init__(self, annotations)

    def get_img_info(self, index):
        return {"id": 100 + index, "width": ORIGINAL[0], "height": ORIGINAL[1]}


class MaskModel(TinyModel):
    """Model that gives three detections with soft masks in most images, none in others."""

    def __init__(self) -> None:
        super().__init__()
        self.masks: list[weakref.ref] = []
        self.alive: list[int] = []
        self.outputs: list[BoxList] = []
        self.keeps_outputs = False

    def forward(self, images, targets=None):
        gc.collect()
        self.alive.append(sum(ref() is not None for ref in self.masks))
        found = [self.find(image) for image in images.tensors]
        masks = [boxes.get_field("mask") for boxes in found]
        self.masks += [weakref.ref(mask) for mask in masks]
        self.outputs += found if self.keeps_outputs else []
        return found

    def find(self, image):
        seed = int(image.abs().sum() * 1000)
        generator = torch.Generator().manual_seed(seed)
        count = 0 if seed % 4 == 0 else 3
        corner = torch.rand(count, 2, generator=generator) * 20
        side = 10 + torch.rand(count, 2, generator=generator) * 28
        boxes = BoxList(torch.cat([corner, corner + side], 1), (80, 60))
        boxes.add_field("labels", torch.ones(count, dtype=torch.int64))
        boxes.add_field("scores", torch.rand(9, generator=generator)[:count])  # a view
        boxes.add_field("mask", torch.rand(count, 1, 7, 7, generator=generator))
        ious = torch.rand(count, generator=generator)
        boxes.add_field("mask_ious", ious)
        boxes.add_field("mask_scores", boxes.get_field("scores") * ious)
        return boxes


@pytest.fixture(scope="module")
def dataset():
    return Annotated()


def in_order(found):
    return [found[index] for index in range(IMAGES)]


def test_no_float_mask_outlives_the_next_batch(dataset):
    model = MaskModel()
    found = compute_on_dataset(model, tiny_loader(4, dataset=dataset), "cpu", Masker())
    # at the start of a batch of two, only masks of the previous batch may remain
    assert len(model.alive) == 4
    assert max(model.alive) <= 2
    gc.collect()
    assert not any(ref() is not None for ref in model.masks)
    for boxes in found.values():
        assert sorted(boxes.fields()) == ["labels", "mask_ious", "mask_scores", "rles", "scores"]
        assert boxes.size == ORIGINAL
        for name in ("labels", "scores", "mask_ious", "mask_scores"):
            values = boxes.get_field(name)
            assert values.untyped_storage().nbytes() == values.nbytes  # no view of a batch
    assert {len(boxes) for boxes in found.values()} == {0, 3}


@pytest.mark.parametrize("masker", [None, Masker(0.3), Masker(0.6, aligned=True)])
def test_rows_and_files_are_those_of_the_models_output(dataset, tmp_path, masker):
    model = MaskModel()
    model.keeps_outputs = True
    loader = tiny_loader(4, dataset=dataset)
    options = {} if masker is None else {"masker": masker}
    own, whole, again = (tmp_path / name for name in ("own", "whole", "again"))
    results = inference(
        model, loader, "tiny", iou_types=BOTH, device="cpu", output_folder=own, **options
    )
    outputs = model.outputs
    assert outputs[0].has_field("mask")
    expected = evaluate_coco(dataset, outputs, iou_types=BOTH, output_folder=whole, **options)
    assert results.results == expected.results
    saved = load_predictions(own / "predictions.pth")
    evaluate_coco(dataset, saved, iou_types=BOTH, output_folder=again)
    for name in ("bbox.json", "segm.json", "results.json"):
        assert (own / name).read_bytes() == (whole / name).read_bytes()
        assert (own / name).read_bytes() == (again / name).read_bytes()
    # masks by the masker's full-size pasting
    segm = iter(json.loads((own / "segm.json").read_text()))
    pastes = masker or Masker(0.5, padding=1)
    for boxes in outputs:
        resized = boxes.resize(ORIGINAL)
        for mask in pastes.forward_single_image(boxes.get_field("mask"), resized)[:, 0].numpy():
            np.testing.assert_array_equal(coco_mask.decode(next(segm)["segmentation"]), mask)
    assert next(segm, None) is None


def test_the_file_is_plain_and_holds_no_float_masks(dataset, tmp_path):
    loader = tiny_loader(4, dataset=dataset)
    inference(MaskModel(), loader, "tiny", iou_types=BOTH, device="cpu", output_folder=tmp_path)
    content = torch.load(tmp_path / "predictions.pth", weights_only=True)
    assert [type(image) for image in content] == [dict] * IMAGES
    segm = iter(json.loads((tmp_path / "segm.json").read_text()))
    for image in content:
        assert image["size"] == ORIGINAL
        rles = image["fields"].pop("rles")
        assert len(rles) == len(image["bbox"])
        assert all(value.shape == (len(rles),) for value in image["fields"].values())
        for counts in rles:
            assert {"size": [30, 40], "counts": counts} == next(segm)["segmentation"]


def test_a_file_of_float_masks_can_be_evaluated(dataset, tmp_path):
    """The format of earlier versions."""
    model = MaskModel().eval()
    outputs = [model.find(image) for image in dataset.images]
    plain = [
        {"bbox": b.bbox, "size": b.size, "mode": b.mode, "pixel_offset": b.pixel_offset}
        | {"fields": {name: b.get_field(name) for name in b.fields()}}
        for b in outputs
    ]
    torch.save(plain, tmp_path / "old.pth")
    old = evaluate_coco(dataset, load_predictions(tmp_path / "old.pth"), iou_types=BOTH)
    assert old.results == evaluate_coco(dataset, outputs, iou_types=BOTH).results


def test_masks_that_the_model_has_pasted_are_refused(dataset):
    model = MaskModel()
    (boxes,) = [b for b in map(model.find, dataset.images) if len(b)][:1]
    boxes.add_field("mask", torch.ones(3, 1, 60, 80, dtype=torch.bool))
    model.find = lambda image: boxes
    with pytest.raises(ValueError, match="POSTPROCESS_MASKS False"):
        compute_on_dataset(model, tiny_loader(4, dataset=dataset), "cpu", Masker())
