"""Training of a model from a config, followed by evaluation."""

import contextlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader
from yacs.config import CfgNode

from maskrcnn_benchmark.checkpoint.checkpointer import DetectronCheckpointer
from maskrcnn_benchmark.data import make_data_loader, make_metadata
from maskrcnn_benchmark.engine.launch.own_data import DatasetFiles
from maskrcnn_benchmark.engine.launch.processes import deterministic_algorithms, parallel
from maskrcnn_benchmark.engine.launch.run_config import Config, Settings, setting_list
from maskrcnn_benchmark.engine.launch.start import LOGGER, started_run
from maskrcnn_benchmark.engine.launch.testing import make_test_loaders, run_tests
from maskrcnn_benchmark.engine.metrics_writer import MetricsWriter
from maskrcnn_benchmark.engine.random_state import RandomStates
from maskrcnn_benchmark.engine.stop_request import StoppableLoader, StopRequest
from maskrcnn_benchmark.engine.train_only import make_learner
from maskrcnn_benchmark.engine.train_options import TrainOptions
from maskrcnn_benchmark.engine.train_step import StepOptions
from maskrcnn_benchmark.engine.trainer import do_train
from maskrcnn_benchmark.engine.validation import make_validation, metrics_by_name
from maskrcnn_benchmark.evaluation import COCOResults
from maskrcnn_benchmark.modeling.detector import build_detection_model
from maskrcnn_benchmark.solver import make_lr_scheduler, make_optimizer
from maskrcnn_benchmark.structures.class_names import make_num_classes
from maskrcnn_benchmark.utils.comm import get_world_size, is_main_process
from maskrcnn_benchmark.utils.user_error import user_errors
from maskrcnn_benchmark.visualization.curves import plot_runs


def train(
    config: Config = "",
    *,
    settings: Settings = (),
    datasets: Mapping[str, DatasetFiles] | None = None,
    output_dir: str | Path | None = None,
    skip_test: bool = False,
    deterministic: bool = False,
    local_rank: int = 0,
) -> dict[str, COCOResults]:
    """Train a model and evaluate it on DATASETS.TEST; all output is written to OUTPUT_DIR.

    Equivalent to ``tools/train_net.py``; in a torchrun job, call it on every rank. Training resumes
    if OUTPUT_DIR contains a ``last_checkpoint``. The global random number generators are seeded,
    and messages go to the logger ``maskrcnn_benchmark``. Calls do not share configs.

    Args:
        config: path of a YAML file, or a config node, which is not modified; "": the defaults, or
            the config of a ``catalog://`` model.
        settings: overrides of the config: ``{"SOLVER.MAX_ITER": 100}`` or ``[key, value, ...]``.
        datasets: data sets in COCO format, ``{name: (annotation file, image folder)}``; the first
            is used for training and the others for testing unless DATASETS.TRAIN or DATASETS.TEST
            is set.
        output_dir: OUTPUT_DIR.
        skip_test: whether to skip the final evaluation; SOLVER.TEST_PERIOD still applies.
        deterministic: whether to use deterministic algorithms, also on GPU: runs on the same
            machine are bitwise identical, but slower. Operators without one raise an error.
        local_rank: local rank of this process if LOCAL_RANK is not set.

    Returns:
        The results of the last evaluation by data set on rank 0; an empty dict on the other ranks
        and if nothing was evaluated.

    Raises:
        UserError: a file, the config, the data or the weights are invalid; it is a ValueError.
        LossNotFiniteError: the loss became infinite or NaN.
        TrainingStopped: SIGTERM or Ctrl-C was received and a checkpoint was saved. It is a
            SystemExit: if uncaught, the program exits.
    """
    pairs = setting_list(settings)
    pairs += ["OUTPUT_DIR", str(output_dir)] if output_dir is not None else []
    uses = ("TRAIN",) if skip_test else ("TRAIN", "TEST")
    with contextlib.ExitStack() as stack:
        if deterministic:
            stack.enter_context(deterministic_algorithms())
        with user_errors():
            cfg, device = stack.enter_context(
                started_run(config, pairs, datasets or {}, uses=uses, local_rank=local_rank)
            )
            training = make_training(cfg, device)
        run_training(training, Path(cfg.OUTPUT_DIR), portable_config(cfg))
        evaluation = training.evaluation
        if not skip_test and evaluation.results is None:
            evaluation.at_the_end()
        return evaluation.results or {}


