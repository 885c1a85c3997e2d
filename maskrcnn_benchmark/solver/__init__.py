"""Optimizer and learning rate schedule."""

from maskrcnn_benchmark.solver.build import make_lr_scheduler, make_optimizer
from maskrcnn_benchmark.solver.lr_scheduler import WarmupCosineLR, WarmupMultiStepLR

__all__ = ["WarmupCosineLR", "WarmupMultiStepLR", "make_lr_scheduler", "make_optimizer"]
