"""``analyze``: of which model and for which image the figures are."""

import pytest
from torch import nn

from maskrcnn_benchmark.data.synthetic import write_synthetic_coco
from maskrcnn_benchmark.engine.launch import analyze
from maskrcnn_benchmark.modeling.registry import META_ARCHITECTURES
from maskrcnn_benchmark.utils.user_error import UserError

MS = "e2e_ms_rcnn_R_50_FPN_1x"


def test_the_image_is_the_largest_test_image_padded():
    settings = {"INPUT.MIN_SIZE_TEST": 65, "INPUT.MAX_SIZE_TEST": 100}
    analysis = analyze(MS, settings=settings)
    assert analysis.size == (96, 128)
    parts = {part.name: part for part in analysis.parts}
    assert parts["backbone.body"].shapes[0][2:] == (24, 32)
    assert {"box head, 1000 regions", "mask head, 100 regions"} < parts.keys()


def test_the_total_is_the_sum_of_the_parts():
    analysis = analyze(MS, size=(64, 64))
    assert len(analysis.parts) == 6
    for field in ("parameters", "trainable", "flops"):
        of_parts = sum(getattr(part, field) for part in analysis.parts)
        assert getattr(analysis.total, field) == of_parts > 0
    assert analysis.total.trainable < analysis.total.parameters  # the stem is frozen


def test_only_what_is_trained_counts_as_trainable():
    analysis = analyze(MS, settings={"SOLVER.TRAIN_ONLY": "maskiou"}, size=(64, 64))
    *others, maskiou = analysis.parts
    assert maskiou.trainable == maskiou.parameters == analysis.total.trainable
    assert not any(part.trainable for part in others)


def test_the_classes_are_those_of_the_registered_data(tmp_path):
    data = write_synthetic_coco(tmp_path, num_train=1, num_val=0)
    files = (data / "annotations" / "instances_train.json", data / "train")
    drawn = analyze(MS, datasets={"drawn": files}, size=(64, 64))
    coco = analyze(MS, size=(64, 64))
    assert (drawn.parts[-1].shapes, coco.parts[-1].shapes) == ([(100, 7)], [(100, 81)])


def test_another_architecture_is_refused(monkeypatch):
    monkeypatch.setattr(META_ARCHITECTURES, "_entries", {})
    META_ARCHITECTURES.register("Other")(lambda cfg, paste_masks: nn.Flatten())
    with pytest.raises(UserError, match="a Flatten cannot be analyzed"):
        analyze(settings={"MODEL.META_ARCHITECTURE": "Other"})


def test_a_small_image_is_refused():
    with pytest.raises(UserError, match="an image of 64 x 31: both sides must be at least 32"):
        analyze(MS, size=(64, 31))
