from __future__ import annotations

import torch

from maskrcnn_benchmark.evaluation.predictions_file import load_predictions, save_predictions
from tests.evaluation.dataset import recorded_predictions


def test_a_file_gives_back_what_was_written(tmp_path):
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
