"""The arguments that the commands share."""

import argparse
from typing import Any

import torch

from maskrcnn_benchmark.engine.launch.user_modules import add_import_option
from maskrcnn_benchmark.utils.user_error import UserError


def argument_parser(description: str) -> argparse.ArgumentParser:
    """Return a parser with the arguments of every command that runs a model."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--config-file", default="", metavar="FILE", help="a YAML of configs/")
    parser.add_argument(
        "--local_rank", "--local-rank", type=int, default=0, help="set by torch.distributed.launch"
    )
    parser.add_argument(
        "--register",
        nargs=3,
        action="append",
        default=[],
        metavar=("NAME", "ANN_FILE", "IMG_DIR"),
        help="a data set of your own in COCO format; the first is trained on and the others are "
        "tested on unless DATASETS.TRAIN or DATASETS.TEST says otherwise; repeatable",
    )
    add_import_option(parser)
    parser.add_argument(
        "opts",
        nargs=argparse.REMAINDER,
        metavar="KEY VALUE",
        help="settings that go before those of the file, such as SOLVER.BASE_LR 0.005",
    )
    return parser


def run_arguments(args: argparse.Namespace) -> dict[str, Any]:
    """Return what the parsed command line says as keyword arguments of ``train`` and ``test``.

    Raises:
        UserError: an option stands among the settings, or a data set is registered twice.
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
