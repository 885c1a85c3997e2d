"""Models on the C4 backbone against the recorded runs; MaskIoU on C4."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from maskrcnn_benchmark.structures.bounding_box import BoxList
from tests.helpers.first_n_sampler import FirstNSampler
from tests.helpers.recorded_model import recorded_image, recorded_model, recorded_target
from tests.helpers.vectors import load_vector


@pytest.mark.parametrize("name", ["e2e_faster_R50_C4_eval", "e2e_mask_R50_C4_eval_upstream"])
def test_recorded_detections(name):
    meta, arrays = load_vector(name)
    model = recorded_model(meta["arguments"]).eval()
    for image in range(2):
        with torch.no_grad():
            detections = model([recorded_image(arrays, image)])[0]
        prefix = f"im{image}"
        np.testing.assert_array_equal(detections.get_field("labels"), arrays[f"{prefix}_labels"])
        np.testing.assert_allclose(detections.bbox, arrays[f"{prefix}_boxes"], atol=1e-2)
        np.testing.assert_allclose(
            detections.get_field("scores"), arrays[f"{prefix}_scores"], atol=1e-4
        )
        if f"{prefix}_masks" in arrays:
            masks = detections.get_field("mask")
            means = masks.mean(dim=(1, 2, 3))
            np.testing.assert_allclose(means, arrays[f"{prefix}_mask_mean"], atol=1e-4)
            first = arrays[f"{prefix}_masks"]
            np.testing.assert_allclose(masks[: len(first)], first, atol=2e-3)


def test_recorded_losses_and_gradients():
    meta, arrays = load_vector("e2e_mask_R50_C4_train")
    arguments = meta["arguments"]
    model = recorded_model(arguments).train()
    model.rpn.sampler = FirstNSampler(arguments["rpn_batch"], 0.5)
    model.roi_heads.sampler.sampler = FirstNSampler(arguments["roi_batch"], 0.25)
    images = [recorded_image(arrays, i) for i in range(2)]
    losses = model(images, [recorded_target(arrays, i) for i in range(2)])
    for loss, value in losses.items():
        np.testing.assert_allclose(value.item(), arrays[loss], rtol=1e-4, err_msg=loss)
    sum(losses.values()).backward()
    for parameter, norm in arguments["gradient_norms"].items():
        got = model.get_parameter(parameter).grad.double().norm().item()
        assert got == pytest.approx(norm, rel=5e-3), parameter


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
