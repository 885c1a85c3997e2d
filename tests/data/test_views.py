"""The views of a test image: each key of TEST.BBOX_AUG, batches of equal padding, the tools."""

import numpy as np
import pytest
import torch
from PIL import Image

from maskrcnn_benchmark.data import make_data_loader
from maskrcnn_benchmark.data.transforms import build_transforms
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.image_views import BatchedViews, ImageViews
from tests.data.helpers import square, write_coco
from tests.helpers.every_key import Case, all_keys, assert_complete, config_with
from tests.helpers.whole_check import check_whole

AUG = "TEST.BBOX_AUG"
PLAIN = {
    "INPUT.MIN_SIZE_TEST": 8,
    "INPUT.MAX_SIZE_TEST": 100,
    "INPUT.PIXEL_MEAN": [0.0, 0.0, 0.0],
    "DATALOADER.NUM_WORKERS": 0,
    "TEST.IMS_PER_BATCH": 4,
}
ON = {f"{AUG}.ENABLED": True}
SCALE = ON | {f"{AUG}.SCALES": (16,)}


def views(cfg):
    """Return width and height of each view of an image of 16 x 8, white on its left half.

    The width of a view whose white half is on the right is negative.
    """
    pixels = np.zeros((8, 16, 3), dtype=np.uint8)
    pixels[:, :8] = 255
    made, _ = build_transforms(cfg, is_train=False)(Image.fromarray(pixels))
    tensors = made.tensors if isinstance(made, ImageViews) else [made]
    signs = [1 if t[0, 0, 0] > t[0, 0, -1] else -1 for t in tensors]
    return [(sign * t.shape[2], t.shape[1]) for sign, t in zip(signs, tensors, strict=True)]


CASES = [
    Case(
        *(f"{AUG}.ENABLED", True, views, [(16, 8)], [(16, 8), (-16, 8)]),
        given={f"{AUG}.H_FLIP": True},
    ),
    Case(f"{AUG}.H_FLIP", True, views, [(16, 8)], [(16, 8), (-16, 8)], given=ON),
    Case(
        *(f"{AUG}.SCALES", (16, 4), views, [(16, 8)], [(16, 8), (32, 16), (8, 4)]),
        given=ON,
    ),
    Case(f"{AUG}.MAX_SIZE", 24, views, [(16, 8), (32, 16)], [(16, 8), (24, 12)], given=SCALE),
    Case(
        *(f"{AUG}.SCALE_H_FLIP", True, views, [(16, 8), (32, 16)]),
        [(16, 8), (32, 16), (-32, 16)],
        given=SCALE,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_changed_key_changes_what_it_says(case):
    case.check(PLAIN)


def test_every_key_has_a_case():
    assert_complete([key for key in all_keys() if key.startswith(AUG)], CASES, {})


def test_the_target_is_that_of_the_first_view():
    target = BoxList([[2.0, 2, 7, 5]], (16, 8))
    config = config_with(PLAIN | SCALE | {"INPUT.MIN_SIZE_TEST": 4})
    _, found = build_transforms(config, is_train=False)(Image.new("RGB", (16, 8)), target)
    assert found.size == (8, 4) and found.bbox.tolist() == [[1.0, 1, 3.5, 2.5]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({f"{AUG}.SCALES": (0,)}, "SCALES is .0,.; it must be positive"),
        ({f"{AUG}.SCALES": (16.5,)}, "must be positive integers"),
        ({f"{AUG}.SCALES": (16,), f"{AUG}.MAX_SIZE": 8}, "at most TEST.BBOX_AUG.MAX_SIZE, 8"),
        ({"MODEL.RPN_ONLY": True}, "MODEL.RPN_ONLY has none"),
    ],
)
def test_contradictions_are_refused(options, message):
    check_whole(config_with(ON))
    with pytest.raises(ValueError, match=message):
        check_whole(config_with(ON | options))
    check_whole(config_with(options))  # only what is enabled is checked


def test_batches_pad_no_view_further(tmp_path):
    """The first views of these images have one padded size, the second ones have two."""
    sizes = [(30, 10), (31, 10), (30, 10), (31, 10)]
    write_coco(tmp_path, [(*size, [square(1, 1, 5)]) for size in sizes])
    options = PLAIN | SCALE | {"DATALOADER.SIZE_DIVISIBILITY": 16, "DATASETS.TEST": ("a",)}
    options |= {"INPUT.MIN_SIZE_TEST": 10, f"{AUG}.SCALES": (21,)}
    options |= {"DATASETS.CUSTOM.a.ANN_FILE": str(tmp_path / "annotations.json")}
    options |= {"DATASETS.CUSTOM.a.IMG_DIR": str(tmp_path / "images")}
    config = config_with(options)
    (loader,) = make_data_loader(config, is_train=False)
    batches = {indices: images for images, _, indices in loader}
    assert set(batches) == {(0, 2), (1, 3)}
    for images in batches.values():
        assert isinstance(images, BatchedViews)
        moved = images.to("cpu")
        assert all(
            torch.equal(a.tensors, b.tensors)
            for a, b in zip(moved.views, images.views, strict=True)
        )
        assert [view.tensors.shape[2] for view in images.views] == [16, 32]
