"""Evaluate a model: ``python tools/test_net.py --config-file FILE MODEL.WEIGHT path``."""

import argparse

from common import (
    argument_parser,
    leave_processes,
    run_tests,
    start_run,
)
from torch.distributed.elastic.multiprocessing.errors import record
from yacs.config import CfgNode

from maskrcnn_benchmark.checkpoint.checkpointer import DetectronCheckpointer
from maskrcnn_benchmark.data import make_classes
from maskrcnn_benchmark.modeling.detector import build_detection_model
from maskrcnn_benchmark.utils.user_error import failures_named, user_errors


def load_weights(
    checkpointer: DetectronCheckpointer, cfg: CfgNode, args: argparse.Namespace
) -> None:
    """Load what the command line names, else the last checkpoint, else the config's MODEL.WEIGHT.

    Raises:
        ValueError: there is none of the three.
    """
    named = args.ckpt or (cfg.MODEL.WEIGHT if "MODEL.WEIGHT" in args.opts[::2] else "")
    weights = named or checkpointer.get_checkpoint_file() or cfg.MODEL.WEIGHT
    if not weights:
        raise ValueError(
            "there are no weights to evaluate: give MODEL.WEIGHT path, or an OUTPUT_DIR that has "
            "a last_checkpoint"
        )
    checkpointer.load(weights, use_latest=False, require_all=True)


@record  # so that torchrun can show a process' traceback
@failures_named()
def main() -> None:
    """Run the command line."""
    parser = argument_parser("Evaluate a model on DATASETS.TEST.")
    parser.add_argument("--ckpt", default="", help="weights; like MODEL.WEIGHT among the pairs")
    args = parser.parse_args()
    with user_errors():
        cfg, device = start_run(args, uses=("TEST",))
        model = build_detection_model(cfg, paste_masks=False).to(device)
        checkpointer = DetectronCheckpointer(cfg, model, save_dir=cfg.OUTPUT_DIR)
        if not cfg.MODEL.RPN_ONLY:
            checkpointer.metadata |= make_classes(cfg, cfg.DATASETS.TEST)._asdict()
        load_weights(checkpointer, cfg, args)
    run_tests(cfg, model, device)
    leave_processes()


if __name__ == "__main__":
    main()
