"""Setup of a run: config, processes, device, logging, seed."""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from yacs.config import CfgNode

from maskrcnn_benchmark.engine.launch.own_data import DatasetFiles
from maskrcnn_benchmark.engine.launch.processes import choose_device, job_size, joined_processes
from maskrcnn_benchmark.engine.launch.run_config import Config, complete_config, make_config
from maskrcnn_benchmark.engine.launch.user_environment import setup_environment
from maskrcnn_benchmark.engine.random_state import seed_generators
from maskrcnn_benchmark.utils.collect_env import collect_env_info
from maskrcnn_benchmark.utils.comm import get_rank, get_world_size
from maskrcnn_benchmark.utils.logger import setup_logger

LOGGER = "maskrcnn_benchmark"


@contextlib.contextmanager
def started_run(
    config: Config,
    settings: Sequence[Any],
    datasets: Mapping[str, DatasetFiles],
    *,
    uses: Sequence[str],
    local_rank: int = 0,
) -> Iterator[tuple[CfgNode, torch.device]]:
    """Load the config, initialize the process group, set up logging and seed the generators.

    Args:
        config: path of a YAML file, a config node, or "".
        settings: overrides as ``[key, value, ...]``.
        datasets: annotation file and image folder of each data set to register, by name.
        uses: splits used by the run: ``TRAIN``, ``TEST`` or both.
        local_rank: local rank of this process if LOCAL_RANK is not set.

    Yields:
        The frozen config and the device.

    Raises:
        ValueError: the config is invalid or does not match the data.
        FileNotFoundError: the config file or an annotation file is missing.
    """
    setup_environment()
    cfg = make_config(config, settings)
    local = int(os.environ.get("LOCAL_RANK", local_rank)) if job_size() > 1 else None
    device = choose_device(cfg.MODEL.DEVICE, is_set=cfg.is_set("MODEL.DEVICE"), local_rank=local)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    with joined_processes(device):
        # rank 0 downloads missing files
        resolved = complete_config(cfg, config, settings, datasets, uses)
        logger = setup_logger(LOGGER, cfg.OUTPUT_DIR, get_rank())
        source = "a config node" if isinstance(config, CfgNode) else repr(str(config))
        logger.info(f"{get_world_size()} processes; config {source}, overrides {list(settings)}")
        logger.info(f"Environment\n{collect_env_info()}")
        logger.info(f"Config\n{cfg.dump()}")
        for line in resolved:
            logger.info(line)
        if device.type != torch.device(cfg.MODEL.DEVICE).type:
            logger.warning("no GPU is available: running on the CPU")
        seed_generators(cfg.SEED + get_rank())
        yield cfg, device
