"""``analyze``: of which model and for which image the figures are."""

import pytest

from maskrcnn_benchmark.data.synthetic import write_synthetic_coco
from maskrcnn_benchmark.engine.launch import analyze
from maskrcnn_benchmark.modeling.registry import META_ARCHITECTURES
from maskrcnn_benchmark.utils.user_error import UserError
from tests.helpers.thin_model import THIN

MS = "e2e_ms_rcnn_R_50_FPN_1x"


def test_the_image_is_the_largest_test_image_padded():
    settings = {"INPUT.MIN_SIZE_TEST": 65, "INPUT.MAX_SIZE_TEST": 100, **THIN}
    analysis = analyze(MS, settings=settings)
    assert analysis.size == (96, 128)
    parts = {part.name: part for part in analysis.parts}
    assert parts["backbone.body"].shapes[0][2:] == (24, 32)
    assert {"box head, 1000 regions", "mask head, 100 regions"} < parts.keys()


def test_the_total_is_the_sum_of_the_parts():
    analysis = analyze(MS, settings=THIN, size=(64, 64))
    assert len(analysis.parts) == 6
    for field in ("parameters", "trainable", "flops"):
        of_parts = sum(getattr(part, field) for part in analysis.parts)
        assert getattr(analysis.total, field) == of_parts > 0
    assert analysis.total.trainable < analysis.total.parameters  # the stem is frozen


def test_only_what_is_trained_counts_as_trainable():
    analysis = analyze(MS, settings={"SOLVER.TRAIN_ONLY": "maskiou", **THIN}, size=(64, 64))
    *others, maskiou = analysis.parts
    assert maskiou.trainable == maskiou.parameters == analysis.total.trainable
    assert not any(part.trainable for part in others)


def test_the_classes_are_those_of_the_registered_data(tmp_path):
    data = write_synthetic_coco(tmp_path, num_train=1, num_val=0)
    files = (data / "annotations" / "instances_train.json", data / "train")
    drawn = analyze(MS, settings=THIN, datasets={"drawn": files}, size=(64, 64))
    coco = analyze(MS, settings=THIN, size=(64, 64))
    assert (drawn.parts[-1].shapes, coco.parts[-1].shapes) == ([(100, 7)], [(100, 81)])


def test_another_architecture_is_refused(monkeypatch):
    import torch

    @META_ARCHITECTURES.register("Other")
    def build_other(cfg, paste_masks):
        return torch.nn.Flatten()

    try:
        with pytest.raises(UserError, match="a Flatten cannot be analyzed"):
            analyze(MS, settings={"MODEL.META_ARCHITECTURE": "Other"})
    finally:
        META_ARCHITECTURES.pop("Other")
