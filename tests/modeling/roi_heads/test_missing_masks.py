"""Instances without a mask: boxes are learned, and mask losses ignore them."""

import pytest
import torch
import torch.nn.functional as F

from maskrcnn_benchmark.modeling.detector import build_detection_model
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.segmentation_mask import SegmentationMask
from tests.helpers.first_n_sampler import FirstNSampler
from tests.helpers.thin_model import thin_config

SIZE = (64, 64)
OUTLINES = [[[4.0, 4.0, 40.0, 4.0, 40.0, 40.0]], [[20.0, 10.0, 60.0, 10.0, 56.0, 50.0, 20.0, 50.0]]]
BOXES = [[4.0, 4.0, 40.0, 40.0], [20.0, 10.0, 60.0, 50.0]]
MODELS = {
    "fpn": ("e2e_ms_rcnn_R_50_FPN_1x.yaml", {}),
    "c4, shared": ("e2e_ms_rcnn_R_50_C4_1x.yaml", {}),
    "c4, own": (
        "e2e_ms_rcnn_R_50_C4_1x.yaml",
        {"MODEL.ROI_MASK_HEAD.SHARE_BOX_FEATURE_EXTRACTOR": False},
    ),
}
WIDTHS = {
    "MODEL.RESNETS.WIDTH_PER_GROUP": 8,
    "MODEL.RESNETS.RES2_OUT_CHANNELS": 32,
    "MODEL.RESNETS.TRANS_FUNC": "BottleneckWithGN",
    "MODEL.RESNETS.STEM_FUNC": "StemWithGN",
    "MODEL.ROI_BOX_HEAD.NUM_CLASSES": 3,
    "MODEL.RPN.BATCH_SIZE_PER_IMAGE": 16,
}


def target(masks) -> BoxList:
    boxes = BoxList(BOXES, SIZE)
    boxes.add_field("labels", torch.tensor([1, 2]))
    boxes.add_field("masks", SegmentationMask(masks, SIZE))
    return boxes


def make(name):
    """Return a model that is trained on all proposals, always the same ones."""
    config, options = MODELS[name]
    torch.manual_seed(0)
    model = build_detection_model(thin_config(config, WIDTHS | options)).train()
    # between the images' objects and beside them, in no order by object
    shifts = torch.tensor([[3.0, 2, 5, 1], [0.0, 0, -8, -6], [-2.0, 4, 3, 3], [30.0, 30, 40, 40]])
    boxes = torch.cat([torch.tensor(BOXES) + shift for shift in shifts]).clamp(0, 63)
    model.rpn.train_proposals = lambda *_: [BoxList(boxes, SIZE), BoxList(boxes.flip(0), SIZE)]
    model.roi_heads.sampler.sampler = FirstNSampler(64, 1.0)
    with torch.no_grad():  # scores of masks that differ from box to box
        model.roi_heads.mask.predictor.mask_fcn_logits.weight.mul_(0.1)
        model.roi_heads.maskiou.predictor.maskiou.weight.mul_(8)
    return model


def losses_of(model, targets):
    torch.manual_seed(1)  # the RPN draws
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(2)) * 50
    return model(images, targets)


def per_roi_losses(model, targets):
    """Return for each positive RoI its image, its instance and its losses, by the definitions."""
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(2)) * 50
    heads = model.roi_heads
    features = model.backbone(images)
    sampled = heads.sampler(model.rpn.train_proposals(), targets)
    rows = []
    for image, boxes in enumerate(sampled.boxes):
        for box, label, instance in zip(
            boxes.bbox, sampled.labels[image], sampled.matched_gt[image], strict=True
        ):
            if label == 0:
                continue
            alone = [BoxList(torch.zeros(0, 4), SIZE), BoxList(torch.zeros(0, 4), SIZE)]
            alone[image] = BoxList(box[None], SIZE)
            output = heads.mask(features, alone)
            logits = output.logits[0, label]
            mask = targets[image].get_field("masks").instances[instance]
            gt = torch.from_numpy(mask.rasterize_in(box.numpy(), logits.shape[-1])).float()
            loss = F.binary_cross_entropy(logits.double().sigmoid(), gt.double()).item()
            predicted = (logits > 0).float()
            overlap = (predicted * gt).sum()
            whole = gt.sum() / mask.visible_fraction(box.numpy(), SIZE)
            iou = overlap / (predicted.sum() + whole - overlap)
            guess = heads.maskiou(output.roi_features, logits.sigmoid()[None])[0, label]
            rows.append((image, int(instance), loss, iou.item(), guess.item()))
    return rows


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    "missing",
    [{(0, 0)}, {(0, 1), (1, 0)}, {(0, 0), (0, 1)}],
    ids=["one", "one of each", "a whole image"],
)
def test_only_rois_of_instances_with_masks_count(name, missing):
    model = make(name)
    full = [target(OUTLINES), target(OUTLINES)]
    mixed = [
        target([None if (image, i) in missing else OUTLINES[i] for i in range(2)])
        for image in range(2)
    ]
    with torch.no_grad():
        expected, got = losses_of(model, full), losses_of(model, mixed)
        rows = per_roi_losses(model, full)
    assert set(got) == set(expected)
    for loss in ("loss_objectness", "loss_rpn_box_reg", "loss_classifier", "loss_box_reg"):
        assert got[loss] == expected[loss], loss
    for losses, left in ((expected, rows), (got, [r for r in rows if r[:2] not in missing])):
        mask_losses = [row[2] for row in left]
        assert losses["loss_mask"].item() == pytest.approx(
            sum(mask_losses) / len(mask_losses), rel=1e-4
        )
        squares = [0.5 * (iou - guess) ** 2 for *_, iou, guess in left if iou > 0]
        assert losses["loss_maskiou"].item() == pytest.approx(sum(squares) / len(squares), rel=1e-3)
    assert {row[:2] for row in rows} == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert got["loss_mask"] != expected["loss_mask"]


@pytest.mark.parametrize("name", MODELS)
def test_a_batch_without_masks_has_zero_mask_loss_and_keeps_the_graph(name):
    model = make(name)
    losses = losses_of(model, [target([None, None]), target([None, None])])
    assert losses["loss_mask"] == losses["loss_maskiou"] == 0
    assert losses["loss_classifier"] > 0 and losses["loss_box_reg"] > 0
    (losses["loss_mask"] + losses["loss_maskiou"]).backward()
    heads = model.roi_heads
    for parameter in [*heads.mask.predictor.parameters(), *heads.maskiou.parameters()]:
        assert parameter.grad is not None and not parameter.grad.any()
