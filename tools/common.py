"""What the command line tools share: arguments, start of a run, test of a model."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import logging
import os
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from own_data import register_datasets, resolve_num_classes
from torch import nn
from torch.utils.data import DataLoader
from yacs.config import CfgNode

from maskrcnn_benchmark.config import cfg, check_config
from maskrcnn_benchmark.config.linear_scaling import scale_to_batch
from maskrcnn_benchmark.data import make_data_loader
from maskrcnn_benchmark.engine.inference import inference
from maskrcnn_benchmark.evaluation import COCOResults
from maskrcnn_benchmark.structures.mask_paste import make_masker
from maskrcnn_benchmark.utils.collect_env import collect_env_info
from maskrcnn_benchmark.utils.comm import fresh_store, get_rank, get_world_size, synchronize
from maskrcnn_benchmark.utils.env import setup_environment
from maskrcnn_benchmark.utils.logger import setup_logger
from maskrcnn_benchmark.utils.random_state import seed_generators

LOGGER = "maskrcnn_benchmark"
_WAIT = datetime.timedelta(hours=1)  # for another process; a dead one is noticed at once


def argument_parser(description: str) -> argparse.ArgumentParser:
    """Return a parser with the arguments of every tool."""
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
    parser.add_argument(
        "opts",
        nargs=argparse.REMAINDER,
        metavar="KEY VALUE",
        help="settings that go before those of the file, such as SOLVER.BASE_LR 0.005",
    )
    return parser


@contextlib.contextmanager
def user_errors() -> Iterator[None]:
    """End the program with one line, ``error: ...``, and exit code 2 where the user can mend it."""
    try:
        yield
    except (ValueError, OSError, ImportError) as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(2) from None


@contextlib.contextmanager
def failures_named() -> Iterator[None]:
    """Before a traceback, say in one line which process of a job it is of; none after Ctrl-C."""
    try:
        yield
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        raise SystemExit(130) from None  # as the shell counts a program that Ctrl-C ended
    except Exception as error:
        if get_world_size() > 1:
            sys.stderr.write(
                f"error: process {get_rank()} of {get_world_size()} on {platform.node()} fails: "
                f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}\n"
                "If another process ended before it, that one's end is the cause. The same command "
                "goes on from the last checkpoint.\n"
            )
        raise


def read_config(args: argparse.Namespace, uses: Sequence[str]) -> list[str]:
    """Merge file, registered data sets and settings into the global config, check and freeze it.

    Returns:
        What was resolved, a line each.
    """
    if args.config_file:
        cfg.merge_from_file(args.config_file)
    misplaced = [option for option in args.opts[::2] if option.startswith("--")]
    if misplaced:
        raise ValueError(f"{misplaced[0]} must come before the KEY VALUE settings")
    cfg.merge_from_list(args.opts)
    resolved = register_datasets(cfg, args.register, uses, args.opts[::2]) + scale_to_batch(cfg)
    check_config(cfg)
    resolved += resolve_num_classes(cfg, uses)
    cfg.freeze()
    return resolved


def start_run(args: argparse.Namespace, uses: Sequence[str]) -> tuple[CfgNode, torch.device]:
    """Read the config, join the other processes, open the log, set the seed.

    Args:
        args: of ``argument_parser``.
        uses: the splits that the run uses, of ``TRAIN`` and ``TEST``.

    Returns:
        The frozen config, and the device to compute on.

    Raises:
        ValueError: the config is wrong, or does not fit the data.
        FileNotFoundError: there is no such config file, or annotation file.
    """
    setup_environment()
    resolved = read_config(args, uses)
    device = choose_device(cfg)
    local_rank = int(os.environ.get("LOCAL_RANK", args.local_rank))
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        join_processes(device, local_rank)
    logger = setup_logger(LOGGER, cfg.OUTPUT_DIR, get_rank())
    logger.info(f"{get_world_size()} processes; {vars(args)}")
    logger.info(f"Environment\n{collect_env_info()}")
    logger.info(f"Config\n{cfg.dump()}")
    for line in resolved:
        logger.info(line)
    if device.type != torch.device(cfg.MODEL.DEVICE).type:
        logger.warning("torch finds no GPU here: everything runs on the CPU")
    seed_generators(cfg.SEED + get_rank())
    return cfg, device


def choose_device(cfg: CfgNode) -> torch.device:
    """Return MODEL.DEVICE; the CPU if that is a GPU by default and there is none.

    Raises:
        ValueError: the user asked for a GPU and there is none.
    """
    device = torch.device(cfg.MODEL.DEVICE)
    if device.type != "cuda" or torch.cuda.is_available():
        return device
    if cfg.is_set("MODEL.DEVICE"):
        raise ValueError(
            f"MODEL.DEVICE is set to {cfg.MODEL.DEVICE}, but torch finds no GPU here; "
            "set MODEL.DEVICE cpu, or leave it out to take what there is"
        )
    return torch.device("cpu")


def join_processes(device: torch.device, local_rank: int) -> None:
    """Connect to the other processes of the job that torchrun, or a like launcher, started."""
    if device.type == "cuda":
        torch.cuda.set_device(local_rank)
    # the others wait while the main process evaluates, longer than NCCL's ten minutes
    store, rank, world_size = next(dist.rendezvous("env://", timeout=_WAIT))
    dist.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        store=fresh_store(store, rank, world_size, timeout=_WAIT),
        rank=rank,
        world_size=world_size,
        timeout=_WAIT,
    )
    synchronize()


def leave_processes() -> None:
    """Disconnect from the other processes, if there are any."""
    if dist.is_initialized():
        dist.destroy_process_group()


def make_test_loaders(cfg: CfgNode) -> dict[str, DataLoader[Any]]:
    """Return the loader of every set of DATASETS.TEST by its name."""
    if not cfg.DATASETS.TEST:
        logging.getLogger(LOGGER).warning("DATASETS.TEST is empty: nothing is evaluated")
        return {}
    loaders = make_data_loader(cfg, is_train=False, is_distributed=get_world_size() > 1)
    return dict(zip(cfg.DATASETS.TEST, loaders, strict=True))


def run_tests(
    cfg: CfgNode,
    model: nn.Module,
    device: torch.device,
    loaders: Mapping[str, DataLoader[Any]] | None = None,
) -> dict[str, COCOResults]:
    """Evaluate the model on every set of DATASETS.TEST, into ``OUTPUT_DIR/inference/<set>``.

    Args:
        cfg: the config.
        model: to evaluate.
        device: where it is.
        loaders: see ``make_test_loaders``; made here by default.

    Returns:
        The results by set, on the main process; nothing on the others.
    """
    if loaders is None:
        with user_errors():
            loaders = make_test_loaders(cfg)
    found = {}
    for name, loader in loaders.items():
        results = inference(
            model,
            loader,
            name,
            iou_types=("bbox", "segm") if cfg.MODEL.MASK_ON else ("bbox",),
            box_only=cfg.MODEL.RPN_ONLY,
            device=device,
            masker=make_masker(cfg),
            expected_results=cfg.TEST.EXPECTED_RESULTS,
            expected_results_sigma_tol=cfg.TEST.EXPECTED_RESULTS_SIGMA_TOL,
            output_folder=Path(cfg.OUTPUT_DIR) / "inference" / name,
        )
        synchronize()
        if results is not None:
            found[name] = results
    return found
