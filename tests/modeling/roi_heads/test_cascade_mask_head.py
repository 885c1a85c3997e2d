"""The mask heads of the stages: their mean, their training, and their settings."""

import pytest
import torch
import torch.nn.functional as F

from maskrcnn_benchmark.modeling.roi_heads.roi_heads import build_roi_heads
from maskrcnn_benchmark.structures.segmentation_mask import SegmentationMask
from tests.modeling.roi_heads.test_cascade_head import (
    DRAW_ALL,
    cascade_config,
    ground_truth,
    proposals,
    pyramid,
)

STAGED = {
    "MODEL.ROI_MASK_HEAD.FEATURE_EXTRACTOR": "PooledFeatureExtractor",
    "MODEL.ROI_MASK_HEAD.PREDICTOR": "MeanMaskPredictor",
}


@pytest.fixture(scope="module")
def heads():
    torch.manual_seed(0)
    options = STAGED | DRAW_ALL | {"MODEL.MASKIOU_ON": False}
    return build_roi_heads(cascade_config(**options), 16, False)


def test_masks_are_the_mean_over_the_stages(heads):
    """By the functions of torch, from the weights."""
    boxes, features, state = proposals(), pyramid(), heads.mask.state_dict()
    with torch.no_grad():
        output = heads.mask(features, boxes)
        pooled = heads.mask.feature_extractor.pooler(features, boxes)
        means = []
        for number in range(3):
            x, names = pooled, f"predictor.stages.{number}"
            for conv in range(2):
                weights = (state[f"{names}.convs.{conv}.{leaf}"] for leaf in ("weight", "bias"))
                x = F.conv2d(x, *weights, padding=1).relu()
            last = f"{names}.predictor"
            weights = (state[f"{last}.conv5_mask.{leaf}"] for leaf in ("weight", "bias"))
            x = F.conv_transpose2d(x, *weights, stride=2).relu()
            weights = (state[f"{last}.mask_fcn_logits.{leaf}"] for leaf in ("weight", "bias"))
            means.append(F.conv2d(x, *weights).sigmoid())
    assert not means[0].allclose(means[1], atol=0.01)
    torch.testing.assert_close(output.logits.sigmoid(), sum(means) / 3, rtol=1e-4, atol=1e-5)
    assert output.roi_features.equal(pooled)


def test_every_stage_is_trained(heads):
    targets = ground_truth()
    polygons = [[[8, 8, 80, 8, 80, 80]], [[40, 20, 120, 20, 112, 100]]]
    targets[0].add_field("masks", SegmentationMask(polygons, targets[0].size))
    targets[1].add_field("masks", SegmentationMask([], targets[1].size))
    heads.losses(pyramid(), proposals(), targets)["loss_mask"].backward()
    names = [n for n, p in heads.mask.named_parameters() if p.grad is None or not p.grad.any()]
    assert names == []
    heads.zero_grad()


def test_settings_that_do_not_fit_are_refused():
    options = STAGED | {"MODEL.ROI_MASK_HEAD.FEATURE_EXTRACTOR": "MaskRCNNFPNFeatureExtractor"}
    with pytest.raises(ValueError, match="it must be PooledFeatureExtractor with MeanMaskPred"):
        cascade_config(**options)
    with pytest.raises(ValueError, match="RESOLUTION is 14; .* predicts masks of size 12"):
        cascade_config(**STAGED, **{"MODEL.ROI_MASK_HEAD.RESOLUTION": 14})
