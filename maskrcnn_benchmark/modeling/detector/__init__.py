import torch
from torch import nn
from yacs.config import CfgNode

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
]


def check_model(cfg: CfgNode) -> list[str]:
    """Return what is wrong with the config for the model that it names, a line each.

    Every part is asked that the config names and a registry knows (``modeling/registry.py``).
    ``check_config(cfg, check_model(cfg))`` refuses it together with all else that is wrong.
    """
    return list(META_ARCHITECTURES.check(cfg))


def build_detection_model(cfg: CfgNode, *, paste_masks: bool = True) -> nn.Module:
    """Build the model that ``cfg.MODEL`` describes, on the CPU, with initial weights.

    Its convolutions are in the channels_last memory format: on the CPU their gradients take half
    the time.

    Args:
        cfg: the whole config; what follows from the body and is not set is set here, as by
            ``derive_settings``.
        paste_masks: whether ``MODEL.ROI_MASK_HEAD.POSTPROCESS_MASKS`` holds. False for callers that
            paste the masks themselves, as the evaluation does: it needs ``[N, 1, M, M]``.

    Raises:
        ValueError: a name or a size in the config is wrong; the message has its key.
    """
    derive_settings(cfg)
    problems = check_model(cfg)
    if problems:
        raise ValueError("the model cannot be built:\n  " + "\n  ".join(problems))
    model: nn.Module = META_ARCHITECTURES.build(cfg, paste_masks)
    return model.to(memory_format=torch.channels_last)