class Evaluation:
    """Evaluates a model on DATASETS.TEST and keeps the latest results.

    Args:
        cfg: the config; with SOLVER.TEST_PERIOD, the data sets are read on construction.
        model: model to evaluate.
        device: device of the model.

    Attributes:
        results: latest results by data set on rank 0, empty on the other ranks; None before the
            first evaluation.
    """

    def __init__(self, cfg: CfgNode, model: nn.Module, device: torch.device) -> None:
        self.results: dict[str, COCOResults] | None = None
        self._cfg, self._model, self._device = cfg, model, device
        self._loaders = make_test_loaders(cfg) if cfg.SOLVER.TEST_PERIOD else {}

    def at_the_end(self) -> None:
        """Evaluate the trained model."""
        self.results = run_tests(self._cfg, self._model, self._device)

    def during_training(self, stop_request: StopRequest) -> dict[str, float]:
        """Evaluate the current model; return the metrics by name, see ``Validation``."""
        loaders = {
            name: StoppableLoader(loader, stop_request) for name, loader in self._loaders.items()
        }
        self.results = run_tests(self._cfg, self._model, self._device, loaders)
        return metrics_by_name(self.results)


@dataclass(frozen=True, kw_only=True)
class Training:
    """Arguments of ``do_train``, and the evaluation of the model."""

    model: nn.Module
    data_loader: DataLoader[Any]
    optimizer: Optimizer
    scheduler: LRScheduler
    checkpointer: DetectronCheckpointer
    device: torch.device
    checkpoint_period: int
    arguments: dict[str, Any]
    options: TrainOptions
    evaluation: Evaluation


def make_training(cfg: CfgNode, device: torch.device) -> Training:
    """Build all components; resume from the last checkpoint, or start from MODEL.WEIGHT."""
    model: nn.Module = build_detection_model(cfg, paste_masks=False).to(device)
    learner = make_learner(cfg, model)  # before the optimizer, which skips frozen parameters
    optimizer = make_optimizer(cfg, model)
    scheduler = make_lr_scheduler(cfg, optimizer)
    checkpointer = DetectronCheckpointer(cfg, model, optimizer, scheduler, cfg.OUTPUT_DIR)
    checkpointer.parts["random_states"] = RandomStates(device)
    if make_num_classes(cfg) is not None:
        checkpointer.metadata |= make_metadata(cfg, cfg.DATASETS.TRAIN)
    step = StepOptions.from_cfg(cfg, model, device)
    evaluation = Evaluation(cfg, step.trained(model), device)
    validation = make_validation(cfg, evaluation.during_training)
    options = TrainOptions(seed=cfg.SEED, step=step, validation=validation)
    checkpointer.parts |= options.stateful()
    arguments = {"iteration": 0, **checkpointer.load(cfg.MODEL.WEIGHT)}
    distributed = get_world_size() > 1
    if distributed:
        learner = parallel(learner, device, cfg.SOLVER.ALLREDUCE_DTYPE)
    loader = make_data_loader(
        cfg, is_train=True, is_distributed=distributed, start_iter=arguments["iteration"]
    )
    return Training(
        model=learner,
        data_loader=loader,
        optimizer=optimizer,
        scheduler=scheduler,
        checkpointer=checkpointer,
        device=device,
        checkpoint_period=cfg.SOLVER.CHECKPOINT_PERIOD,
        arguments=arguments,
        options=options,
        evaluation=evaluation,
    )


def portable_config(cfg: CfgNode) -> str:
    """Return the YAML of a config for any machine: without MODEL.DEVICE, unless the user set it.

    A run without a GPU has the default, cuda, too; in a file it would count as set, and be refused.
    """
    portable = cfg.clone()
    portable.defrost()
    if not cfg.is_set("MODEL.DEVICE"):
        del portable.MODEL["DEVICE"]
    text: str = portable.dump()
    return text


def run_training(training: Training, folder: Path, config: str) -> None:
    """Train to SOLVER.MAX_ITER; the main process writes the config and the metrics.

    Args:
        training: components built by ``make_training``.
        folder: output folder, created if needed.
        config: content of ``config.yml``.
    """
    options = training.options
    with contextlib.ExitStack() as stack:
        if is_main_process():
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "config.yml").write_text(config, encoding="utf-8")
            stack.callback(draw_curves, folder)  # also after a failure
            writer = stack.enter_context(MetricsWriter(folder, training.arguments["iteration"]))
            options = replace(options, writer=writer)
        do_train(
            training.model,
            training.data_loader,
            training.optimizer,
            training.scheduler,
            training.checkpointer,
            training.device,
            training.checkpoint_period,
            training.arguments,
            options=options,
        )


def draw_curves(folder: Path) -> None:
    """Plot losses, learning rate and AP of a run to ``metrics.png``."""
    try:
        plot_runs([folder], folder / "metrics.png")
    except (OSError, ValueError) as error:  # e.g. no metrics yet
        logging.getLogger(LOGGER).warning(f"cannot plot the curves: {error}")
