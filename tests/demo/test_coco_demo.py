"""``COCODemo`` keeps its methods and gives the same results as the predictor."""

import numpy as np
import pytest
import torch

from demo.predictor import COCODemo
from maskrcnn_benchmark.data.datasets.images import as_rgb
from maskrcnn_benchmark.predict.predictor import Predictor
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.mask_paste import Masker
from maskrcnn_benchmark.visualization.colors import colors_for
from tests.helpers.tiny_detector import save_checkpoint, tiny_config

IMAGE = np.random.default_rng(0).integers(256, size=(80, 100, 3), dtype=np.uint8)


class Pets(COCODemo):
    CATEGORIES = ("__background", "cat", "dog")


@pytest.fixture(scope="module")
def cfg(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    cfg = tiny_config()
    cfg.merge_from_list(["MODEL.WEIGHT", str(save_checkpoint(folder, cfg)), "OUTPUT_DIR", ""])
    cfg.freeze()
    return cfg


@pytest.fixture(scope="module")
def demo(cfg):
    return Pets(cfg, confidence_threshold=0.3, min_image_size=64)


def test_equals_the_predictor_on_the_rgb_image(demo, cfg):
    found = demo.compute_prediction(IMAGE)
    expected = Predictor.from_checkpoint(cfg.MODEL.WEIGHT, device="cpu")(IMAGE[..., ::-1])
    np.testing.assert_array_equal(found.bbox.numpy(), expected.boxes)
    np.testing.assert_array_equal(found.get_field("scores").numpy(), expected.scores)
    np.testing.assert_array_equal(found.get_field("mask_scores").numpy(), expected.mask_scores)
    np.testing.assert_array_equal(found.get_field("mask")[:, 0].numpy(), expected.masks())
    assert found.size == (100, 80)


def test_top_predictions(demo):
    found = demo.compute_prediction(IMAGE)
    scores = found.get_field("scores")
    demo.confidence_threshold = float(scores.median())
    try:
        top = demo.select_top_predictions(found).get_field("scores")
    finally:
        demo.confidence_threshold = 0.3
    assert torch.equal(top, scores[scores > scores.median()].sort(descending=True).values)
    assert 0 < len(top) < len(scores)


def test_a_score_at_the_threshold_is_dropped(demo, monkeypatch):
    boxes = BoxList([[0.0, 0, 9, 9], [10, 0, 19, 9], [20, 0, 29, 9]], (100, 80))
    boxes.add_field("scores", torch.tensor([0.5, 0.75, 0.25]))
    monkeypatch.setattr(demo, "confidence_threshold", 0.5)
    assert demo.select_top_predictions(boxes).get_field("scores").tolist() == [0.75]
    monkeypatch.setattr(demo, "confidence_threshold", 0.25)
    assert demo.select_top_predictions(boxes).get_field("scores").tolist() == [0.75, 0.5]


@pytest.mark.parametrize("heatmaps", [False, True])
def test_masks_are_pasted_by_the_rule_of_the_config(cfg, heatmaps):
    other = cfg.clone()
    other.defrost()
    head = "MODEL.ROI_MASK_HEAD"
    other.merge_from_list(
        [f"{head}.PASTE_ALIGNED", True, f"{head}.POSTPROCESS_MASKS_THRESHOLD", 0.3]
    )
    demo = Pets(other, show_mask_heatmaps=heatmaps, min_image_size=64)
    (soft,) = demo.predictor.detections([as_rgb(IMAGE[..., ::-1])])
    masker = Masker(-1 if heatmaps else 0.3, aligned=True)
    expected = masker.forward_single_image(soft.get_field("mask"), soft)
    assert torch.equal(demo.compute_prediction(IMAGE).get_field("mask"), expected)


def test_overlays(demo):
    found = demo.select_top_predictions(demo.compute_prediction(IMAGE))
    boxes = demo.overlay_boxes(IMAGE.copy(), found)
    x1, y1, _, _ = found.bbox[0].round().int().tolist()
    colors = demo.compute_colors_for_labels(found.get_field("labels"))
    rgb = colors_for(found.get_field("labels").numpy())
    np.testing.assert_array_equal(colors, rgb[:, ::-1])
    assert boxes[y1, x1].tolist() in colors.tolist()
    masks = demo.overlay_mask(IMAGE, found)
    inside = found.get_field("mask")[:, 0].any(dim=0).numpy()
    far = ~torch.nn.functional.max_pool2d(torch.from_numpy(inside)[None].float(), 13, 1, 6)[
        0
    ].bool()
    assert (masks[inside] != IMAGE[inside]).mean() > 0.8
    np.testing.assert_array_equal(masks[far], IMAGE[far])
    names = demo.overlay_class_names(np.zeros_like(IMAGE), found)
    assert (names == 255).any()
    whole = demo.run_on_opencv_image(IMAGE)
    assert whole.shape == IMAGE.shape
    composed = demo.overlay_mask(boxes, found)
    np.testing.assert_array_equal(whole, demo.overlay_class_names(composed, found))


def test_heatmaps(cfg):
    demo = Pets(cfg, 0.0, show_mask_heatmaps=True, masks_per_dim=3, min_image_size=64)
    found = demo.select_top_predictions(demo.compute_prediction(IMAGE))
    soft = found.get_field("mask")
    assert soft.dtype == torch.uint8
    predictor = Predictor.from_checkpoint(cfg.MODEL.WEIGHT, device="cpu")
    (boxes,) = predictor.detections([as_rgb(IMAGE[..., ::-1])])
    expected = Masker(-1, padding=1).forward_single_image(boxes.get_field("mask"), boxes)
    order = boxes.get_field("scores").argsort(descending=True)
    assert torch.equal(soft, expected[order])
    assert demo.run_on_opencv_image(IMAGE).shape == (78, 99, 3)


def test_without_detections_the_image_is_unchanged(demo):
    demo.confidence_threshold = 1.0
    try:
        np.testing.assert_array_equal(demo.run_on_opencv_image(IMAGE), IMAGE)
    finally:
        demo.confidence_threshold = 0.3


def test_has_coco_classes_and_requires_weights(cfg):
    assert len(COCODemo.CATEGORIES) == 81
    bare = cfg.clone()
    bare.defrost()
    bare.MODEL.WEIGHT = ""
    with pytest.raises(ValueError, match="COCODemo needs weights"):
        COCODemo(bare)
