from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from maskrcnn_benchmark.engine import inference as inference_module
from maskrcnn_benchmark.engine.inference import (
    compute_on_dataset,
    gather_predictions,
    inference,
)
from maskrcnn_benchmark.evaluation.mode import evaluating
from maskrcnn_benchmark.evaluation.predictions_file import load_predictions
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.mask_paste import Masker
from maskrcnn_benchmark.structures.rle_masks import RleMasks
from maskrcnn_benchmark.utils.user_error import UserError
from tests.engine.stand_ins import TinyDataset, TinyModel, tiny_loader
from tests.evaluation.dataset import StandInDataset, square


class AnnotatedDataset(TinyDataset, StandInDataset):
    """Dummy images with a square in each."""

    def __init__(self, count: int) -> None:
        TinyDataset.__init__(self, count)
        images = [TinyDataset.get_img_info(self, index) for index in range(count)]
        boxes = [{"id": i, "image_id": 99 + i, **square(1, 1, 5)} for i in range(1, count + 1)]
        StandInDataset.__init__(
            self,
            {
                "images": images,
                "annotations": [{**box, "category_id": 7} for box in boxes],
                "categories": [{"id": 7, "name": "thing"}],
            },
        )


@pytest.mark.parametrize("training", [True, False])
def test_predicts_every_image_and_restores_the_mode(training):
    model = TinyModel().train(training)
    dataset = TinyDataset(6)
    predictions = compute_on_dataset(model, tiny_loader(3, dataset=dataset), "cpu", Masker())
    assert model.training is training
    assert sorted(predictions) == list(range(6))
    for index, boxes in predictions.items():
        expected = dataset.images[index].mean().sigmoid()
        assert boxes.get_field("scores").item() == pytest.approx(expected.item())


def test_the_mode_is_restored_after_an_error():
    model = TinyModel().train()
    with pytest.raises(RuntimeError), evaluating(model):
        raise RuntimeError
    assert model.training


def test_an_image_without_prediction_is_an_error():
    boxes = BoxList(torch.zeros(0, 4), (8, 8))
    with pytest.raises(RuntimeError, match=r"1 of 3 images have no prediction.*\[1\]"):
        gather_predictions({0: boxes, 2: boxes}, 3, None)


def test_predicts_evaluates_and_writes_the_files(tmp_path):
    dataset = AnnotatedDataset(6)
    loader = tiny_loader(3, dataset=dataset)
    results = inference(
        TinyModel(), loader, "tiny", device="cpu", output_folder=tmp_path / "inference" / "tiny"
    )
    assert results["bbox"]["AP"] == pytest.approx(1)
    folder = tmp_path / "inference" / "tiny"
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["bbox.json", "coco_results.pth", "predictions.pth", "results.json"]
    assert len(load_predictions(folder / "predictions.pth")) == 6


def test_keypoints_are_refused_before_the_inference_of_another_metric():
    dataset = AnnotatedDataset(2)
    dataset.metric = "voc"
    loader = tiny_loader(2, dataset=dataset)
    with pytest.raises(UserError, match="'tiny' is evaluated by the metric 'voc'"):
        inference(None, loader, "tiny", iou_types=("bbox", "keypoints"), device="cpu")


def _process(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    own = {}
    for index in range(rank, 5, 2):
        own[index] = BoxList(torch.full((1, 4), float(index)), (8, 8))
        own[index].add_field("rles", RleMasks((8, 8), [f"0{index}"]))
    shared = Path(folder) / "shared"
    gathered = gather_predictions(own, 5, shared)
    if rank == 0:
        assert [boxes.bbox[0, 0].item() for boxes in gathered] == [0, 1, 2, 3, 4]
        assert [boxes.get_field("rles").counts for boxes in gathered] == [
            [f"0{n}"] for n in range(5)
        ]
        assert list(shared.iterdir()) == []
    else:
        assert gathered is None
    with pytest.raises(ValueError, match="needs an output_folder"):
        gather_predictions(own, 5, None)
    inference_module._SECONDS_FOR_A_FILE = 0
    not_shared = Path(folder) / f"disk{rank}"
    if rank == 0:
        with pytest.raises(RuntimeError, match=r"of process 1 are not in .*disk0: all machines"):
            gather_predictions(own, 5, not_shared)
    else:
        gather_predictions(own, 5, not_shared)
    dist.destroy_process_group()


def test_two_processes_share_the_images_through_files(tmp_path):
    mp.spawn(_process, args=(str(tmp_path),), nprocs=2)
