"""Make a Mask Scoring R-CNN of another project's Mask R-CNN.

``python tools/convert_weights.py INPUT.pth OUTPUT.pth`` writes the checkpoint and, beside it, the
config OUTPUT.yaml. INPUT is a file of torchvision's maskrcnn_resnet50_fpn, or of a Mask R-CNN or
Mask Scoring R-CNN with ResNet-50/101 and FPN of detectron2 (.pkl, .pth) or of mmdetection 2.0 or
later.

The conventions of the project (continuous boxes, anchors, RoIAlign, classes, input) become settings
of the config. For torchvision a test shows that the converted model computes the same; only the
resizing of images differs (torchvision's has no antialiasing). detectron2 and mmdetection were not
at hand: for them names, shapes and the order of the classes are tested, and the conventions are
those of their documentation. Compare a few detections before you rely on them.

A file is read without running anything in it, so one that holds more than tensors and plain values
is refused: save its state dict alone first.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn
from yacs.config import CfgNode

from maskrcnn_benchmark.config import check_config, make_default_config
from maskrcnn_benchmark.data.datasets.classes import BACKGROUND
from maskrcnn_benchmark.data.datasets.coco_names import COCO_CLASSES
from maskrcnn_benchmark.modeling.detector import build_detection_model
from maskrcnn_benchmark.utils.atomic_file import write_atomically
from maskrcnn_benchmark.utils.model_serialization import load_state_dict
from maskrcnn_benchmark.utils.user_error import failures_named, user_errors
from maskrcnn_benchmark.utils.weight_conversion import Conversion, convert_detector
from maskrcnn_benchmark.utils.weight_files import model_tensors, read_weights

_MASKIOU = "roi_heads.maskiou."


def read_class_names(path: str) -> list[str]:
    """Return the names in a text file, one a line, without the background."""
    return [
        line.strip()
        for line in Path(path).read_text(encoding="utf-8-sig").splitlines()
        if line.strip()
    ]


def make_model(found: Conversion, source: Path) -> tuple[CfgNode, nn.Module]:
    """Build the model that a conversion describes, and fill it; a missing MaskIoU head stays new.

    Raises:
        ValueError: the tensors do not fit; ``source`` names the file.
    """
    cfg = make_default_config()
    cfg.merge_from_other_cfg(found.settings)
    check_config(cfg)
    torch.manual_seed(cfg.SEED)
    model = build_detection_model(cfg)
    report = load_state_dict(model, found.state)
    new = ("rpn.anchor_generator.",) if found.has_maskiou else ("rpn.anchor_generator.", _MASKIOU)
    missing = [name for name in report.missing if not name.startswith(new)]
    if missing or report.mismatched or report.unexpected:
        raise ValueError(f"{source} does not fit the model that it asks for: {report.summary()}")
    return cfg, model


def class_metadata(found: Conversion, names: list[str] | None, foreground: int) -> dict[str, Any]:
    """Return what a checkpoint says of its classes; nothing if they are not known.

    Raises:
        ValueError: there are not as many names as classes.
    """
    if found.is_coco:
        return COCO_CLASSES._asdict()
    if names is None:
        return {}
    if len(names) != foreground:
        raise ValueError(f"{len(names)} class names for a model of {foreground} classes")
    return {"class_names": [BACKGROUND, *names]}


def convert(source: Path, target: Path, args: argparse.Namespace) -> Conversion:
    """Write the checkpoint and the config of a converted file.

    Args:
        source: the file of the other project.
        target: the checkpoint, ending in ``.pth``; the config gets the ending ``.yaml``.
        args: ``style``, ``bn_eps`` and ``class_names`` of the command line.

    Raises:
        OSError: a file cannot be read or written.
        ValueError: it is none that can be converted, or the class names do not fit.
    """
    if target.suffix != ".pth":
        raise ValueError(f"{target}: the output is a checkpoint and must end in .pth")
    names = read_class_names(args.class_names) if args.class_names else None
    found = convert_detector(
        model_tensors(read_weights(source)),
        style=args.style,
        bn_eps=args.bn_eps,
        own_classes=names is not None,
    )
    cfg, model = make_model(found, source)
    content = {"model": model.state_dict(), "config": cfg.dump()}
    content |= class_metadata(found, names, cfg.MODEL.ROI_BOX_HEAD.NUM_CLASSES - 1)
    text = f"# Converted from {found.source} by tools/convert_weights.py {source.name}\n"
    text += yaml.safe_dump(found.settings, sort_keys=False, default_flow_style=None)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(target, lambda file: torch.save(content, file))
    write_atomically(target.with_suffix(".yaml"), lambda file: file.write(text.encode()))
    return found


def describe(found: Conversion, target: Path) -> str:
    """Return what was made and what to do next, in a few lines."""
    config = target.with_suffix(".yaml")
    use = f"--config-file {config} MODEL.WEIGHT {target}"
    test_data = "" if found.is_coco else " DATASETS.TEST ..."
    train_data = "" if found.is_coco else " DATASETS.TRAIN ..." + test_data
    lines = [
        f"Converted a model of {found.source} to {target} and {config}.",
        f"Epsilon of its batch norms: {found.bn_eps:g} (--bn-eps sets another).",
    ]
    if found.has_maskiou:
        return "\n".join([*lines, f"Evaluate it: python tools/test_net.py {use}{test_data}"])
    lines += [
        "Its MaskIoU head is new and untrained: until it is trained its mask scores mean nothing.",
        "Train it, with everything else as it is:",
        f"  python tools/train_net.py {use} SOLVER.TRAIN_ONLY maskiou{train_data}",
        "Evaluate it as the Mask R-CNN that it was:",
        f"  python tools/test_net.py {use} MODEL.MASKIOU_ON False{test_data}",
    ]
    return "\n".join(lines)


@failures_named()
def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("input", type=Path, help="weights of the other project")
    parser.add_argument("output", type=Path, help="checkpoint to write, ending in .pth")
    parser.add_argument(
        "--style",
        choices=("pytorch", "caffe"),
        help="pytorch: RGB input, stride in 3x3; caffe: BGR input, stride in 1x1 (default: caffe "
        "for detectron2, else pytorch)",
    )
    parser.add_argument(
        "--bn-eps",
        type=float,
        help="epsilon of the batch norms (default: 0 for torchvision's published COCO weights, "
        "else 1e-5)",
    )
    parser.add_argument(
        "--class-names", help="text file, a name a line, of a model that is not one of COCO"
    )
    args = parser.parse_args()
    with user_errors():
        found = convert(args.input, args.output, args)
    print(describe(found, args.output))


if __name__ == "__main__":
    main()
