"""Complete check of a config, as in the tools."""

from yacs.config import CfgNode

from maskrcnn_benchmark.config import check_config
from maskrcnn_benchmark.modeling.detector import check_model


def check_whole(cfg: CfgNode) -> None:
    """Raise an error if settings contradict each other or the model."""
    check_config(cfg, check_model(cfg))
