"""What the command line tools share: arguments, start of a run, test of a model."""

import argparse
import datetime
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from own_data import register_datasets, resolve_num_classes
from torch import nn
from torch.utils.data import DataLoader
from yacs.config import CfgNode

from maskrcnn_benchmark.checkpoint.convert import config_file
from maskrcnn_benchmark.checkpoint.convert.published import is_published, local_weights
from maskrcnn_benchmark.config import cfg, check_config
from maskrcnn_benchmark.config.linear_scaling import scale_to_batch
from maskrcnn_benchmark.data import make_data_loader
from maskrcnn_benchmark.engine.inference import inference
from maskrcnn_benchmark.engine.stop_request import StoppableLoader
from maskrcnn_benchmark.evaluation import COCOResults
from maskrcnn_benchmark.modeling.detector import check_model, derive_settings
from maskrcnn_benchmark.structures.mask_paste import make_masker
from maskrcnn_benchmark.utils.collect_env import collect_env_info
from maskrcnn_benchmark.utils.comm import fresh_store, get_rank, get_world_size, synchronize
from maskrcnn_benchmark.utils.env import setup_environment
from maskrcnn_benchmark.utils.imports import add_import_option
from maskrcnn_benchmark.utils.logger import setup_logger
from maskrcnn_benchmark.utils.random_state import seed_generators
from maskrcnn_benchmark.utils.user_error import user_errors

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
    add_import_option(parser)
    parser.add_argument(
        "opts",
        nargs=argparse.REMAINDER,
        metavar="KEY VALUE",
        help="settings that go before those of the file, such as SOLVER.BASE_LR 0.005",
    )
    return parser


def take_published_config(args: argparse.Namespace) -> list[str]:
    """Put the config of a ``catalog://`` model under the settings if the user names no file.

    Returns:
        What to tell the user, a line each.
    """
    weights = getattr(args, "ckpt", "") or cfg.MODEL.WEIGHT
    if args.config_file or not is_published(weights):
        return []
    path = local_weights(weights, cfg.MODEL.PRETRAINED_MODELS, cfg.PATHS_CATALOG)
    cfg.merge_from_file(config_file(path))
    cfg.as_defaults()  # so that the number of classes follows from the data
    cfg.merge_from_list(args.opts)
    return [f"No --config-file: the settings begin with {config_file(path)}"]


def merge_settings(args: argparse.Namespace) -> None:
    """Merge file and settings of the command line into the global config."""
    if args.config_file:
        cfg.merge_from_file(args.config_file)
    misplaced = [option for option in args.opts[::2] if option.startswith("--")]
    if misplaced:
        raise ValueError(f"{misplaced[0]} must come before the KEY VALUE settings")
    cfg.merge_from_list(args.opts)


def complete_config(args: argparse.Namespace, uses: Sequence[str]) -> list[str]:
    """Add what a published model and registered data sets ask for, check and freeze the config.

    Returns:
        What was resolved, a line each.
    """
    resolved = take_published_config(args)
    resolved += register_datasets(cfg, args.register, uses, args.opts[::2])
    resolved += scale_to_batch(cfg)
    resolved += derive_settings(cfg)
    check_config(cfg, check_model(cfg))
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
    merge_settings(args)
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    local_rank = int(os.environ.get("LOCAL_RANK", args.local_rank)) if world_size > 1 else None
    device = choose_device(cfg, local_rank)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if world_size > 1:
        join_processes(device)
    resolved = complete_config(args, uses)  # one of the processes downloads what that takes
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


def choose_device(cfg: CfgNode, local_rank: int | None = None) -> torch.device:
    """Return MODEL.DEVICE; the CPU if that is a GPU by default and there is none.

    Args:
        cfg: the config.
        local_rank: number of this process among those of a job on this machine, which is the
            number of its GPU; None: it is the only process.

    Returns:
        A GPU with its number.

    Raises:
        ValueError: the user asked for a GPU and there is none, or not that one; or for one GPU,
            and there are several processes.
    """
    try:
        device = torch.device(cfg.MODEL.DEVICE)
    except RuntimeError as error:
        raise ValueError(
            f"MODEL.DEVICE is {cfg.MODEL.DEVICE!r}; it must be cuda, cuda:N or cpu"
        ) from error
    if device.type != "cuda":
        return device
    if not torch.cuda.is_available():
        if cfg.is_set("MODEL.DEVICE"):
            raise ValueError(
                f"MODEL.DEVICE is set to {cfg.MODEL.DEVICE}, but torch finds no GPU here; "
                "set MODEL.DEVICE cpu, or leave it out to take what there is"
            )
        return torch.device("cpu")
    if local_rank is not None and device.index is not None:
        raise ValueError(
            f"MODEL.DEVICE is {cfg.MODEL.DEVICE!r}, but every process of a job takes a GPU of its "
            "own: set MODEL.DEVICE cuda, and choose the GPUs by CUDA_VISIBLE_DEVICES"
        )
    index = device.index if local_rank is None else local_rank
    count = torch.cuda.device_count()
    if (index := index or 0) >= count:
        raise ValueError(
            f"GPU {index} is asked for, and torch finds {count} here, counted from 0: start at "
            "most as many processes on a machine, or set another MODEL.DEVICE"
        )
    return torch.device("cuda", index)


def join_processes(device: torch.device) -> None:
    """Connect to the other processes of the job that torchrun, or a like launcher, started."""
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
    loaders: Mapping[str, DataLoader[Any] | StoppableLoader] | None = None,
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
