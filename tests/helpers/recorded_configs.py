"""The configs of the original and of maskrcnn-benchmark, as recorded."""

import json
from collections.abc import Mapping
from typing import Any

from yacs.config import CfgNode

from maskrcnn_benchmark.config import cfg
from tests.helpers.vectors import REFERENCE

RECORDED = json.loads((REFERENCE / "configs.json").read_text())
FORK, UPSTREAM = RECORDED["maskscoring_rcnn"], RECORDED["maskrcnn_benchmark"]


def recorded(entry: Mapping[str, Any]) -> CfgNode:
    """Return the defaults with the recorded overrides of one file."""
    pairs = []
    for key, value in entry["overrides"].items():
        if isinstance(value, dict):
            value = tuple(value.get("__tuple__", value.get("__list__")))
        pairs += [key, value]
    config = cfg.clone()
    config.merge_from_list(pairs)
    return config
