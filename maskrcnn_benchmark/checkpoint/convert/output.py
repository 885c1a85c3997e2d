"""Write a conversion to files: a checkpoint, and its config as YAML next to it."""

from pathlib import Path
from typing import Any

import torch
import yaml

from maskrcnn_benchmark.checkpoint.convert.conversion import Conversion, Options, convert_detector
from maskrcnn_benchmark.checkpoint.readers import model_tensors, read_weights
from maskrcnn_benchmark.structures.class_names import BACKGROUND, COCO_CATEGORY_IDS
from maskrcnn_benchmark.utils.atomic_file import write_atomically


def convert_file(path: Path, options: Options | None = None) -> Conversion:
    """Convert a file of another project, see ``convert_detector``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file cannot be read or converted; the message has its path.
    """
    content = read_weights(path)
    try:
        return convert_detector(model_tensors(content), options, meta=content.get("meta"))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def config_file(checkpoint: Path) -> Path:
    """Return the path of the config of a converted checkpoint."""
    return checkpoint.with_suffix(".yaml")


def write_conversion(found: Conversion, target: Path, *, origin: str) -> None:
    """Write a conversion, the checkpoint last, so that its existence implies that of the config.

    Args:
        found: the conversion.
        target: path of the checkpoint; its folder is created.
        origin: the source file, for a comment.
    """
    text = f"# Converted from {found.source}'s {origin}\n# {found.assumed}\n"
    text += yaml.safe_dump(found.settings, sort_keys=False, default_flow_style=None)
    content: dict[str, Any] = {"model": found.state, "config": text}
    content["converted_from"] = found.source
    if found.class_names is not None:
        content["class_names"] = [BACKGROUND, *found.class_names]
    if found.is_coco:
        content["category_ids"] = list(COCO_CATEGORY_IDS)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(config_file(target), lambda file: file.write(text.encode()))
    write_atomically(target, lambda file: torch.save(content, file))
