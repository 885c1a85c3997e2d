"""SOLVER.TRAIN_ONLY: one part is trained by its losses, everything else is frozen."""

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from maskrcnn_benchmark.engine.train_only import make_learner
from maskrcnn_benchmark.evaluation.mode import evaluating
from maskrcnn_benchmark.modeling.detector import build_detection_model
from maskrcnn_benchmark.solver import make_optimizer
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.keypoints import Keypoints
from maskrcnn_benchmark.structures.segmentation_mask import SegmentationMask
from tests.helpers.thin_model import thin_config
from tests.helpers.tiny_detector import tiny_config

PREFIXES = {"rpn": "rpn.", "box": "roi_heads.box.", "mask": "roi_heads.mask."}
PREFIXES |= {"maskiou": "roi_heads.maskiou.", "keypoint": "roi_heads.keypoint."}
LOSSES = {
    "rpn": {"loss_objectness", "loss_rpn_box_reg"},
    "box": {"loss_classifier", "loss_box_reg"},
    "mask": {"loss_mask"},
    "maskiou": {"loss_maskiou"},
    "keypoint": {"loss_kp"},
}
SIZE = (96, 64)


class Levels(nn.Module):
    """Apply a module to each level."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, features):
        return [self.module(level) for level in features]


def target(corners):
    boxes = BoxList(corners, SIZE)
    boxes.add_field("labels", torch.ones(len(boxes), dtype=torch.int64))
    outlines = [[[x1, y1, x2, y1, x2, y2, x1, y2]] for x1, y1, x2, y2 in boxes.bbox.tolist()]
    boxes.add_field("masks", SegmentationMask(outlines, SIZE))
    points = torch.cat([boxes.bbox[:, None, :2], torch.ones(len(boxes), 1, 1)], dim=2)
    boxes.add_field("keypoints", Keypoints(points, SIZE, names=["corner"]))
    return boxes


TARGETS = [target([[10, 10, 50, 50], [40, 5, 90, 40]]), target([[5, 20, 60, 60]])]


def make(part, *, keypoints=False):
    """Return the config, the model and the wrapped model."""
    head = {"CONV_LAYERS": (8,), "NUM_CLASSES": 1}
    cfg = tiny_config(KEYPOINT_ON=keypoints or part == "keypoint", ROI_KEYPOINT_HEAD=head)
    cfg.SOLVER.TRAIN_ONLY = part
    torch.manual_seed(0)
    model = build_detection_model(cfg)
    return cfg, model, make_learner(cfg, model).train()


def images():
    return torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("part", list(PREFIXES))
def test_only_the_selected_part_is_updated(part):
    cfg, model, learner = make(part)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    optimizer = make_optimizer(cfg, model)
    trained = [p for group in optimizer.param_groups for p in group["params"]]
    names = {n for n, p in model.named_parameters() if any(p is t for t in trained)}
    assert names == {n for n in before if n.startswith(PREFIXES[part]) and "anchor" not in n}
    for _ in range(2):
        losses = learner(images(), TARGETS)
        assert set(losses) == LOSSES[part]
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
    moved = {name for name, tensor in model.state_dict().items() if not tensor.equal(before[name])}
    assert moved == names


@pytest.mark.parametrize(("part", "shares"), [("box", True), ("mask", True), ("mask", False)])
def test_shared_layers_are_frozen(part, shares):
    """In C4 models, the box and mask heads share their last stage."""
    options = {
        "MODEL.ROI_MASK_HEAD.SHARE_BOX_FEATURE_EXTRACTOR": shares,
        "MODEL.RESNETS.TRANS_FUNC": "BottleneckWithGN",
        "MODEL.RESNETS.STEM_FUNC": "StemWithGN",
        "MODEL.RESNETS.WIDTH_PER_GROUP": 8,
        "MODEL.RESNETS.RES2_OUT_CHANNELS": 32,
        "MODEL.ROI_BOX_HEAD.NUM_CLASSES": 3,
        "MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE": 8,
        "SOLVER.TRAIN_ONLY": part,
    }
    cfg = thin_config("e2e_ms_rcnn_R_50_C4_1x.yaml", options)
    torch.manual_seed(0)
    model = build_detection_model(cfg)
    learner = make_learner(cfg, model).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    optimizer = make_optimizer(cfg, model)
    sum(learner(images(), TARGETS).values()).backward()
    optimizer.step()
    moved = {name for name, tensor in model.state_dict().items() if not tensor.equal(before[name])}
    own = {name for name in before if name.startswith(PREFIXES[part])}
    if shares:
        own = {name for name in own if ".head.layer4." not in name}
    assert moved == own
    assert own


@pytest.mark.parametrize("part", list(PREFIXES))
def test_its_losses_are_those_of_the_whole_training(part):
    whole, alone = (make(p, keypoints=part == "keypoint")[2] for p in ("", part))
    torch.manual_seed(1)
    expected = whole(images(), TARGETS)
    torch.manual_seed(1)
    for name, loss in alone(images(), TARGETS).items():
        assert loss.equal(expected[name])


@pytest.mark.parametrize("part", list(PREFIXES))
def test_statistics_of_other_parts_are_frozen(part):
    """A batch norm outside the part is in evaluation mode, also after a test."""
    cfg, model, learner = make(part)
    norm = nn.BatchNorm2d(16)
    model.backbone = nn.Sequential(model.backbone, Levels(norm))
    model.backbone.out_channels = 16
    learner.train()
    for _ in range(2):
        learner(images(), TARGETS)
        assert norm.running_mean.eq(0).all() and norm.num_batches_tracked == 0
        modes = {name: module.training for name, module in model.named_modules() if name}
        assert {name for name, mode in modes.items() if mode} == {
            name for name in modes if f"{name}.".startswith(PREFIXES[part])
        }
        with evaluating(model):
            assert not any(module.training for module in model.modules())
        assert model.training
    assert make("")[2].roi_heads.training


def test_loss_maskiou_falls():
    cfg, model, learner = make("maskiou")
    cfg.SOLVER.BASE_LR = 1e-3
    optimizer = make_optimizer(cfg, model)
    history = []
    for _ in range(16):
        torch.manual_seed(0)
        loss = learner(images(), TARGETS)["loss_maskiou"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    assert 0 < history[-1] < 0.1 * history[0]


def test_in_distributed_training():
    """Includes an image without objects, where all parameters still take part."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        cfg, model, learner = make("maskiou")
        parallel = DistributedDataParallel(learner, broadcast_buffers=False)
        optimizer = make_optimizer(cfg, model)
        for targets in (TARGETS, [target([]), target([])], TARGETS):
            optimizer.zero_grad()
            parallel(images(), targets)["loss_maskiou"].backward()
            optimizer.step()
    finally:
        dist.destroy_process_group()
