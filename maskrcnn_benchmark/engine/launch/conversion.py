"""Conversion of another project's weights to a checkpoint and its config."""

from pathlib import Path

import torch

from maskrcnn_benchmark.checkpoint.convert import (
    Conversion,
    Options,
    convert_file,
    write_conversion,
)
from maskrcnn_benchmark.checkpoint.loading import load_state_dict
from maskrcnn_benchmark.config import check_config, make_default_config
from maskrcnn_benchmark.modeling.detector import build_detection_model
from maskrcnn_benchmark.utils.user_error import user_errors


def convert(source: str | Path, target: str | Path, options: Options | None = None) -> Conversion:
    """Write the checkpoint and the config of a file of another project.

    The same as ``tools/convert_weights.py``.

    Args:
        source: the file of the other project.
        target: the checkpoint, ending in ``.pth``; the config gets the ending ``.yaml``.
        options: what the file does not tell.

    Raises:
        UserError: a ValueError; a file cannot be read or written, is none that can be converted,
            or the class names do not fit.
    """
    source, target = Path(source), Path(target)
    with user_errors():
        if target.suffix != ".pth":
            raise ValueError(f"{target}: the output is a checkpoint and must end in .pth")
        found = convert_file(source, options)
        _check_fit(found)
        write_conversion(found, target, origin=source.name)
    return found


def _check_fit(found: Conversion) -> None:
    """Build the model that a conversion describes, without memory, and compare it.

    Raises:
        ValueError: a tensor is missing, left over or of another shape.
    """
    cfg = make_default_config()
    cfg.merge_from_other_cfg(found.settings)
    check_config(cfg)
    with torch.device("meta"):
        model = build_detection_model(cfg)
    report = load_state_dict(model, found.state)
    if not report.complete or report.unexpected:
        raise ValueError(f"it does not fit the model that it asks for: {report.summary()}")


def read_class_names(path: str | Path) -> list[str]:
    """Return the names in a text file, one a line, without the background.

    Raises:
        UserError: a ValueError; the file is missing or not text in UTF-8.
    """
    with user_errors():
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    return [line.strip() for line in lines if line.strip()]
