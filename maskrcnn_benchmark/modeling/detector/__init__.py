import torch
from torch import nn
from yacs.config import CfgNode

from maskrcnn_benchmark.modeling.detector.augmented_rcnn import make_augmented
from maskrcnn_benchmark.modeling.detector.build_generalized_rcnn import build_generalized_rcnn
from maskrcnn_benchmark.modeling.detector.derived import derive_settings
from maskrcnn_benchmark.modeling.detector.generalized_rcnn import GeneralizedRCNN
from maskrcnn_benchmark.modeling.registry import META_ARCHITECTURES

__all__ = [
    "GeneralizedRCNN",
    "build_detection_model",
    "build_generalized_rcnn",
    "check_model",
    "derive_settings",
    "make_augmented",
]


def check_model(cfg: CfgNode) -> list[str]:
    """Return the problems of a model config, one line each.

    Runs the check of every registered part that the config names (``modeling/registry.py``).
    ``check_config(cfg, check_model(cfg))`` raises one error with these and all other problems.
    """
    return list(META_ARCHITECTURES.check(cfg))


def build_detection_model(cfg: CfgNode, *, paste_masks: bool = True) -> nn.Module:
    """Build the model that ``cfg.MODEL`` describes, on the CPU, with initial weights.

    Convolutions use the channels_last memory format, which halves the time of their gradients on
    the CPU.

    Args:
        cfg: the whole config. Unset keys that depend on the body are set by ``derive_settings``.
        paste_masks: whether to respect ``MODEL.ROI_MASK_HEAD.POSTPROCESS_MASKS``. Pass False to
            always get masks ``[N, 1, M, M]`` and paste them later, as the evaluation does.

    Raises:
        ValueError: a name or a size in the config is invalid; the message names the key.
    """
    derive_settings(cfg)
    problems = check_model(cfg)
    if problems:
        raise ValueError("the model cannot be built:\n  " + "\n  ".join(problems))
    model: nn.Module = META_ARCHITECTURES.build(cfg, paste_masks)
    return model.to(memory_format=torch.channels_last)
