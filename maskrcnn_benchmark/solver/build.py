"""Build the optimizer and the learning rate schedule from the config."""

from torch import nn
from torch.optim import SGD, Optimizer
from yacs.config import CfgNode

from maskrcnn_benchmark.solver.lr_scheduler import WarmupCosineLR, WarmupMultiStepLR


def make_optimizer(cfg: CfgNode, model: nn.Module) -> SGD:
    """Build SGD with one parameter group per trainable parameter, in model order.

    A parameter with ``bias`` in its name has ``SOLVER.BIAS_LR_FACTOR`` times the learning rate and
    the weight decay ``SOLVER.WEIGHT_DECAY_BIAS``.

    Raises:
        ValueError: the model has no trainable parameter.
    """
    solver = cfg.SOLVER
    groups, lr = [], solver.BASE_LR
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        is_bias = "bias" in name
        lr = solver.BASE_LR * (solver.BIAS_LR_FACTOR if is_bias else 1)
        decay = solver.WEIGHT_DECAY_BIAS if is_bias else solver.WEIGHT_DECAY
        groups.append({"params": [parameter], "lr": lr, "weight_decay": decay})
    if not groups:
        raise ValueError("nothing to train: all parameters of the model are frozen")
    # legacy: the default rate is that of the last parameter; every group sets its own
    return SGD(groups, lr, momentum=solver.MOMENTUM, fused=True)


def make_lr_scheduler(cfg: CfgNode, optimizer: Optimizer) -> WarmupMultiStepLR | WarmupCosineLR:
    """Build the schedule named by ``SOLVER.LR_SCHEDULER_NAME``, with its warm-up."""
    solver = cfg.SOLVER
    warmup = {
        "warmup_factor": solver.WARMUP_FACTOR,
        "warmup_iters": solver.WARMUP_ITERS,
        "warmup_method": solver.WARMUP_METHOD,
    }
    if solver.LR_SCHEDULER_NAME == "WarmupCosineLR":
        return WarmupCosineLR(optimizer, solver.MAX_ITER, **warmup)
    return WarmupMultiStepLR(optimizer, solver.STEPS, gamma=solver.GAMMA, **warmup)
