"""Config of a run: config file, overrides, and values inferred from data and weights."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from yacs.config import CfgNode

from maskrcnn_benchmark.checkpoint.convert import config_file
from maskrcnn_benchmark.checkpoint.convert.published import is_published, local_weights
from maskrcnn_benchmark.config import check_config, make_default_config
from maskrcnn_benchmark.config.linear_scaling import scale_to_batch
from maskrcnn_benchmark.config.node import leaves
from maskrcnn_benchmark.engine.launch.own_data import (
    DatasetFiles,
    register_datasets,
    resolve_num_classes,
)
from maskrcnn_benchmark.evaluation.coco_evaluator import check_evaluator
from maskrcnn_benchmark.modeling.detector import check_model, derive_settings

Config: TypeAlias = str | Path | CfgNode
Settings: TypeAlias = Mapping[str, Any] | Sequence[Any]


def setting_list(settings: Settings) -> list[Any]:
    """Flatten overrides to ``[key, value, ...]``; paths are converted to strings.

    Args:
        settings: such a list, or a possibly nested mapping.
    """
    if isinstance(settings, Mapping):
        settings = [part for pair in leaves(settings) for part in pair]
    return [str(part) if isinstance(part, Path) else part for part in settings]


def make_config(config: Config, settings: Sequence[Any]) -> CfgNode:
    """Return a new config: defaults, overridden by a config file or node, then by ``settings``.

    Args:
        config: path of a YAML file, or a config node, which is not modified; "": the defaults.
        settings: overrides as ``[key, value, ...]``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a key is unknown, or a value has the wrong type.
    """
    if isinstance(config, CfgNode):
        cfg = config.clone()
        cfg.defrost()
    else:
        cfg = make_default_config()
        if config:
            cfg.merge_from_file(config)
    cfg.merge_from_list(settings)
    return cfg


def complete_config(
    cfg: CfgNode,
    config: Config,
    settings: Sequence[Any],
    datasets: Mapping[str, DatasetFiles],
    uses: Sequence[str],
) -> list[str]:
    """Resolve the values inferred from weights and data sets; check and freeze the config.

    Args:
        cfg: result of ``make_config``, modified in place.
        config: config file or node that it was made from.
        settings: overrides that were merged into it.
        datasets: annotation file and image folder of each data set to register, by name.
        uses: splits used by the run: ``TRAIN``, ``TEST`` or both.

    Returns:
        One log line per resolved value.

    Raises:
        ValueError: the config is invalid or does not match the data.
        FileNotFoundError: an annotation file is missing.
    """
    resolved = [] if config else _take_published_config(cfg, settings)
    resolved += register_datasets(cfg, datasets, uses, settings[::2])
    resolved += scale_to_batch(cfg)
    resolved += derive_settings(cfg)
    check_config(cfg, [*check_model(cfg), *check_evaluator(cfg)])
    resolved += resolve_num_classes(cfg, uses)
    cfg.freeze()
    return resolved


def _take_published_config(cfg: CfgNode, settings: Sequence[Any]) -> list[str]:
    """Use the config of a ``catalog://`` model below the overrides; return log lines."""
    weights = cfg.MODEL.WEIGHT
    if not is_published(weights):
        return []
    path = local_weights(weights, cfg.MODEL.PRETRAINED_MODELS, cfg.PATHS_CATALOG)
    cfg.merge_from_file(config_file(path))
    cfg.as_defaults()  # so that the number of classes is inferred from the data
    cfg.merge_from_list(settings)
    return [f"No --config-file: using {config_file(path)} as the base config"]
