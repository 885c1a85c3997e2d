"""Observations of a model built from a config, for ``every_key.Case``."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from yacs.config import CfgNode

from maskrcnn_benchmark.layers import DFConv2d
from maskrcnn_benchmark.modeling.backbone import build_backbone
from maskrcnn_benchmark.modeling.box_coder import make_box_coder
from maskrcnn_benchmark.modeling.detector import build_detection_model
from maskrcnn_benchmark.modeling.roi_heads.box_head import BoxOutput
from maskrcnn_benchmark.modeling.roi_heads.cascade_head import CascadeOutput
from maskrcnn_benchmark.modeling.roi_heads.roi_heads import CombinedROIHeads, build_roi_heads
from maskrcnn_benchmark.modeling.rpn.proposals import RPNOutput
from maskrcnn_benchmark.modeling.rpn.rpn import RPN, build_rpn
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.image_list import ImageList
from maskrcnn_benchmark.structures.mask_paste import make_masker
from tests.helpers.thin_model import two_objects
from tests.helpers.whole_check import check_whole


def refused(cfg: CfgNode) -> list[str]:
    """Return the keys at the start of the error lines of the config check."""
    try:
        check_whole(cfg)
    except ValueError as error:
        return [line.split()[0] for line in str(error).splitlines()[1:]]
    return []


# -- body ------------------------------------------------------------------------------------------
def maps(cfg: CfgNode) -> list[tuple[int, ...]]:
    """Return channels and side of each feature map of a 64-pixel image."""
    with torch.no_grad():
        return [tuple(m.shape[1:3]) for m in build_backbone(cfg)(torch.zeros(1, 3, 64, 64))]


def frozen(cfg: CfgNode) -> list[str]:
    body = build_backbone(cfg).body
    stages = ["stem", *body.stages]
    return [s for s in stages if not any(p.requires_grad for p in getattr(body, s).parameters())]


def keeps_activations(cfg: CfgNode) -> bool:
    """Return whether the graph of the body keeps anything but the inputs of its stages."""
    kept: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        body = build_backbone(cfg).body
        body(torch.zeros(1, 3, 64, 64))
    return len([tensor for tensor in kept if tensor.dim() == 4]) > 1 + len(body.stages)


def block(cfg: CfgNode) -> list[tuple[int, ...]]:
    """Return the kernels of the first block of layer2 and their strides."""
    first = build_backbone(cfg).body.layer2[0]
    convs = (first.conv1, first.conv2, first.conv3)
    return [(*conv.weight.shape[:2], *conv.stride[:1]) for conv in convs]


def norms(cfg: CfgNode) -> list[str]:
    """Return the norms of stem, block and pyramid."""
    backbone = build_backbone(cfg)
    fpn = [type(m).__name__ for m in getattr(backbone, "fpn", nn.Module()).modules()]
    body = backbone.body
    names = [type(body.stem.bn1).__name__, type(body.layer2[0].bn2).__name__]
    return [*names, "GroupNorm" if "GroupNorm" in fpn else "none"]


def kinds(*parts: nn.Module) -> list[str]:
    """Return the name of each kind of norm in the parts; those that synchronize say so."""
    found = {}
    for module in (module for part in parts for module in part.modules()):
        if "Norm" in type(module).__name__:
            synchronized = " of all ranks" if getattr(module, "synchronized", False) else ""
            found[type(module).__name__ + synchronized] = True
    return list(found)


def body_norms(cfg: CfgNode) -> list[str]:
    return kinds(build_backbone(cfg).body)


def pyramid_norms(cfg: CfgNode) -> list[str]:
    return kinds(build_backbone(cfg).fpn)


def box_norms(cfg: CfgNode) -> list[str]:
    return kinds(heads_of(cfg).box)


def mask_norms(cfg: CfgNode) -> list[list[str]]:
    heads = heads_of(cfg)
    return [kinds(heads.mask), kinds(heads.maskiou)]


def groups_of_the_stem(cfg: CfgNode) -> tuple[int, float]:
    norm = build_backbone(cfg).body.stem.bn1
    return norm.num_groups, norm.eps


def stem_channels(cfg: CfgNode) -> int:
    return int(build_backbone(cfg).body.stem(torch.zeros(1, 3, 32, 32)).shape[1])


def deformable(cfg: CfgNode) -> list[int]:
    """Return the number of offset channels of each stage; 0 if not deformable."""
    body = build_backbone(cfg).body
    found = []
    for name in body.stages:
        conv = getattr(body, name)[0].conv2
        is_deformable = isinstance(conv, DFConv2d)
        found.append(conv.offset.weight.shape[0] if is_deformable else 0)
    return found


def trained_statistics(cfg: CfgNode) -> bool:
    """Return whether a training step updates the norm statistics of a timm body."""
    pytest.importorskip("timm")
    backbone = build_backbone(cfg).train()
    before = [buffer.clone() for buffer in backbone.body.buffers()]
    backbone(torch.randn(2, 3, 64, 64))
    after = list(backbone.body.buffers())
    return not all(map(torch.equal, before, after))


def pyramid_is_positive(cfg: CfgNode) -> bool:
    torch.manual_seed(0)
    with torch.no_grad():
        return all(bool((m >= 0).all()) for m in build_backbone(cfg)(torch.randn(1, 3, 64, 64)))


def reach(module: nn.Module, channels: int) -> int:
    """Return the side of the square of inputs that an output of convolutions depends on."""
    for parameter in module.parameters():
        nn.init.constant_(parameter, 0.1)  # so that no ReLU is off
    x = torch.ones(1, channels, 33, 33, requires_grad=True)
    y = module(x)
    y[..., y.shape[-2] // 2, y.shape[-1] // 2].sum().backward()
    assert x.grad is not None
    columns = x.grad[0].abs().sum(dim=(0, 1)).nonzero().flatten()
    return int(columns[-1] - columns[0]) + 1


# -- RPN -------------------------------------------------------------------------------------------
def rpn_of(cfg: CfgNode) -> RPN:
    return build_rpn(cfg, 8)


def rpn_convs(cfg: CfgNode) -> list[str]:
    return layers(rpn_of(cfg).head)


def anchors(cfg: CfgNode) -> list[list[float]]:
    """Return the anchors of a feature map of one row and two columns."""
    return rpn_of(cfg).anchor_generator([torch.zeros(1, 8, 1, 2)])[0].tolist()


def visible_anchors(cfg: CfgNode) -> int:
    generator = rpn_of(cfg).anchor_generator
    grid = generator([torch.zeros(1, 8, 2, 2)])[0]
    return int(generator.visibility(grid, (32, 32)).sum())


QUALITY = torch.tensor([[0.1, 0.35, 0.6, 0.8, 0.9]])


def rpn_matches(cfg: CfgNode) -> list[int]:
    return rpn_of(cfg).matcher(QUALITY).tolist()


def drawn(sampler: Any) -> tuple[int, int]:
    labels = torch.cat([torch.ones(300), torch.zeros(1000)])
    positive, negative = sampler([labels])
    return len(positive[0]), len(negative[0])


def rpn_samples(cfg: CfgNode) -> tuple[int, int]:
    return drawn(rpn_of(cfg).sampler)


def proposals(cfg: CfgNode, boxes: Tensor, train: bool) -> list[int]:
    """Return proposals of two images from zero offsets; the first has higher scores."""
    rpn, levels, count = rpn_of(cfg), len(cfg.MODEL.RPN.ANCHOR_STRIDE), len(boxes)
    scores = torch.linspace(3, -3, 2 * count).reshape(2, 1, 1, count)
    output = RPNOutput([scores] * levels, [torch.zeros(2, 4, 1, count)] * levels, [boxes] * levels)
    images = ImageList(torch.zeros(2, 3, 8, 8), [(400, 400)] * 2)
    select = rpn.train_proposals if train else rpn.predict
    return [len(p) for p in select(images, output)]


def apart() -> Tensor:
    """Return twelve boxes of 10 x 10 pixels."""
    corner = torch.arange(12.0) * 12
    return torch.stack([corner, corner, corner + 9, corner + 9], dim=1)


def train_proposals(cfg: CfgNode) -> list[int]:
    return proposals(cfg, apart(), train=True)


def test_proposals(cfg: CfgNode) -> list[int]:
    return proposals(cfg, apart(), train=False)


def overlapping_proposals(cfg: CfgNode) -> list[int]:
    """Return two boxes with an IoU of 0.6."""
    return proposals(cfg, torch.tensor([[0.0, 0, 9, 9], [0, 0, 9, 5]]), train=False)


# -- heads -----------------------------------------------------------------------------------------
def heads_of(cfg: CfgNode) -> CombinedROIHeads:
    torch.manual_seed(0)
    return build_roi_heads(cfg, build_backbone(cfg).out_channels, True)


def roi_matches(cfg: CfgNode) -> list[int]:
    return heads_of(cfg).sampler.matcher(QUALITY).tolist()


def roi_samples(cfg: CfgNode) -> tuple[int, int]:
    return drawn(heads_of(cfg).sampler.sampler)


def moved_by_one(cfg: CfgNode) -> list[float]:
    """Return a 10 x 10 box decoded with offsets of 1."""
    coder = heads_of(cfg).box.box_coder
    boxes = coder.decode(torch.tensor([[1.0, 1.0, 0.0, 0.0]]), torch.tensor([[0.0, 0, 9, 9]]))
    return [round(x, 3) for x in boxes[0].tolist()]


def conventions(cfg: CfgNode) -> list[float]:
    return [rpn_of(cfg).box_coder.pixel_offset, heads_of(cfg).box.box_coder.pixel_offset]


def detected(cfg: CfgNode) -> list[float]:
    """Return the detection scores of three boxes; the first two have an IoU of 0.6."""
    head = heads_of(cfg).box
    boxes = BoxList([[0.0, 0, 9, 9], [0, 0, 9, 5], [20, 20, 21, 21]], (50, 50))
    scores = torch.tensor([0.6, 0.5, 0.1])
    logits = torch.stack([(1 - scores).log(), scores.log(), torch.full((3,), -50.0)], dim=1)
    nothing = torch.zeros(3, 0)
    found = head.detections(BoxOutput(logits, torch.zeros(3, 12), nothing, nothing), [boxes])[0]
    return [round(x, 3) for x in found.get_field("scores").tolist()]


def stages_of_boxes(cfg: CfgNode) -> list[str]:
    box = heads_of(cfg).box
    return [type(stage).__name__ for stage in getattr(box, "stages", [box])]


def cascade_matches(cfg: CfgNode) -> list[list[int]]:
    return [matcher(QUALITY).tolist() for matcher in heads_of(cfg).box.matchers]


def cascade_moves(cfg: CfgNode) -> list[float]:
    """Return x1 of a 10 x 10 box at 0, decoded with offsets of 10 by each stage."""
    offsets, box = torch.tensor([[10.0, 0, 0, 0]]), torch.tensor([[0.0, 0, 9, 9]])
    decoded = [s.box_coder.decode(offsets, box)[0, 0] for s in heads_of(cfg).box.stages]
    return [round(x.item(), 3) for x in decoded]


def cascade_shares(cfg: CfgNode) -> list[float]:
    """Return the loss of each stage relative to that with a weight of 1."""
    plain = cfg.clone()
    plain.MODEL.ROI_BOX_CASCADE_HEAD.LOSS_WEIGHTS = (1.0, 1.0, 1.0)
    weighted, whole = losses_of(cfg), losses_of(plain)
    names = [f"loss_classifier_stage{i}" for i in (1, 2, 3)]
    return [round((weighted[n] / whole[n]).item(), 4) for n in names]


def cascade_scores(cfg: CfgNode) -> list[float]:
    """Return the score of a box that is 0.9, 0.5 and 0.5 to the three stages."""
    head, nothing = heads_of(cfg).box, torch.zeros(1, 0)
    boxes = [BoxList([[0.0, 0, 9, 9]], (50, 50))]
    outputs = []
    for score in (0.9, 0.5, 0.5):
        logits = torch.tensor([[1 - score, score, 1e-9]]).log()
        outputs.append(BoxOutput(logits, torch.zeros(1, 12), nothing, nothing))
    found = head.detections(CascadeOutput(outputs, [boxes] * 3), boxes)[0]
    return [round(x, 3) for x in found.get_field("scores").tolist()]


def pooled(extractor: Any) -> list[float]:
    """The row of bins of a box 4 cells wide, from column 2 on, over squares of the columns."""
    squares = (torch.arange(20.0) ** 2).expand(1, 1, 20, 20)
    row = extractor.pooler([squares], [BoxList([[32.0, 32, 96, 96]], (320, 320))])[0, 0, 0]
    return [round(x, 3) for x in row.tolist()]


def box_pooled(cfg: CfgNode) -> list[float]:
    return pooled(heads_of(cfg).box.feature_extractor)


def mask_pooled(cfg: CfgNode) -> list[float]:
    return pooled(heads_of(cfg).mask.feature_extractor)


def keypoint_pooled(cfg: CfgNode) -> list[float]:
    return pooled(heads_of(cfg).keypoint.feature_extractor)


def layers(module: nn.Module) -> list[str]:
    """Return names and first sizes of the kernels, and norms."""
    kernels = [(n, p.shape[0]) for n, p in module.named_parameters() if p.dim() > 1]
    return [f"{name.removesuffix('.weight')} {size}" for name, size in kernels]


def box_layers(cfg: CfgNode) -> list[str]:
    return layers(heads_of(cfg).box.feature_extractor)


def mask_layers(cfg: CfgNode) -> list[str]:
    return layers(heads_of(cfg).mask.feature_extractor)


def keypoint_layers(cfg: CfgNode) -> list[str]:
    """Return the convolutions and the number of heat maps."""
    head = heads_of(cfg).keypoint
    count = head.predictor.kps_score_lowres.weight.shape[1]
    return [*layers(head.feature_extractor), str(count)]


def group_norms(cfg: CfgNode) -> list[int]:
    """Return the number of group norms in the box, mask and MaskIoU feature extractors."""
    heads = heads_of(cfg)
    parts = (heads.box.feature_extractor, heads.mask.feature_extractor, heads.maskiou)
    return [sum(isinstance(m, nn.GroupNorm) for m in part.modules()) for part in parts]


def box_reach(cfg: CfgNode) -> int:
    return reach(heads_of(cfg).box.feature_extractor.xconvs, 8)


def mask_reach(cfg: CfgNode) -> int:
    extractor = heads_of(cfg).mask.feature_extractor
    return reach(nn.Sequential(*(getattr(extractor, name) for name in extractor.blocks)), 8)


def conv5_side(cfg: CfgNode) -> tuple[int, int]:
    """Side of conv5's output, and how far its 3x3 convolution reaches."""
    stage = heads_of(cfg).box.feature_extractor.head.layer4
    side = stage(torch.zeros(1, stage[0].conv1.in_channels, 14, 14)).shape[-1]
    conv = stage[1].conv2
    return side, reach(conv, conv.in_channels)


