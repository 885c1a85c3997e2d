"""Upstream's models with deformable convolutions against their recorded runs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.helpers.first_n_sampler import FirstNSampler
from tests.helpers.recorded_model import recorded_images, recorded_model, recorded_target
from tests.helpers.vectors import load_vector

MODELS = ["e2e_faster_R50_FPN_dconv", "e2e_faster_R50_FPN_mdconv"]


@pytest.mark.parametrize("name", MODELS)
def test_recorded_detections(name):
    meta, arrays = load_vector(f"{name}_eval_derived", "vectors_upstream")
    model = recorded_model(meta["arguments"]).eval()
    for image in range(2):
        with torch.no_grad():
            detections = model(recorded_images(arrays, [image]))[0]
        prefix = f"im{image}"
        np.testing.assert_array_equal(detections.get_field("labels"), arrays[f"{prefix}_labels"])
        np.testing.assert_allclose(detections.bbox, arrays[f"{prefix}_boxes"], atol=1e-2)
        np.testing.assert_allclose(
            detections.get_field("scores"), arrays[f"{prefix}_scores"], atol=1e-4
        )


@pytest.mark.parametrize("name", MODELS)
def test_recorded_losses_and_gradients(name):
    meta, arrays = load_vector(f"{name}_train_derived", "vectors_upstream")
    arguments = meta["arguments"]
    model = recorded_model(arguments).train()
    model.rpn.sampler = FirstNSampler(arguments["rpn_batch"], 0.5)
    model.roi_heads.sampler.sampler = FirstNSampler(arguments["roi_batch"], 0.25)
    targets = [recorded_target(arrays, i) for i in range(2)]
    losses = model(recorded_images(arrays, [0, 1]), targets)
    for loss, value in losses.items():
        np.testing.assert_allclose(value.item(), arrays[loss], rtol=1e-4, err_msg=loss)
    sum(losses.values()).backward()
    for parameter, norm in arguments["gradient_norms"].items():
        got = model.get_parameter(parameter).grad.double().norm().item()
        assert got == pytest.approx(norm, rel=5e-3), parameter
