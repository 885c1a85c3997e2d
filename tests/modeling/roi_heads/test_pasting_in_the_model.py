"""A model that pastes its masks follows the rule of its config."""

import pytest
import torch

from maskrcnn_benchmark.modeling.detector import build_detection_model
from maskrcnn_benchmark.structures.image_list import to_image_list
from maskrcnn_benchmark.structures.mask_paste import Masker
from tests.helpers.tiny_detector import tiny_config


@pytest.mark.parametrize("aligned", [False, True])
def test_the_pasting_rule_of_the_config_is_used(aligned):
    cfg = tiny_config()
    cfg.MODEL.ROI_MASK_HEAD.POSTPROCESS_MASKS_THRESHOLD = 0.49
    cfg.MODEL.ROI_MASK_HEAD.PASTE_ALIGNED = aligned
    torch.manual_seed(0)
    model = build_detection_model(cfg).eval()
    cfg.MODEL.ROI_MASK_HEAD.POSTPROCESS_MASKS = True
    pasting = build_detection_model(cfg).eval()
    pasting.load_state_dict(model.state_dict())
    images = to_image_list([torch.randn(3, 64, 64) * 50], 32)
    with torch.no_grad():
        (soft,), (pasted,) = model(images), pasting(images)
    masks = soft.get_field("mask")
    expected = Masker(0.49, aligned=aligned).forward_single_image(masks, soft)
    other = Masker(0.49, aligned=not aligned).forward_single_image(masks, soft)
    assert torch.equal(pasted.get_field("mask"), expected)
    assert not torch.equal(other, expected)
