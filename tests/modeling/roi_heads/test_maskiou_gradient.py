"""The MaskIoU loss also trains the mask head and the backbone, as in the original."""

import torch

from maskrcnn_benchmark.modeling.roi_heads.roi_heads import build_roi_heads
from maskrcnn_benchmark.structures.bounding_box import BoxList
from tests.helpers.thin_model import two_objects
from tests.helpers.tiny_detector import tiny_config


def test_the_loss_reaches_the_mask_logits_and_the_features():
    torch.manual_seed(0)
    heads = build_roi_heads(tiny_config(), 16, paste_masks=False).train()
    features = [torch.randn(1, 16, 64 // s, 64 // s, requires_grad=True) for s in (4, 8, 16, 32)]
    target = two_objects()
    losses = heads.losses(features, [BoxList(target.bbox, target.size)], [target])
    logits = heads.mask.predictor.mask_fcn_logits.weight
    by_masks, by_features = torch.autograd.grad(losses["loss_maskiou"], [logits, features[0]])
    assert by_masks.abs().sum() > 0
    assert by_features.abs().sum() > 0
