import torch

from maskrcnn_benchmark.evaluation.coco_format import in_original_frame
from maskrcnn_benchmark.evaluation.predictions_file import load_predictions, save_predictions
from maskrcnn_benchmark.structures.mask_paste import Masker
from tests.evaluation.dataset import recorded_dataset, recorded_predictions


def test_masks_are_written_as_rles(tmp_path):
    dataset, predictions = recorded_dataset(), recorded_predictions("labels", "scores", "mask")
    found = [boxes for _, boxes in in_original_frame(dataset, predictions, Masker())]
    save_predictions(found, tmp_path / "predictions.pth")
    for ours, theirs in zip(load_predictions(tmp_path / "predictions.pth"), found, strict=True):
        assert ours.fields() == theirs.fields() == ["labels", "scores", "rles"]
        assert ours.get_field("rles").dicts() == theirs.get_field("rles").dicts()
        assert len(ours.get_field("rles")) > 0


def test_round_trip(tmp_path):
    predictions = recorded_predictions("labels", "scores", "mask", "mask_scores")
    save_predictions(predictions, tmp_path / "predictions.pth")
    again = load_predictions(tmp_path / "predictions.pth")
    assert len(again) == len(predictions)
    for ours, theirs in zip(again, predictions, strict=True):
        assert (ours.size, ours.mode) == (theirs.size, theirs.mode)
        assert torch.equal(ours.bbox, theirs.bbox)
        assert ours.fields() == theirs.fields()
        for name in ours.fields():
            assert torch.equal(ours.get_field(name), theirs.get_field(name))
