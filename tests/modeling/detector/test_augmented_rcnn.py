"""Test-time augmentation against the recorded run, by hand, and by its symmetry."""

import numpy as np
import pytest
import torch
from PIL import Image

from maskrcnn_benchmark.config import make_default_config
from maskrcnn_benchmark.data.transforms import build_transforms
from maskrcnn_benchmark.modeling.detector import build_detection_model, make_augmented
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.image_views import BatchedViews, to_batch
from tests.helpers.recorded_model import load_config, recorded_model
from tests.helpers.shipped_configs import CONFIGS
from tests.helpers.tiny_detector import tiny_config
from tests.helpers.vectors import load_vector

AUG = "TEST.BBOX_AUG"
VIEWS = [f"{AUG}.ENABLED", True, f"{AUG}.H_FLIP", True, f"{AUG}.SCALES", (48, 80)]
VIEWS += [f"{AUG}.MAX_SIZE", 128, f"{AUG}.SCALE_H_FLIP", True]


def table(detections):
    """Return boxes, scores and labels as rows in an order of their own."""
    scores, labels = (detections.get_field(name).numpy() for name in ("scores", "labels"))
    rows = np.concatenate([detections.bbox.numpy(), scores[:, None], labels[:, None]], axis=1)
    return rows[np.lexsort((rows[:, 0].round(1), rows[:, 4].round(5), rows[:, 5]))]


def batch_of(config, images):
    transforms = build_transforms(config, is_train=False)
    return to_batch([transforms(image)[0] for image in images], 32)


def test_recorded_detections():
    meta, arrays = load_vector("bbox_aug", "vectors_upstream")
    arguments = meta["arguments"]
    config = load_config(arguments["config"], arguments["overrides"])
    model = make_augmented(config, recorded_model(arguments)).eval()
    batch = batch_of(config, [Image.fromarray(arrays[f"image_{i}"]) for i in range(2)])
    assert batch.flipped == (False, True, False, True, False, True)
    for number, made in enumerate(arguments["passes"]):
        sizes = [(width, height) for height, width in batch.views[number].image_sizes]
        assert sizes == [tuple(size) for size in made["sizes_wh"]]
        assert list(batch.views[number].tensors.shape) == made["batch_tensor_shape"]
    with torch.no_grad():
        merged = model(batch)
        alone = model(BatchedViews(batch.views[:1], batch.flipped[:1]))
    for image, detections in enumerate(merged):
        assert detections.size == tuple(arguments["final_sizes_wh"][image])
        expected = BoxList(torch.from_numpy(arrays[f"im{image}_boxes"]), detections.size)
        for name in ("scores", "labels"):
            expected.add_field(name, torch.from_numpy(arrays[f"im{image}_{name}"]))
        np.testing.assert_allclose(table(detections), table(expected), atol=2e-2)
        np.testing.assert_allclose(table(detections)[:, 4], table(expected)[:, 4], atol=1e-4)
        scores = np.sort(alone[image].get_field("scores").numpy())
        np.testing.assert_allclose(scores, np.sort(arrays[f"im{image}_noaug_scores"]), atol=1e-4)