def predictor(cfg: CfgNode) -> str:
    return type(heads_of(cfg).box.predictor).__name__


def outputs(cfg: CfgNode) -> list[int]:
    """Return the sizes of class scores, offsets, masks and mask IoUs."""
    heads = heads_of(cfg)
    box = heads.box.predictor
    last = (box.cls_score, box.bbox_pred, heads.mask.predictor.mask_fcn_logits)
    return [layer.weight.shape[0] for layer in (*last, heads.maskiou.predictor.maskiou)]


def shares(cfg: CfgNode) -> bool:
    heads = heads_of(cfg)
    return heads.mask.feature_extractor is heads.box.feature_extractor


def pastes(cfg: CfgNode) -> float | None:
    """Return the threshold at which the model pastes masks; None if it does not paste."""
    masker = heads_of(cfg).masker
    return None if masker is None else masker.threshold


def pasted_rows(cfg: CfgNode) -> list[int]:
    """Pixels in each row of a full mask of 2 x 2 cells, pasted into a box of 2 x 2 pixels."""
    boxes = BoxList([[1, 1, 3, 3]], (6, 6), pixel_offset=0)
    (pasted,) = make_masker(cfg)([torch.ones(1, 1, 2, 2)], [boxes])
    return pasted[0, 0].sum(dim=1).tolist()


