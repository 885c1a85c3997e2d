"""Train a model: ``python tools/train_net.py --config-file FILE [KEY VALUE ...]``.

On N devices: ``torchrun --nproc-per-node=N tools/train_net.py ...``. A run whose OUTPUT_DIR has a
last_checkpoint is continued; SIGTERM and Ctrl-C save one after the step in progress.
"""

import argparse
import contextlib
import logging
import os
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from common import (
    LOGGER,
    argument_parser,
    leave_processes,
    make_test_loaders,
    run_tests,
    start_run,
)
from torch import nn
from torch.distributed.elastic.multiprocessing.errors import record
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader
from yacs.config import CfgNode

from maskrcnn_benchmark.checkpoint.checkpointer import DetectronCheckpointer
from maskrcnn_benchmark.data import make_classes, make_data_loader
from maskrcnn_benchmark.engine.metrics_writer import MetricsWriter
from maskrcnn_benchmark.engine.stop_request import StoppableLoader, StopRequest, TrainingStopped
from maskrcnn_benchmark.engine.train_step import LossNotFiniteError, StepOptions
from maskrcnn_benchmark.engine.trainer import TrainOptions, do_train
from maskrcnn_benchmark.engine.validation import figures, make_validation
from maskrcnn_benchmark.modeling.detector import build_detection_model
from maskrcnn_benchmark.solver import make_lr_scheduler, make_optimizer
from maskrcnn_benchmark.utils.comm import get_world_size, is_main_process
from maskrcnn_benchmark.utils.random_state import RandomStates
from maskrcnn_benchmark.utils.user_error import failures_named, user_errors
from maskrcnn_benchmark.visualization.curves import plot_runs


class Training(NamedTuple):
    """What ``do_train`` takes, in its order."""

    model: nn.Module
    data_loader: DataLoader[Any]
    optimizer: Optimizer
    scheduler: LRScheduler
    checkpointer: DetectronCheckpointer
    device: torch.device
    checkpoint_period: int
    arguments: dict[str, Any]
    options: TrainOptions


def set_up(cfg: CfgNode, device: torch.device) -> Training:
    """Build everything and resume from the last checkpoint, or start from MODEL.WEIGHT."""
    model: nn.Module = build_detection_model(cfg, paste_masks=False).to(device)
    optimizer = make_optimizer(cfg, model)
    scheduler = make_lr_scheduler(cfg, optimizer)
    checkpointer = DetectronCheckpointer(cfg, model, optimizer, scheduler, cfg.OUTPUT_DIR)
    checkpointer.parts["random_states"] = RandomStates(device)
    if not cfg.MODEL.RPN_ONLY:
        checkpointer.metadata |= make_classes(cfg, cfg.DATASETS.TRAIN)._asdict()
    options = make_options(cfg, model, device)
    checkpointer.parts |= options.stateful()
    arguments = {"iteration": 0, **checkpointer.load(cfg.MODEL.WEIGHT)}
    distributed = get_world_size() > 1
    loader = make_data_loader(
        cfg, is_train=True, is_distributed=distributed, start_iter=arguments["iteration"]
    )
    if distributed:
        model = parallel(model, device)
    period = cfg.SOLVER.CHECKPOINT_PERIOD
    return Training(
        model, loader, optimizer, scheduler, checkpointer, device, period, arguments, options
    )


def parallel(model: nn.Module, device: torch.device) -> DistributedDataParallel:
    """Return the model as one of several whose gradients are averaged."""
    with warnings.catch_warnings():
        # renamed in PyTorch 2.14, where the old name warns; the oldest that we support has it alone
        warnings.filterwarnings("ignore", message="`broadcast_buffers` is deprecated")
        return DistributedDataParallel(
            model,
            device_ids=[device] if device.type == "cuda" else None,
            broadcast_buffers=False,  # frozen statistics only
        )


def make_options(cfg: CfgNode, model: nn.Module, device: torch.device) -> TrainOptions:
    """Read how the model is to be trained, and with SOLVER.TEST_PERIOD how it is evaluated."""
    step = StepOptions.from_cfg(cfg, model, device)
    loaders = make_test_loaders(cfg) if cfg.SOLVER.TEST_PERIOD else {}

    def evaluate(stop_request: StopRequest) -> dict[str, float]:
        tests = {name: StoppableLoader(loader, stop_request) for name, loader in loaders.items()}
        return figures(run_tests(cfg, step.trained(model), device, tests))

    return TrainOptions(seed=cfg.SEED, step=step, validation=make_validation(cfg, evaluate))


def train(cfg: CfgNode, training: Training) -> None:
    """Train to SOLVER.MAX_ITER; the main process writes the config and the figures."""
    *parts, options = training
    with contextlib.ExitStack() as stack:
        if is_main_process():
            (Path(cfg.OUTPUT_DIR) / "config.yml").write_text(cfg.dump(), encoding="utf-8")
            start = training.arguments["iteration"]
            stack.callback(draw_curves, Path(cfg.OUTPUT_DIR))  # however the training ends
            writer = stack.enter_context(MetricsWriter(cfg.OUTPUT_DIR, start))
            options = replace(options, writer=writer)
        do_train(*parts, options=options)


def draw_curves(folder: Path) -> None:
    """Draw losses, learning rate and AP of a run into its ``metrics.png``."""
    try:
        plot_runs([folder], folder / "metrics.png")
    except (OSError, ValueError) as error:  # such as no line of figures yet
        logging.getLogger(LOGGER).warning(f"no curves are drawn: {error}")


def run(args: argparse.Namespace, *, skip_test: bool = False) -> None:
    """Train, and evaluate at the end unless ``skip_test``; SIGTERM and Ctrl-C save and stop.

    Args:
        args: ``config_file``, ``local_rank``, ``register`` and ``opts``.
        skip_test: see above; with SOLVER.TEST_PERIOD the training itself evaluates to the end.
    """
    with user_errors():
        cfg, device = start_run(args, uses=("TRAIN",) if skip_test else ("TRAIN", "TEST"))
        training = set_up(cfg, device)
    try:
        train(cfg, training)
    except LossNotFiniteError as error:
        logging.getLogger(LOGGER).error(str(error))
        sys.exit(1)
    except TrainingStopped:
        leave_processes()
        raise
    if not skip_test and training.options.validation is None:
        run_tests(cfg, training.options.step.trained(training.checkpointer.model), device)
    leave_processes()


def make_deterministic() -> None:
    """Let torch choose deterministic algorithms only, and raise an error where there is none.

    Call it before anything is computed: cuBLAS reads its variable when it is first used.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cudnn.benchmark = False  # the fastest algorithm of today may not be tomorrow's
    torch.use_deterministic_algorithms(True)


@record  # so that torchrun can show a process' traceback
@failures_named()
def main() -> None:
    """Run the command line."""
    parser = argument_parser("Train a model, then evaluate it on DATASETS.TEST.")
    parser.add_argument("--skip-test", action="store_true", help="do not evaluate at the end")
    parser.add_argument(
        "--deterministic",
        action="store_true",
        help="the same bits in every run on the same machine, also on a GPU, at the price of speed",
    )
    args = parser.parse_args()
    if args.deterministic:
        make_deterministic()
    run(args, skip_test=args.skip_test)


if __name__ == "__main__":
    main()
