import json

import numpy as np
import pytest
import torch

from maskrcnn_benchmark.layers import FrozenBatchNorm2d
from maskrcnn_benchmark.modeling.backbone.fpn import FPN
from maskrcnn_benchmark.modeling.detector import build_detection_model
from maskrcnn_benchmark.modeling.make_layers import group_norm
from tests.helpers.recorded_configs import FORK, UPSTREAM, recorded
from tests.helpers.recorded_model import load_config
from tests.helpers.vectors import REFERENCE, load_vector


def test_fpn():
    meta, arrays = load_vector("fpn")
    arguments = meta["arguments"]
    fpn = FPN(arguments["in_channels"], arguments["out_channels"])
    fpn.load_state_dict({k[2:]: torch.from_numpy(v) for k, v in arrays.items() if k[:2] == "w:"})
    levels = fpn([torch.from_numpy(arrays[f"c{i}"]) for i in (2, 3, 4, 5)])
    for level, number in zip(levels, (2, 3, 4, 5, 6), strict=True):
        np.testing.assert_allclose(level.detach(), arrays[f"p{number}"], atol=1e-5)


STATE_DICTS = [
    path.stem
    for path in sorted((REFERENCE / "state_dicts").glob("*.json"))
    if not path.stem.startswith("_")
]


@pytest.mark.parametrize("name", STATE_DICTS)
def test_parameter_names_shapes_and_order(name):
    recorded_state = json.loads((REFERENCE / "state_dicts" / f"{name}.json").read_text())
    configs = UPSTREAM if name.startswith("upstream__") else FORK
    with torch.device("meta"):  # no weights are needed
        model = build_detection_model(recorded(configs[recorded_state["config"]]))
    entries = [
        [key, list(t.shape), str(t.dtype).removeprefix("torch.")]
        for key, t in model.state_dict().items()
    ]
    assert entries == recorded_state["state_dict"]
    trainable = [name for name, p in model.named_parameters() if p.requires_grad]
    assert trainable == recorded_state["named_parameters_order_trainable"]


def test_thin_widths():
    cfg = load_config(
        "e2e_ms_rcnn_R_50_FPN_1x.yaml",
        ["MODEL.RESNETS.WIDTH_PER_GROUP", 32, "MODEL.RESNETS.RES2_OUT_CHANNELS", 128],
    )
    body = build_detection_model(cfg).backbone.body
    assert body.layer4[0].conv2.weight.shape == (256, 256, 3, 3)
    assert body.stage_channels == [128, 256, 512, 1024]
    frozen = [m for m in body.modules() if isinstance(m, FrozenBatchNorm2d)]
    assert len(frozen) == 53


def test_errors_name_the_key():
    with pytest.raises(ValueError, match="CONV_BODY is 'R-49-FPN', .* known: R-"):
        build_detection_model(
            load_config("e2e_ms_rcnn_R_50_FPN_1x.yaml", ["MODEL.BACKBONE.CONV_BODY", "R-49-FPN"])
        )
    with pytest.raises(ValueError, match="GROUP_NORM: 48 channels are not divisible"):
        group_norm(48, num_groups=32)
