"""Command line arguments shared by several commands."""

import argparse
from typing import Any

import torch

from maskrcnn_benchmark.engine.launch.user_modules import add_import_option
from maskrcnn_benchmark.utils.user_error import UserError


def argument_parser(description: str) -> argparse.ArgumentParser:
    """Return a parser with the arguments shared by all commands that run a model."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--config-file",
        default="",
        metavar="FILE",
        help="config file: a path, or a name in configs/",
    )
    parser.add_argument(
        "--local_rank", "--local-rank", type=int, default=0, help="set by torch.distributed.launch"
    )
    parser.add_argument(
        "--register",
        nargs=3,
        action="append",
        default=[],
        metavar=("NAME", "ANN_FILE", "IMG_DIR"),
        help="register a custom data set in COCO format; the first is used for training and the "
        "others for testing unless DATASETS.TRAIN or DATASETS.TEST is set; repeatable",
    )
    add_import_option(parser)
    parser.add_argument(
        "opts",
        nargs=argparse.REMAINDER,
        metavar="KEY VALUE",
        help="config options that override the config file, such as SOLVER.BASE_LR 0.005",
    )
    return parser


def run_arguments(args: argparse.Namespace) -> dict[str, Any]:
    """Convert parsed arguments to keyword arguments of ``train`` and ``test``.

    Raises:
        UserError: an option follows the config options, or a data set is registered twice.
    """
    misplaced = [option for option in args.opts[::2] if option.startswith("--")]
    if misplaced:
        raise UserError(f"{misplaced[0]} must come before the KEY VALUE settings")
    datasets: dict[str, tuple[str, str]] = {}
    for name, ann_file, img_dir in args.register:
        if name in datasets:
            raise UserError(f"--register {name!r} is given twice: each set needs its own name")
        datasets[name] = (ann_file, img_dir)
    return {
        "config": args.config_file,
        "settings": args.opts,
        "datasets": datasets,
        "local_rank": args.local_rank,
    }


def positive(text: str) -> int:
    """Parse a positive integer."""
    number = int(text)
    if number < 1:
        raise ValueError(f"{number} is less than 1")
    return number


def device_name(text: str) -> str:
    """Check that torch has such a kind of device."""
    try:
        torch.device(text)
    except RuntimeError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is none of cuda, cuda:N and cpu") from error
    return text
