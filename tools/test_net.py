"""Evaluate a model: ``python tools/test_net.py --config-file FILE MODEL.WEIGHT path``."""

from collections.abc import Sequence

from torch.distributed.elastic.multiprocessing.errors import record

from maskrcnn_benchmark.engine.launch import test
from maskrcnn_benchmark.engine.launch.arguments import argument_parser, run_arguments
from maskrcnn_benchmark.utils.user_error import failures_named


@record  # so that torchrun can show a process' traceback
@failures_named()
def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argument_parser("Evaluate a model on DATASETS.TEST.")
    parser.add_argument("--ckpt", default="", help="weights; like MODEL.WEIGHT among the pairs")
    args = parser.parse_args(argv)
    test(**run_arguments(args), weights=args.ckpt)


if __name__ == "__main__":
    main()
