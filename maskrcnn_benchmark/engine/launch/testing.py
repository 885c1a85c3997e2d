"""Evaluation of a model on the test sets of a config."""

import contextlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader
from yacs.config import CfgNode

from maskrcnn_benchmark.checkpoint.checkpointer import DetectronCheckpointer
from maskrcnn_benchmark.data import make_data_loader, make_metadata
from maskrcnn_benchmark.engine.inference import TestLoader, inference
from maskrcnn_benchmark.engine.launch.own_data import DatasetFiles
from maskrcnn_benchmark.engine.launch.run_config import Config, Settings, setting_list
from maskrcnn_benchmark.engine.launch.start import LOGGER, started_run
from maskrcnn_benchmark.evaluation import COCOResults
from maskrcnn_benchmark.evaluation.ranked_masks import EvaluatedMasks
from maskrcnn_benchmark.modeling.detector import build_detection_model, make_augmented
from maskrcnn_benchmark.report.mask_quality import write_mask_quality
from maskrcnn_benchmark.structures.class_names import make_num_classes
from maskrcnn_benchmark.structures.mask_paste import make_masker
from maskrcnn_benchmark.utils.comm import get_world_size, synchronize
from maskrcnn_benchmark.utils.user_error import user_errors


def test(
    config: Config = "",
    *,
    weights: str | Path = "",
    settings: Settings = (),
    datasets: Mapping[str, DatasetFiles] | None = None,
    output_dir: str | Path | None = None,
    local_rank: int = 0,
) -> dict[str, COCOResults]:
    """Evaluate a model on DATASETS.TEST; write results to ``OUTPUT_DIR/inference/<data set>``.

    Equivalent to ``tools/test_net.py``; in a torchrun job, call it on every rank.

    Args:
        config: path of a YAML file, or a config node, which is not modified; "": the defaults, or
            the config of a ``catalog://`` model.
        weights: a path, a URL or a ``catalog://`` name; "": MODEL.WEIGHT from ``settings``, else
            the last checkpoint in OUTPUT_DIR, else MODEL.WEIGHT of the config.
        settings: overrides of the config: ``{"TEST.IMS_PER_BATCH": 1}`` or ``[key, value, ...]``.
        datasets: data sets in COCO format to test on unless DATASETS.TEST is set:
            ``{name: (annotation file, image folder)}``.
        output_dir: OUTPUT_DIR.
        local_rank: local rank of this process if LOCAL_RANK is not set.

    Returns:
        The results by data set on rank 0; an empty dict on the other ranks.

    Raises:
        UserError: a file, the config, the data or the weights are invalid; it is a ValueError.
    """
    pairs = setting_list(settings)
    pairs += ["MODEL.WEIGHT", str(weights)] if weights else []
    pairs += ["OUTPUT_DIR", str(output_dir)] if output_dir is not None else []
    with contextlib.ExitStack() as stack:
        with user_errors():
            cfg, device = stack.enter_context(
                started_run(config, pairs, datasets or {}, uses=("TEST",), local_rank=local_rank)
            )
            model = build_detection_model(cfg, paste_masks=False).to(device)
            checkpointer = DetectronCheckpointer(cfg, model, save_dir=cfg.OUTPUT_DIR)
            if make_num_classes(cfg) is not None:
                checkpointer.metadata |= make_metadata(cfg, cfg.DATASETS.TEST)
            load_weights(checkpointer, cfg, pairs[::2])
        return run_tests(cfg, model, device)


def load_weights(checkpointer: DetectronCheckpointer, cfg: CfgNode, given: Sequence[str]) -> None:
    """Load MODEL.WEIGHT if overridden, else the last checkpoint, else the config's MODEL.WEIGHT.

    Args:
        checkpointer: checkpointer of the model.
        cfg: the config.
        given: keys that override the config file.

    Raises:
        ValueError: none of the three exists.
    """
    named = cfg.MODEL.WEIGHT if "MODEL.WEIGHT" in given else ""
    weights = named or checkpointer.get_checkpoint_file() or cfg.MODEL.WEIGHT
    if not weights:
        raise ValueError(
            "there are no weights to evaluate: set MODEL.WEIGHT, or an OUTPUT_DIR that contains "
            "a last_checkpoint"
        )
    checkpointer.load(weights, use_latest=False, require_all=True)


def make_test_loaders(cfg: CfgNode) -> dict[str, DataLoader[Any]]:
    """Return the data loader of each data set in DATASETS.TEST, by name."""
    if not cfg.DATASETS.TEST:
        logging.getLogger(LOGGER).warning("DATASETS.TEST is empty: nothing is evaluated")
        return {}
    loaders = make_data_loader(cfg, is_train=False, is_distributed=get_world_size() > 1)
    return dict(zip(cfg.DATASETS.TEST, loaders, strict=True))


def run_tests(
    cfg: CfgNode,
    model: nn.Module,
    device: torch.device,
    loaders: Mapping[str, TestLoader] | None = None,
) -> dict[str, COCOResults]:
    """Evaluate the model on DATASETS.TEST; results go to ``OUTPUT_DIR/inference/<data set>``.

    Args:
        cfg: the config.
        model: model to evaluate.
        device: device of the model.
        loaders: data loaders, see ``make_test_loaders``; None: build them.

    Returns:
        The results by data set on rank 0; an empty dict on the other ranks.
    """
    if loaders is None:
        with user_errors():
            loaders = make_test_loaders(cfg)
    model = make_augmented(cfg, model)
    tasks = ["bbox"] + ["segm"] * cfg.MODEL.MASK_ON + ["keypoints"] * cfg.MODEL.KEYPOINT_ON
    results_by_set = {}
    for name, loader in loaders.items():
        folder = Path(cfg.OUTPUT_DIR) / "inference" / name
        evaluated: list[EvaluatedMasks] = []
        results = inference(
            model,
            loader,
            name,
            iou_types=tasks,
            box_only=make_num_classes(cfg) is None,
            device=device,
            masker=make_masker(cfg),
            coco_options={
                "evaluator": cfg.TEST.COCO_EVALUATOR,
                "keypoint_sigmas": cfg.TEST.KEYPOINT_OKS_SIGMAS,
                "receive_masks": evaluated.append if cfg.TEST.MASK_QUALITY else None,
            },
            expected_results=cfg.TEST.EXPECTED_RESULTS,
            expected_results_sigma_tol=cfg.TEST.EXPECTED_RESULTS_SIGMA_TOL,
            output_folder=folder,
        )
        synchronize()
        if results is not None:
            results_by_set[name] = results
            if cfg.TEST.MASK_QUALITY:
                _report_masks(evaluated, loader, name, folder / "mask_quality")
    return results_by_set


def _report_masks(
    evaluated: Sequence[EvaluatedMasks], loader: TestLoader, name: str, output: Path
) -> None:
    """Write the mask-quality report of a data set; a warning if its metric is not COCO's."""
    dataset: Any = loader.dataset
    logger = logging.getLogger(LOGGER)
    if not evaluated:
        logger.warning(
            f"TEST.MASK_QUALITY: no report on {name}: it has no annotations, or is not evaluated "
            "by COCO's metric"
        )
        return
    title = f"Mask quality on {name}"
    page = write_mask_quality(evaluated[0], output, title=title, images=dataset.root)
    logger.info(f"Mask quality: {page}")
