"""Models of every kind against the recorded runs; MaskIoU on C4."""

import numpy as np
import pytest
import torch

from maskrcnn_benchmark.structures.bounding_box import BoxList
from tests.helpers.recorded_model import (
    recorded_image,
    recorded_images,
    recorded_model,
    recorded_target,
    use_recorded_samplers,
)
from tests.helpers.vectors import load_vector

# the fork's runs of the same model, with a MaskIoU head, are in the quick tests
SLOW_EVAL, SLOW_TRAIN = (
    pytest.param(f"e2e_mask_R50_FPN_{mode}_upstream", "vectors_upstream", marks=pytest.mark.slow)
    for mode in ("eval", "train")
)
EVAL = [
    ("e2e_faster_R50_C4_eval", "vectors"),
    ("e2e_mask_R50_C4_eval_upstream", "vectors"),
    ("e2e_mask_R50_FPN_gn_eval", "vectors_upstream"),
    ("e2e_mask_R50_FPN_Xconv1fc_gn_eval", "vectors_upstream"),
    ("e2e_faster_R50_FPN_dconv_eval_derived", "vectors_upstream"),
    ("e2e_faster_R50_FPN_mdconv_eval_derived", "vectors_upstream"),
    ("e2e_faster_R50_FPN_clsagnostic_eval", "vectors_upstream"),
    SLOW_EVAL,
    ("e2e_mask_fbnet_default_eval", "vectors_upstream"),
    ("e2e_mask_fbnet_xirb16d_dsmask_eval", "vectors_upstream"),
    ("e2e_faster_fbnet_chamv1a_eval", "vectors_upstream"),
    ("e2e_keypoint_R50_FPN_eval", "vectors_upstream"),
]
TRAIN = [
    ("e2e_mask_R50_C4_train", "vectors"),
    ("e2e_mask_R50_FPN_gn_train", "vectors_upstream"),
    ("e2e_mask_R50_FPN_Xconv1fc_gn_train", "vectors_upstream"),
    ("e2e_faster_R50_FPN_dconv_train_derived", "vectors_upstream"),
    ("e2e_faster_R50_FPN_mdconv_train_derived", "vectors_upstream"),
    ("e2e_faster_R50_FPN_clsagnostic_train", "vectors_upstream"),
    SLOW_TRAIN,
    ("e2e_mask_fbnet_default_train", "vectors_upstream"),
    ("e2e_keypoint_R50_FPN_train", "vectors_upstream"),
]


@pytest.mark.parametrize(("name", "folder"), EVAL)
def test_recorded_detections(name, folder):
    meta, arrays = load_vector(name, folder)
    model = recorded_model(meta["arguments"]).eval()
    for image in range(2):
        images = recorded_images(arrays, [image], meta["arguments"].get("size_divisibility", 0))
        with torch.no_grad():
            detections = model(images)[0]
        prefix = f"im{image}"
        np.testing.assert_array_equal(detections.get_field("labels"), arrays[f"{prefix}_labels"])
        np.testing.assert_allclose(detections.bbox, arrays[f"{prefix}_boxes"], atol=1e-2)
        np.testing.assert_allclose(
            detections.get_field("scores"), arrays[f"{prefix}_scores"], atol=1e-4
        )
        assert detections.has_field("mask") == (f"{prefix}_masks" in arrays)
        if detections.has_field("mask"):
            masks, first = detections.get_field("mask"), arrays[f"{prefix}_masks"]
            means = masks.mean(dim=(1, 2, 3))
            np.testing.assert_allclose(means, arrays[f"{prefix}_mask_mean"], atol=1e-4)
            np.testing.assert_allclose(masks[: len(first)], first, atol=2e-3)
        assert detections.has_field("keypoints") == (f"{prefix}_keypoints" in arrays)
        if detections.has_field("keypoints"):
            keypoints = detections.get_field("keypoints")
            np.testing.assert_allclose(
                keypoints.get_field("logits"), arrays[f"{prefix}_kp_scores"], atol=2e-3
            )
            recorded = arrays[f"{prefix}_keypoints"]
            np.testing.assert_allclose(keypoints.keypoints, recorded, atol=1e-2)


@pytest.mark.parametrize(("name", "folder"), TRAIN)
def test_recorded_losses_and_gradients(name, folder):
    meta, arrays = load_vector(name, folder)
    arguments = meta["arguments"]
    model = recorded_model(arguments).train()
    if any(isinstance(module, torch.nn.BatchNorm2d) for module in model.modules()):
        # statistics of few pixels multiply the rounding of another order of summation
        model.to(memory_format=torch.contiguous_format)
    use_recorded_samplers(model, arguments)
    images = recorded_images(arrays, [0, 1], arguments["size_divisibility"])
    losses = model(images, [recorded_target(arrays, i) for i in range(2)])
    for loss, value in losses.items():
        np.testing.assert_allclose(value.item(), arrays[loss], rtol=1e-4, err_msg=loss)
    sum(losses.values()).backward()
    for parameter, norm in arguments["gradient_norms"].items():
        got = model.get_parameter(parameter).grad.double().norm().item()
        # the gradient of a bias that a batch norm follows is 0 but for rounding
        assert got == pytest.approx(norm, rel=5e-3, abs=1e-5), parameter


def test_recorded_proposals_of_an_rpn_only_model():
    meta, arrays = load_vector("e2e_rpn_R50_FPN_eval", "vectors_upstream")
    model = recorded_model(meta["arguments"]).eval()
    for image in range(2):
        with torch.no_grad():
            found = model(recorded_images(arrays, [image]))[0]
        prefix = f"im{image}"
        np.testing.assert_allclose(found.bbox, arrays[f"{prefix}_boxes"], atol=1e-2)
        objectness = found.get_field("objectness")
        np.testing.assert_allclose(objectness, arrays[f"{prefix}_objectness"], atol=1e-5)


@pytest.mark.parametrize("shared", [True, False])
def test_mask_scores_on_c4(shared):
    meta, arrays = load_vector("e2e_mask_R50_C4_train")
    share = ["MODEL.ROI_MASK_HEAD.SHARE_BOX_FEATURE_EXTRACTOR", shared]
    arguments = {**meta["arguments"], "weight_check_sum_first_last": {}}
    arguments["overrides"] = [*arguments["overrides"], "MODEL.MASKIOU_ON", True, *share]
    model = recorded_model(arguments)
    images = [recorded_image(arrays, i) for i in range(2)]
    empty = BoxList([], recorded_target(arrays, 1).size)
    empty.add_field("labels", torch.zeros(0, dtype=torch.int64))
    losses = model.train()(images, [recorded_target(arrays, 0), empty])
    assert losses["loss_maskiou"] > 0
    with torch.no_grad():
        for detections in model.eval()(images):
            ious = detections.get_field("mask_ious")
            torch.testing.assert_close(
                detections.get_field("mask_scores"), detections.get_field("scores") * ious
            )
