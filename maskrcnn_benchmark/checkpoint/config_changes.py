"""Compare configs saved as YAML text."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

_WITHOUT_EFFECT = ("OUTPUT_DIR",)
_ABSENT = "(none)"
# settings that the weights of a converted model depend on, if they were converted with them; with
# others its results are wrong
_CONVENTIONS = (
    "MODEL.PIXEL_OFFSET",
    "MODEL.BACKBONE.CONV_BODY",
    "MODEL.RESNETS.STRIDE_IN_1X1",
    "MODEL.RESNETS.NUM_GROUPS",
    "MODEL.RESNETS.WIDTH_PER_GROUP",
    "MODEL.RPN.ANCHOR_RULE",
    "MODEL.ROI_BOX_HEAD.POOLER_ALIGNED",
    "MODEL.ROI_BOX_CASCADE_HEAD.AVERAGE",
    "MODEL.ROI_BOX_CASCADE_HEAD.BBOX_REG_WEIGHTS",
    "MODEL.ROI_MASK_HEAD.POOLER_ALIGNED",
    "INPUT.PIXEL_MEAN",
    "INPUT.PIXEL_STD",
    "INPUT.TO_BGR255",
)


def config_changes(before: str, after: str) -> list[str]:
    """Return ``"SOLVER.BASE_LR 0.01 -> 0.02"`` for each key whose value differs."""
    old, new = (dict(_leaves(yaml.safe_load(text))) for text in (before, after))
    keys = [key for key in (old | new) if key not in _WITHOUT_EFFECT]
    pairs = ((key, old.get(key, _ABSENT), new.get(key, _ABSENT)) for key in keys)
    return [f"{key} {was} -> {now}" for key, was, now in pairs if was != now]


def require_conventions(content: Mapping[str, Any], config: str, path: str | Path) -> None:
    """Check that converted weights are loaded under a config with matching conventions.

    Args:
        content: content of the weight file; ignored unless it has ``converted_from``.
        config: YAML text of the current config; "" if unknown.
        path: path of the weight file, whose config is the ``.yaml`` of the same name.

    Raises:
        ValueError: the conventions differ.
    """
    if "converted_from" not in content or not config:
        return
    theirs, ours = (dict(_leaves(yaml.safe_load(text))) for text in (content["config"], config))
    pairs = ((key, ours.get(key), theirs[key]) for key in _CONVENTIONS if key in theirs)
    differ = [f"{key} {our}, not {their}" for key, our, their in pairs if our != their]
    if differ:
        raise ValueError(
            f"{path} was converted from {content['converted_from']}, and the config does not match "
            f"it: {'; '.join(differ)}. Use --config-file {Path(path).with_suffix('.yaml')}, or "
            "for a catalog:// name no --config-file"
        )


def _leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the full key and the value of each leaf of a tree."""
    if not isinstance(node, dict):
        yield path, node
        return
    for key, value in node.items():
        yield from _leaves(value, f"{path}.{key}" if path else str(key))
