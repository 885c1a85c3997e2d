"""Train a model: ``python tools/train_net.py --config-file FILE [KEY VALUE ...]``.

On N devices: ``torchrun --nproc-per-node=N tools/train_net.py ...``. A run whose OUTPUT_DIR has a
last_checkpoint is continued; SIGTERM and Ctrl-C save one after the step in progress.
"""

import logging
import sys
from collections.abc import Sequence

from torch.distributed.elastic.multiprocessing.errors import record

from maskrcnn_benchmark.engine.launch import train
from maskrcnn_benchmark.engine.launch.arguments import argument_parser, run_arguments
from maskrcnn_benchmark.engine.train_step import LossNotFiniteError
from maskrcnn_benchmark.utils.user_error import failures_named


@record  # so that torchrun can show a process' traceback
@failures_named()
def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argument_parser("Train a model, then evaluate it on DATASETS.TEST.")
    parser.add_argument("--skip-test", action="store_true", help="do not evaluate at the end")
    parser.add_argument(
        "--deterministic",
        action="store_true",
        help="the same bits in every run on the same machine, also on a GPU, at the price of speed",
    )
    args = parser.parse_args(argv)
    options = {"skip_test": args.skip_test, "deterministic": args.deterministic}
    try:
        train(**run_arguments(args), **options)
    except LossNotFiniteError as error:
        logging.getLogger("maskrcnn_benchmark").error(str(error))
        sys.exit(1)


if __name__ == "__main__":
    main()
