"""The check of a config as the tools make it."""

from yacs.config import CfgNode

from maskrcnn_benchmark.config import check_config
from maskrcnn_benchmark.modeling.detector import check_model


def check_whole(cfg: CfgNode) -> None:
    """Refuse what is wrong across sections, or for the model."""
    check_config(cfg, check_model(cfg))
