"""Parameters, FLOPs and output shapes of a model, part by part; nothing is computed."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from maskrcnn_benchmark.modeling.detector import GeneralizedRCNN
from maskrcnn_benchmark.modeling.poolers import Pooler
from maskrcnn_benchmark.structures.bounding_box import BoxList


class Part(NamedTuple):
    """A part of a model.

    Attributes:
        name: such as ``backbone.body``, or ``box head, 1000 regions``.
        parameters: number of values that it brings; those of an earlier part do not count again.
        trainable: how many of them are not frozen.
        flops: for one image, by torch's counter: a multiply-add is 2. Counted are convolutions
            (deformable ones too) and linear layers.
        shapes: of each tensor that it returns.
    """

    name: str
    parameters: int
    trainable: int
    flops: int
    shapes: list[tuple[int, ...]]


class _ShapePooler(nn.Module):
    """In place of a Pooler: pooled features without values."""

    def __init__(self, output_size: tuple[int, int]) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, features: Sequence[Tensor], boxes: Sequence[BoxList]) -> Tensor:
        """Return ``[R, C, *output_size]``."""
        count = sum(len(b) for b in boxes)
        return features[0].new_empty(count, features[0].shape[1], *self.output_size)


def _deform_conv_flops(
    x: Sequence[int], weight: Sequence[int], *_: Any, out_shape: Sequence[int], **__: Any
) -> int:
    """Count a deformable convolution like one that is not; its samples are left out."""
    return 2 * torch.Size(out_shape).numel() * torch.Size(weight[1:]).numel()


class _Counter:
    """Runs the parts of a model and notes what they have, cost and return."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self._seen: set[int] = set()

    def run(self, name: str, module: nn.Module, call: Callable[[], Any]) -> Any:
        """Return ``call()``, counted as a part."""
        new = [p for p in module.parameters() if id(p) not in self._seen]
        self._seen |= {id(p) for p in new}
        import torchvision  # noqa: F401, PLC0415  # registers its operators; only needed here

        mapping = {torch.ops.torchvision.deform_conv2d: _deform_conv_flops}
        with FlopCounterMode(display=False, custom_mapping=mapping) as counter:
            output = call()
        trainable = sum(p.numel() for p in new if p.requires_grad)
        flops = counter.get_total_flops()
        shapes = [tuple(t.shape) for t in tree_leaves(output) if isinstance(t, Tensor)]
        self.parts.append(Part(name, sum(p.numel() for p in new), trainable, flops, shapes))
        return output


@torch.no_grad()
def analyze_parts(
    model: GeneralizedRCNN, size: tuple[int, int], *, proposals: int, detections: int
) -> list[Part]:
    """Return the parts of a model for one image.

    Args:
        model: built on the meta device; its poolers are replaced, so that it is of no other use.
        size: ``(height, width)`` of the padded image.
        proposals: regions that the box head sees.
        detections: regions that the mask head and the MaskIoU head see.
    """
    for module in list(model.modules()):
        pooler = getattr(module, "pooler", None)
        if isinstance(pooler, Pooler):
            module.pooler = _ShapePooler(pooler.output_size)
    counter = _Counter()
    features: Any = torch.empty(1, 3, *size, device="meta")
    for name, part in model.backbone.named_children():
        features = counter.run(f"backbone.{name}", part, partial(part, features))
    counter.run("rpn", model.rpn, partial(model.rpn.head, features))
    heads = model.roi_heads
    if heads is None:
        return counter.parts
    image = (size[1], size[0])
    boxes = [BoxList(torch.zeros(proposals, 4, device="meta"), image)]
    box_head, mask_head, maskiou_head = heads.box, heads.mask, heads.maskiou
    found = [BoxList(torch.zeros(detections, 4), image)]

    def box() -> list[tuple[Tensor, Tensor]]:
        output = box_head(features, boxes)
        return [(stage.logits, stage.deltas) for stage in getattr(output, "stages", [output])]

    counter.run(f"box head, {proposals} regions", box_head, box)
    if mask_head is not None:
        output = counter.run(
            f"mask head, {detections} regions",
            mask_head,
            partial(_mask, mask_head, features, found),
        )
        if maskiou_head is not None:
            logits, pooled = output
            name = f"MaskIoU head, {detections} regions"
            counter.run(name, maskiou_head, partial(maskiou_head, pooled, logits[:, 0]))
    for name in heads.further():
        head = heads.get_submodule(name)
        counter.run(f"{name} head, {detections} regions", head, partial(head, features, found))
    return counter.parts


def _mask(
    mask_head: nn.Module, features: Sequence[Tensor], found: Sequence[BoxList]
) -> tuple[Tensor, Tensor]:
    output = mask_head(features, found)
    return output.logits, output.roi_features
