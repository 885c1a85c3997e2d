"""MaskIoU trains on C4, with other sizes than the original's, and with many objects."""

import pytest
import torch

from maskrcnn_benchmark.modeling.detector import build_detection_model
from maskrcnn_benchmark.modeling.matcher import MAX_PAIRS
from maskrcnn_benchmark.structures.bounding_box import FLIP_LEFT_RIGHT, BoxList
from maskrcnn_benchmark.structures.segmentation_mask import SegmentationMask
from tests.helpers.first_n_sampler import FirstNSampler
from tests.helpers.largest_tensor import LargestTensor
from tests.helpers.thin_model import thin_config, two_objects

C4, FPN = "e2e_ms_rcnn_R_50_C4_1x.yaml", "e2e_ms_rcnn_R_50_FPN_1x.yaml"
SMALL = {
    "MODEL.BACKBONE.FREEZE_CONV_BODY_AT": 0,
    "MODEL.BACKBONE.OUT_CHANNELS": 128,
    "MODEL.RESNETS.WIDTH_PER_GROUP": 8,
    "MODEL.RESNETS.RES2_OUT_CHANNELS": 32,
    "MODEL.RESNETS.TRANS_FUNC": "BottleneckWithGN",  # random weights need a norm
    "MODEL.RESNETS.STEM_FUNC": "StemWithGN",
    "MODEL.ROI_BOX_HEAD.NUM_CLASSES": 3,
}


def sides(pooled, masks, box=None):
    return {
        "MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION": box or pooled,
        "MODEL.ROI_MASK_HEAD.POOLER_RESOLUTION": pooled,
        "MODEL.ROI_MASK_HEAD.RESOLUTION": masks,
    }


def cut_boxes(target):
    """Return proposals that cover parts of objects, so that the target IoU is not always 1."""
    cut = torch.cat([target.bbox + torch.tensor(d) for d in ([0.0, 0, -10, -8], [6.0, 5, 3, 3])])
    return BoxList(cut.clamp(0, 63), target.size)


def test_c4_learns_the_quality_of_the_masks_of_two_images():
    torch.set_num_threads(1)
    model = build_detection_model(thin_config(C4, SMALL | sides(8, 8))).train()
    assert model.roi_heads.mask.shares_box_features
    targets = [two_objects(), two_objects().transpose(FLIP_LEFT_RIGHT)]
    model.rpn.train_proposals = lambda *_: [cut_boxes(target) for target in targets]
    model.roi_heads.sampler.sampler = FirstNSampler(6, 1.0)
    images = torch.randn(2, 3, 64, 64) * 50
    optimizer = torch.optim.Adam(model.parameters(), 5e-4)
    history = []
    for _ in range(55):
        losses = model(images, targets)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        history.append(losses["loss_maskiou"].item())
    # the masks change in the first steps, and with them what is to be learned
    assert max(history[-3:]) < max(history[:10]) / 10
    assert max(history[-3:]) < 0.005  # off by 0.1


@pytest.mark.parametrize(
    ("name", "options"),
    [
        (FPN, sides(7, 14)),
        (FPN, sides(10, 20, box=5)),
        (C4, sides(14, 6, box=6)),  # it pools with the box head
        (C4, sides(20, 20)),
        (C4, sides(10, 10, box=14) | {"MODEL.ROI_MASK_HEAD.SHARE_BOX_FEATURE_EXTRACTOR": False}),
    ],
)
def test_other_sizes_train_and_predict(name, options):
    torch.set_num_threads(1)
    channels = {} if name == C4 else {"MODEL.BACKBONE.OUT_CHANNELS": 24}
    few = {"MODEL.ROI_HEADS.DETECTIONS_PER_IMG": 2, "MODEL.ROI_HEADS.SCORE_THRESH": 0.0}
    model = build_detection_model(thin_config(name, SMALL | channels | few | options))
    model.rpn.train_proposals = lambda *_: [cut_boxes(two_objects())]
    model.roi_heads.sampler.sampler = FirstNSampler(6, 1.0)
    images = torch.randn(1, 3, 64, 64) * 50
    losses = model.train()(images, [two_objects()])
    assert losses["loss_maskiou"].isfinite()
    losses["loss_maskiou"].backward()
    first = model.roi_heads.maskiou.feature_extractor.maskiou_fcn1.weight
    assert first.grad.abs().sum() > 0
    with torch.no_grad():
        detections = model.eval()(images)[0]
    side = options["MODEL.ROI_MASK_HEAD.RESOLUTION"]
    assert len(detections) >= 2
    assert detections.get_field("mask").shape[1:] == (1, side, side)
    assert detections.get_field("mask_ious").shape == (len(detections),)


def test_an_image_with_500_objects_trains():
    """Matched in chunks; one has a single pixel, many are equal, all have masks."""
    torch.set_num_threads(1)
    corner = torch.rand(500, 2) * 200
    boxes = torch.cat([corner, corner + torch.rand(500, 2) * 40], dim=1).round()
    boxes[0, 2:] = boxes[0, :2]
    boxes[-50:] = boxes[:50]
    target = BoxList(boxes, (256, 256))
    target.add_field("labels", torch.arange(500) % 2 + 1)
    corners = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]] + torch.tensor([0.0, 0, 1, 0, 1, 1, 0, 1])
    target.add_field("masks", SegmentationMask([[c] for c in corners.tolist()], target.size))
    options = SMALL | {
        "MODEL.BACKBONE.OUT_CHANNELS": 24,
        "MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE": 32,
    }
    model = build_detection_model(thin_config(FPN, options)).train()
    with LargestTensor() as largest:
        losses = model(torch.randn(1, 3, 256, 256) * 50, [target])
        sum(losses.values()).backward()
    assert all(loss.isfinite() for loss in losses.values())
    assert losses["loss_rpn_box_reg"] > 0 and losses["loss_maskiou"] > 0
    anchors = sum(3 * (256 // stride) ** 2 for stride in (4, 8, 16, 32, 64))
    weights = (
        model.roi_heads.maskiou.feature_extractor.maskiou_fc1.weight
    )  # the largest of the rest
    assert largest.bytes <= 4 * max(MAX_PAIRS, weights.numel())
    assert 500 * anchors > MAX_PAIRS
