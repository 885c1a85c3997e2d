"""Convert a Faster, Mask, Cascade or Mask Scoring R-CNN of another project to a checkpoint.

The config is written beside the checkpoint: OUTPUT.yaml beside OUTPUT.pth. INPUT is a file of
torchvision's maskrcnn_resnet50_fpn, fasterrcnn_resnet50_fpn or their _v2, or of such a model with
ResNet or ResNeXt of 50 or 101 layers and FPN of detectron2 (.pkl, .pth) or of mmdetection 2.0 or
later. Published ones need no conversion by hand: MODEL_ZOO.md has their catalog:// names.

The conventions of the project (continuous boxes, anchors, RoIAlign, pasting, resizing, classes,
input) become settings of the config. How the images were prepared is read from the file; where the
file does not tell, --style has to. A file is read without running anything in it; whatever is no
tensor or plain value is left out.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from maskrcnn_benchmark.checkpoint.convert import STYLES, Conversion, Options, config_file
from maskrcnn_benchmark.engine.launch import convert
from maskrcnn_benchmark.engine.launch.conversion import read_class_names
from maskrcnn_benchmark.utils.user_error import failures_named


def describe(found: Conversion, target: Path) -> str:
    """Return what was made and what to do next, in a few lines."""
    config = config_file(target)
    use = f"--config-file {config} MODEL.WEIGHT {target}"
    test_data = "" if found.is_coco else " DATASETS.TEST ..."
    train_data = "" if found.is_coco else " DATASETS.TRAIN ..." + test_data
    lines = [
        f"Converted a model of {found.source} to {target} and {config}.",
        f"Assumed: {found.assumed}.",
        f"Evaluate it: msrcnn test {use}{test_data}",
    ]
    if found.has_masks and not found.has_maskiou:
        lines += [
            "It is a Mask R-CNN without mask scores. Train a MaskIoU head, with everything else "
            "as it is:",
            f"  msrcnn train {use} MODEL.MASKIOU_ON True SOLVER.TRAIN_ONLY maskiou{train_data}",
        ]
    return "\n".join(lines)


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("input", type=Path, help="weights of the other project")
    parser.add_argument("output", type=Path, help="checkpoint to write, ending in .pth")
    parser.add_argument(
        "--style",
        choices=tuple(STYLES),
        help="how the images were prepared, where the file does not tell: "
        + "; ".join(f"{name}: {style}" for name, style in STYLES.items()),
    )
    parser.add_argument(
        "--bn-eps",
        type=float,
        help="epsilon of the batch norms (default: 0 for torchvision's published COCO weights, "
        "else 1e-5)",
    )
    parser.add_argument(
        "--class-names",
        help="text file, a name a line, of a model that is not one of COCO and does not tell them",
    )
    parser.add_argument(
        "--legacy-roi-align",
        action="store_true",
        help="pool without alignment and with 2 samples a bin: detectron2's models with "
        "POOLER_TYPE ROIAlign, such as its noaug ones",
    )
    return parser.parse_args(argv)


@failures_named()
def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    args = parse_arguments(argv)
    names = read_class_names(args.class_names) if args.class_names else None
    options = Options(args.style, args.bn_eps, names, args.legacy_roi_align)
    found = convert(args.input, args.output, options)
    print(describe(found, args.output))


if __name__ == "__main__":
    main()
