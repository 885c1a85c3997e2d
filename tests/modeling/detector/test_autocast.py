"""Training and inference under torch.autocast."""

import pytest
import torch

from maskrcnn_benchmark.layers import full_precision, multilevel_roi_align, roi_align
from maskrcnn_benchmark.modeling import poolers
from maskrcnn_benchmark.modeling.detector import build_detection_model
from maskrcnn_benchmark.structures.image_list import to_image_list
from tests.helpers.thin_model import thin_config, two_objects

# so many samples that none is drawn
EVERYTHING = {
    "MODEL.RPN.BATCH_SIZE_PER_IMAGE": 10**6,
    "MODEL.RPN.POSITIVE_FRACTION": 1.0,
    "MODEL.RPN.POST_NMS_TOP_N_TRAIN": 60,
    "MODEL.RPN.FPN_POST_NMS_TOP_N_TRAIN": 60,
    "MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE": 200,
    "MODEL.ROI_HEADS.POSITIVE_FRACTION": 1.0,
    "MODEL.ROI_HEADS.SCORE_THRESH": 0.0,
    "MODEL.ROI_HEADS.DETECTIONS_PER_IMG": 5,
}
NAMES = [
    "e2e_ms_rcnn_R_50_FPN_1x.yaml",
    "e2e_ms_rcnn_R_50_C4_1x.yaml",
    "gn_baselines/e2e_mask_rcnn_R_50_FPN_Xconv1fc_1x_gn.yaml",
    "dcn/e2e_mask_rcnn_mdconv_R_50_FPN_1x.yaml",
]


def fix_proposals(model, images):
    """Train on fixed proposals, because the RPN may choose among nearly equal ones."""
    batch = to_image_list(images)
    with torch.no_grad():
        proposals = model.rpn.train_proposals(batch, model.rpn(model.backbone(images)))
    model.rpn.train_proposals = lambda *_: proposals


@pytest.mark.parametrize(
    ("name", "dtype"), [(NAMES[0], torch.float16), *((name, torch.bfloat16) for name in NAMES)]
)
def test_losses_and_predictions(name, dtype, monkeypatch):
    model = build_detection_model(thin_config(name, EVERYTHING))
    kernels = [p for p in model.parameters() if p.dim() > 1]
    for kernel in kernels:
        kernel.data.mul_(0.7)  # without norms the random values would grow
    images = torch.randn(1, 3, 64, 64) * 50
    fix_proposals(model, images)
    expected = model.train()(images, [two_objects()])

    pooled = []

    def observed(features, rois, *arguments, **options):
        output = multilevel_roi_align(features, rois, *arguments, **options)
        pooled.append((features[0].dtype, rois.dtype, output.dtype))
        return output

    monkeypatch.setattr(poolers, "multilevel_roi_align", observed)
    with torch.autocast("cpu", dtype=dtype):
        losses = model(images, [two_objects()])
        with torch.no_grad():
            detections = model.eval()(images)[0]
    assert {rois for _, rois, _ in pooled} == {torch.float32}
    assert all(before == after for before, _, after in pooled)
    assert dtype in {before for before, _, _ in pooled}
    for key, loss in losses.items():
        assert loss.dtype == torch.float32, key
        assert loss.item() == pytest.approx(expected[key].item(), rel=0.05), key
    sum(losses.values()).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
    assert len(detections) >= 5
    assert detections.bbox.dtype == torch.float32
    for field in set(detections.fields()) - {"labels"}:
        assert detections.get_field(field).dtype == torch.float32, field
        assert detections.get_field(field).isfinite().all()


def test_rois_keep_their_place_far_from_the_origin():
    """bfloat16 represents 1200 and 1208, but nothing in between."""
    features = torch.arange(400.0).expand(1, 1, 8, 400).bfloat16()  # whole numbers: exact to 256
    rois = torch.tensor([[0.0, 803.0, 4.0, 811.0, 12.0]])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        pooled = roi_align(features, rois, 1, 0.25, 2)
    assert pooled.dtype == torch.bfloat16
    assert pooled.item() == pytest.approx(807 / 4, abs=1)


def test_full_precision():
    assert full_precision(torch.zeros(1, dtype=torch.bfloat16)).dtype == torch.float32
    assert full_precision(torch.zeros(1, dtype=torch.float16)).dtype == torch.float32
    for dtype in (torch.float32, torch.float64):
        x = torch.zeros(1, dtype=dtype)
        assert full_precision(x) is x


def test_rpn_outputs_are_full_precision():
    """In half precision, objectness would tie and sums would lose small terms."""
    model = build_detection_model(thin_config(NAMES[0], EVERYTHING)).eval()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        output = model.rpn(model.backbone(torch.randn(1, 3, 64, 64) * 50))
    for name, tensors in (("objectness", output.objectness), ("deltas", output.deltas)):
        assert {tensor.dtype for tensor in tensors} == {torch.float32}, name
