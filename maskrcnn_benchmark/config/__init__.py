"""The configuration: ``cfg`` (the global default tree), its node type and the cross-key checks."""

from maskrcnn_benchmark.config.checks import check_config
from maskrcnn_benchmark.config.defaults import cfg, make_default_config
from maskrcnn_benchmark.config.node import CfgNode

__all__ = ["CfgNode", "cfg", "check_config", "make_default_config"]
