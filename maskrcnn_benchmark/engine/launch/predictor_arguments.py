"""Command line arguments shared by the commands that load a model to predict with."""

import argparse

from maskrcnn_benchmark.engine.launch.arguments import device_name
from maskrcnn_benchmark.engine.launch.user_modules import add_import_option
from maskrcnn_benchmark.predict.predictor import Predictor


def add_predictor_arguments(
    parser: argparse.ArgumentParser, source: argparse._MutuallyExclusiveGroup | None = None
) -> None:
    """Add what ``load_predictor`` needs.

    Args:
        parser: that of the command.
        source: the group with what can replace ``--weights``, which is required without it.
    """
    (source or parser).add_argument(
        "--weights",
        required=source is None,
        metavar="FILE",
        help="a checkpoint, an address or a catalog:// name",
    )
    parser.add_argument(
        "--config-file", metavar="FILE", help="of weights that do not hold their config"
    )
    parser.add_argument(
        "--device", type=device_name, help="cuda, cuda:N or cpu; default: a GPU if there is one"
    )
    add_import_option(parser)
    parser.add_argument(
        "--opts",
        nargs="+",
        default=[],
        metavar="KEY VALUE",
        help="settings that go before the config's, such as INPUT.MIN_SIZE_TEST 400",
    )


def load_predictor(args: argparse.Namespace) -> Predictor:
    """Return the predictor of parsed arguments; errors are those of ``from_checkpoint``."""
    return Predictor.from_checkpoint(
        args.weights, config_file=args.config_file, opts=args.opts, device=args.device
    )
