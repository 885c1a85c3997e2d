"""Precision used by the layers of the model."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from maskrcnn_benchmark.config import cfg
from maskrcnn_benchmark.modeling.detector import GeneralizedRCNN, build_detection_model
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.image_list import to_image_list


class Recorder(nn.Module):
    """Backbone and RPN that record the dtype of a convolution's output."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 2, 1)
        self.seen = []
        self.box_coder = SimpleNamespace(pixel_offset=1)

    def forward(self, x):
        if x.shape[1] == 3:
            x = self.layer(x)
            self.seen.append(x.dtype)
        return x

    def losses(self, images, features, targets):
        return {"loss": features.float().mean()}, features

    def detections(self, images, output):
        return []


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_layers_compute_in_the_dtype_in_training_and_in_testing(dtype):
    parts = Recorder()
    model = GeneralizedRCNN(parts, parts, None, dtype=dtype)
    images = to_image_list([torch.rand(3, 4, 4)])
    model(images, [BoxList(torch.zeros(0, 4), (4, 4))])["loss"].backward()
    assert parts.layer.weight.grad.dtype == torch.float32
    with torch.no_grad():
        model.eval()(images)
    assert parts.seen == [dtype, dtype]


def test_with_float32_the_callers_autocast_holds():
    parts = Recorder()
    model = GeneralizedRCNN(parts, parts, None).eval()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        model(torch.rand(1, 3, 4, 4))
    assert parts.seen == [torch.bfloat16]


def test_the_config_names_the_dtype():
    config = cfg.clone()
    config.merge_from_list(["DTYPE", "bfloat16", "MODEL.RPN_ONLY", True])
    assert build_detection_model(config).dtype == torch.bfloat16