# -- the whole -------------------------------------------------------------------------------------
def shrunk_and_grown(cfg: CfgNode) -> list[float]:
    """Width and height of a box of 1000 pixels that is to be e**-7 as wide and e**7 as high."""
    cfg.MODEL.PIXEL_OFFSET = 0.0
    decode = make_box_coder(cfg, (1, 1, 1, 1)).decode
    x1, y1, x2, y2 = decode(torch.tensor([[0.0, 0, -7, 7]]), torch.tensor([[0.0, 0, 1000, 1000]]))[
        0
    ]
    return [round((x2 - x1).item(), 1), round((y2 - y1).item())]


def losses_of(cfg: CfgNode) -> dict[str, Tensor]:
    torch.manual_seed(0)
    model = build_detection_model(cfg).train()
    return model(torch.randn(1, 3, 64, 64), [two_objects()])


def losses(cfg: CfgNode) -> list[str]:
    return sorted(name.removeprefix("loss_") for name in losses_of(cfg))


def share_of_maskiou(cfg: CfgNode) -> float:
    """Return the loss relative to that of the same model with a loss weight of 1."""
    plain = cfg.clone()
    plain.MODEL.MASKIOU_LOSS_WEIGHT = 1.0
    return round((losses_of(cfg)["loss_maskiou"] / losses_of(plain)["loss_maskiou"]).item(), 4)
