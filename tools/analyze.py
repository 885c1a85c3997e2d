"""Parameters, FLOPs and shapes of a model: ``python tools/analyze.py --config-file FILE``.

Nothing is computed: the model has shapes but no memory, so that any config takes seconds.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode
from yacs.config import CfgNode

from maskrcnn_benchmark.config import check_config
from maskrcnn_benchmark.engine.launch.arguments import argument_parser, run_arguments
from maskrcnn_benchmark.engine.launch.run_config import make_config
from maskrcnn_benchmark.engine.train_only import freeze_all_but
from maskrcnn_benchmark.modeling.detector import (
    GeneralizedRCNN,
    build_detection_model,
    check_model,
    derive_settings,
)
from maskrcnn_benchmark.modeling.poolers import Pooler
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.utils.user_error import failures_named, user_errors

HEADER = ("part", "parameters", "trainable", "GFLOPs", "output")
LEGEND = (
    "GFLOPs: torch's counter, a multiply-add is 2. Counted: convolutions (deformable ones too), "
    "linear layers.\nNot counted: norms, activations, upsampling, max-pooling, ROIAlign, anchors, "
    "box decoding, NMS, pasting."
)


class Part(NamedTuple):
    """One row of the table."""

    name: str
    parameters: int
    trainable: int
    flops: int
    shapes: list[str]


class ShapePooler(nn.Module):
    """In place of a Pooler: pooled features without values."""

    def __init__(self, output_size: tuple[int, int]) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, features: Sequence[Tensor], boxes: Sequence[BoxList]) -> Tensor:
        """Return ``[R, C, *output_size]``."""
        count = sum(len(b) for b in boxes)
        return features[0].new_empty(count, features[0].shape[1], *self.output_size)


def deform_conv_flops(
    x: Sequence[int], weight: Sequence[int], *_: Any, out_shape: Sequence[int], **__: Any
) -> int:
    """Count a deformable convolution like one that is not; its samples are left out."""
    return 2 * torch.Size(out_shape).numel() * torch.Size(weight[1:]).numel()


class Analysis:
    """Runs the parts of a model and notes what they have, cost and return."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self._seen: set[int] = set()

    def run(self, name: str, module: nn.Module, call: Callable[[], Any]) -> Any:
        """Return ``call()``, counted as a part; parameters of earlier parts do not count again."""
        new = [p for p in module.parameters() if id(p) not in self._seen]
        self._seen |= {id(p) for p in new}
        mapping = {torch.ops.torchvision.deform_conv2d: deform_conv_flops}
        with FlopCounterMode(display=False, custom_mapping=mapping) as counter:
            output = call()
        trainable = sum(p.numel() for p in new if p.requires_grad)
        flops = counter.get_total_flops()
        shapes = [str(list(t.shape)) for t in tree_leaves(output) if isinstance(t, Tensor)]
        self.parts.append(Part(name, sum(p.numel() for p in new), trainable, flops, shapes))
        return output


@torch.no_grad()
def analyze(
    model: GeneralizedRCNN, size: tuple[int, int], *, proposals: int, detections: int
) -> list[Part]:
    """Return the parts of a model on the meta device, for one image.

    Args:
        model: built on the meta device.
        size: ``(height, width)`` of the padded image.
        proposals: regions that the box head sees.
        detections: regions that the mask head and the MaskIoU head see.
    """
    for module in list(model.modules()):
        if isinstance(getattr(module, "pooler", None), Pooler):
            module.pooler = ShapePooler(module.pooler.output_size)
    analysis = Analysis()
    features: Any = torch.empty(1, 3, *size, device="meta")
    for name, part in model.backbone.named_children():
        features = analysis.run(f"backbone.{name}", part, lambda p=part, f=features: p(f))
    analysis.run("rpn", model.rpn, lambda: model.rpn.head(features))
    heads = model.roi_heads
    if heads is None:
        return analysis.parts
    image = (size[1], size[0])
    boxes = [BoxList(torch.zeros(proposals, 4), image)]

    def box() -> tuple[Tensor, Tensor]:
        output = heads.box(features, boxes)
        return output.logits, output.deltas

    analysis.run(f"box head, {proposals} regions", heads.box, box)
    if heads.mask is None:
        return analysis.parts
    found = [BoxList(torch.zeros(detections, 4), image)]

    def mask() -> tuple[Tensor, Tensor]:
        output = heads.mask(features, found)
        return output.logits, output.roi_features

    logits, pooled = analysis.run(f"mask head, {detections} regions", heads.mask, mask)
    if heads.maskiou is not None:
        name = f"MaskIoU head, {detections} regions"
        analysis.run(name, heads.maskiou, lambda: heads.maskiou(pooled, logits[:, 0]))
    return analysis.parts


def table(parts: Iterable[Part]) -> str:
    """Return the parts as text in columns, with their sum."""
    parts = list(parts)
    total = [
        sum(getattr(p, field) for p in parts) for field in ("parameters", "trainable", "flops")
    ]
    rows = [HEADER]
    for name, parameters, trainable, flops, shapes in [*parts, Part("all", *total, [])]:
        first, *rest = shapes or [""]
        rows.append((name, f"{parameters:,}", f"{trainable:,}", f"{flops / 1e9:.2f}", first))
        rows += [("", "", "", "", shape) for shape in rest]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        f"{row[0]:<{widths[0]}}  "
        + "  ".join(f"{row[i]:>{widths[i]}}" for i in (1, 2, 3))
        + f"  {row[4]}".rstrip()
        for row in rows
    )


def image_size(cfg: CfgNode) -> tuple[int, int]:
    """Return ``(height, width)`` of the largest test image of the config, padded."""
    step = max(cfg.DATALOADER.SIZE_DIVISIBILITY, 1)
    sides = (cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST)
    return tuple(-(-side // step) * step for side in sides)  # type: ignore[return-value]


@failures_named()
def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argument_parser("Print parameters, FLOPs and shapes of a model, part by part.")
    parser.add_argument("--size", type=int, nargs=2, metavar=("H", "W"), help="of the padded image")
    args = parser.parse_args(argv)
    with user_errors():
        given = run_arguments(args)
        cfg = make_config(given["config"], given["settings"])
        derive_settings(cfg)
        check_config(cfg, check_model(cfg))
        size = tuple(args.size) if args.size else image_size(cfg)
        if min(size) < 32:
            raise ValueError(f"--size {size[0]} {size[1]}: both must be at least 32")
        with torch.device("meta"):
            model = build_detection_model(cfg, paste_masks=False)
        if cfg.SOLVER.TRAIN_ONLY:
            freeze_all_but(model, cfg.SOLVER.TRAIN_ONLY)
    rpn, heads = cfg.MODEL.RPN, cfg.MODEL.ROI_HEADS
    proposals = rpn.FPN_POST_NMS_TOP_N_TEST if rpn.USE_FPN else rpn.POST_NMS_TOP_N_TEST
    detections = heads.DETECTIONS_PER_IMG if heads.DETECTIONS_PER_IMG > 0 else proposals
    parts = analyze(model, size, proposals=proposals, detections=detections)
    print(f"One image [1, 3, {size[0]}, {size[1]}]\n\n{table(parts)}\n\n{LEGEND}")


if __name__ == "__main__":
    main()