def tiny(*options):
    """Return the config and the model, with weights that differ from box to box."""
    config = tiny_config()
    config.merge_from_list([*VIEWS, "MODEL.ROI_HEADS.DETECTIONS_PER_IMG", 12, *options])
    torch.manual_seed(0)
    model = build_detection_model(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1 and "predictor" in name:
                parameter.mul_(4)
    return config, make_augmented(config, model).eval()


@pytest.fixture(scope="module")
def masks():
    return tiny()


@pytest.fixture(scope="module")
def one_stage():
    config = make_default_config()
    config.merge_from_file(CONFIGS / "retinanet/retinanet_R-50-FPN_1x.yaml")
    small = ["MODEL.BACKBONE.CONV_BODY", "R-18-FPN-RETINANET", "MODEL.BACKBONE.OUT_CHANNELS", 8]
    small += ["MODEL.RESNETS.RES2_OUT_CHANNELS", 8, "MODEL.RESNETS.STEM_OUT_CHANNELS", 8]
    small += ["MODEL.RETINANET.NUM_CONVS", 1, "MODEL.RETINANET.NUM_CLASSES", 3]
    small += ["MODEL.DEVICE", "cpu", "INPUT.MIN_SIZE_TEST", 64, "INPUT.MAX_SIZE_TEST", 96]
    config.merge_from_list([*VIEWS, *small, "TEST.DETECTIONS_PER_IMG", 12])
    torch.manual_seed(0)
    model = build_detection_model(config)
    head = model.rpn.head
    with torch.no_grad():  # scores that differ from anchor to anchor, without reaching 0 or 1
        torch.nn.init.zeros_(head.cls_logits.bias)
        logits, _ = head(model.backbone(torch.randn(1, 3, 64, 96) * 50))
        head.cls_logits.weight /= torch.cat([level.flatten() for level in logits]).std()
        torch.nn.init.constant_(head.cls_logits.bias, -2)
    return config, make_augmented(config, model).eval()


def photos():
    """Return images of two sizes; resized, their sizes divide neither 64 nor 80."""
    generator = np.random.RandomState(0)  # noqa: NPY002
    small = [generator.randint(0, 255, (4, 6, 3)), generator.randint(0, 255, (6, 4, 3))]
    return [
        Image.fromarray(pixels.astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
        for pixels, size in zip(small, [(75, 50), (50, 71)], strict=True)
    ]


def detect(made, images, views=6):
    config, model = made
    batch = batch_of(config, images)
    with torch.no_grad():
        return model(BatchedViews(batch.views[:views], batch.flipped[:views]))


@pytest.mark.parametrize("kind", ["masks", "one_stage"])
def test_the_mirrored_image_has_the_mirrored_detections(kind, request):
    """The two views of both images are the same but for their order.

    With inclusive boxes this holds at one scale only: a mirrored view loses a pixel of its own.
    """
    made = request.getfixturevalue(kind)
    image = photos()[0]
    (found,) = detect(made, [image], views=2)
    (mirrored,) = detect(made, [image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)], views=2)
    back = mirrored.transpose(0)
    assert len(found) > 5
    np.testing.assert_allclose(table(back), table(found), atol=2e-3)
    if kind == "masks":
        pairs = (back.bbox[:, None] - found.bbox).abs().amax(dim=2)
        same = back.get_field("labels")[:, None] == found.get_field("labels")
        match = pairs.masked_fill(~same, 1e6).argmin(dim=1)
        for name in ("mask_ious", "mask_scores"):
            expected = found.get_field(name)[match]
            torch.testing.assert_close(back.get_field(name), expected, atol=1e-3, rtol=1e-3)
        flipped = back.get_field("mask").flip(-1)
        torch.testing.assert_close(flipped, found.get_field("mask")[match], atol=1e-3, rtol=0)
        assert not torch.allclose(back.get_field("mask"), flipped, atol=1e-2)


def test_masks_and_their_ious_are_means_over_the_views(masks):
    config, augmented = masks
    batch = batch_of(config, photos()[:1])
    (found,) = detect(masks, photos()[:1])
    heads, labels = augmented.model.roi_heads, found.get_field("labels")
    each = torch.arange(len(found))
    means, ious = [], []
    with torch.no_grad():
        for view, flipped in zip(batch.views, batch.flipped, strict=True):
            height, width = view.image_sizes[0]
            scale = torch.tensor([width / found.size[0], height / found.size[1]] * 2)
            x1, y1, x2, y2 = (found.bbox * scale).unbind(dim=1)
            if flipped:
                x1, x2 = width - 1 - x2, width - 1 - x1
            boxes = BoxList(torch.stack([x1, y1, x2, y2], dim=1), (width, height))
            output = heads.mask(augmented.model.backbone(view.tensors), [boxes])
            mask = output.logits[each, labels].sigmoid()
            ious.append(heads.maskiou(output.roi_features, mask)[each, labels])
            means.append(mask[..., list(range(mask.shape[-1]))[::-1]] if flipped else mask)
    mean = sum(means) / 6
    torch.testing.assert_close(found.get_field("mask")[:, 0], mean, atol=1e-4, rtol=0)
    iou = sum(ious) / 6
    torch.testing.assert_close(found.get_field("mask_ious"), iou, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found.get_field("mask_scores"), found.get_field("scores") * iou)
    assert (ious[0] - iou).abs().max() > 1e-3  # so the mean is not that of the first view


@pytest.mark.parametrize("kind", ["masks", "one_stage"])
def test_batches_equal_single_images(kind, request):
    made = request.getfixturevalue(kind)
    image = photos()[0]
    other = image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    together = detect(made, [image, other])
    alone = [detect(made, [each])[0] for each in (image, other)]
    for one, same in zip(together, alone, strict=True):
        assert one.fields() == same.fields() and len(one) > 5
        np.testing.assert_allclose(table(one), table(same), atol=2e-3)
        for name in one.fields():
            got, expected = one.get_field(name), same.get_field(name)
            torch.testing.assert_close(got, expected, atol=1e-3, rtol=1e-3)


def test_views_without_detections():
    made = tiny("MODEL.ROI_HEADS.SCORE_THRESH", 1.0)
    found = detect(made, [photos()[0]] * 2)
    assert [len(detections) for detections in found] == [0, 0]
    assert found[0].get_field("mask").shape == (0, 1, 12, 12)
    assert found[0].get_field("mask_scores").shape == (0,)


def test_one_view_is_the_plain_detection(masks):
    config, augmented = masks
    batch = batch_of(config, photos()[:1])
    with torch.no_grad():
        (one,) = augmented(BatchedViews(batch.views[:1], (False,)))
        (plain,) = augmented.model(batch.views[0])
    assert one.fields() == plain.fields() and len(plain) > 5
    assert one.bbox.equal(plain.bbox)
    assert all(one.get_field(name).equal(plain.get_field(name)) for name in plain.fields())


def test_one_view_of_a_cascade_is_its_plain_detection():
    names = {"NAME": "CascadeBoxHead", "PREDICTOR": "ClassAgnosticPredictor"}
    config, augmented = tiny(
        *(part for key in names for part in (f"MODEL.ROI_BOX_HEAD.{key}", names[key]))
    )
    batch = batch_of(config, photos()[:1])
    with torch.no_grad():
        (one,) = augmented(BatchedViews(batch.views[:1], (False,)))
        (plain,) = augmented.model(batch.views[0])
    assert one.bbox.equal(plain.bbox) and len(plain) > 5
    assert one.get_field("scores").equal(plain.get_field("scores"))


@pytest.mark.parametrize("masks", [True, False])
def test_keypoints_are_those_of_the_first_view(masks):
    head = "MODEL.ROI_KEYPOINT_HEAD"
    options = ["MODEL.KEYPOINT_ON", True, f"{head}.CONV_LAYERS", (8,), f"{head}.NUM_CLASSES", 3]
    made = tiny(*options, "MODEL.MASK_ON", masks, "MODEL.MASKIOU_ON", masks)
    found = detect(made, photos())
    views = batch_of(made[0], photos()).views
    model = made[1].model
    again = [BoxList(boxes.bbox, boxes.size) for boxes in found]
    with torch.no_grad():
        model.roi_heads.keypoint.add_predictions(model.backbone(views[0].tensors), again)
    for boxes, expected in zip(found, again, strict=True):
        assert boxes.has_field("mask_scores") == masks and len(boxes) > 5
        points = boxes.get_field("keypoints").keypoints
        torch.testing.assert_close(points, expected.get_field("keypoints").keypoints)


def test_a_model_without_its_parts_is_refused(masks):
    config, augmented = masks
    assert make_augmented(tiny_config(), augmented.model) is augmented.model
    with pytest.raises(ValueError, match="BBOX_AUG.ENABLED needs a GeneralizedRCNN.*a Identity"):
        make_augmented(config, torch.nn.Identity())
