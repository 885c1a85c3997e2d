"""Map blob names of Detectron (Caffe2) weights to suffixes of our parameter names.

``res2_0_branch2a_w`` is the weight of the first convolution in the first block of the first stage,
``layer1.0.conv1.weight``. Detectron folds the statistics of a batch norm into its scale and shift.
"""

import re
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

_BLOCK = re.compile(r"res(\d)_(\d+)_branch(1|2a|2b|2c)(_bn|_gn)?$")
_FPN = re.compile(r"fpn_(inner_)?res(\d)_\d+_sum(_lateral)?$")
_BATCH_NORM_SCALE = re.compile(r"res(\d_\d+_branch\w\w?|_conv1)_bn_s$")
_RPN_LEVEL = re.compile(r"_fpn\d+$")
_MOMENTUM = "_momentum"
_ENDINGS = {"_w": "weight", "_s": "weight", "_b": "bias"}
_MODULES = {
    "res_conv1_bn": "bn1",
    "conv1_gn": "bn1",
    "pred": "fc1000",
    "conv_rpn": "rpn.head.conv",
    "rpn_cls_logits": "rpn.head.cls_logits",
    "rpn_bbox_pred": "rpn.head.bbox_pred",
}
# branch of a residual block -> (convolution, norm)
_BRANCHES = {
    "1": ("downsample.0", "downsample.1"),
    "2a": ("conv1", "bn1"),
    "2b": ("conv2", "bn2"),
    "2c": ("conv3", "bn3"),
}


def is_caffe2(names: Iterable[str]) -> bool:
    """Return whether the names belong to a Detectron backbone or detector."""
    return any(name.startswith("res") and "_branch" in name for name in names)


def _module(blob: str) -> str:
    """Return the module name for a blob name without its suffix."""
    if block := _BLOCK.match(blob):
        stage, number, branch, norm = block.groups()
        return f"layer{int(stage) - 1}.{number}.{_BRANCHES[branch][norm is not None]}"
    if level := _FPN.match(blob):
        return f"fpn_{'inner' if level[1] else 'layer'}{int(level[2]) - 1}"
    blob = blob.replace("_[mask]_", "mask_")
    if "rpn" in blob:
        blob = _RPN_LEVEL.sub("", blob)  # all levels share the blobs of the first level
    return _MODULES.get(blob, blob)


def parameter_name(blob: str) -> str:
    """Return the suffix of our parameter name for a blob.

    An unknown blob name is kept, except for its suffix.
    """
    if blob[-2:] not in _ENDINGS:
        return blob
    return f"{_module(blob[:-2])}.{_ENDINGS[blob[-2:]]}"


def convert_caffe2(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors to our names, and drop the momentum buffers of the optimizer.

    Each batch norm gets mean 0 and variance 1, so that only its scale and shift apply. Group norms
    have no statistics.

    Args:
        state: tensors by blob name; not modified.
    """
    converted: dict[str, Tensor] = {}
    for blob, tensor in state.items():
        if blob.endswith(_MOMENTUM):
            continue
        name = parameter_name(blob)
        converted[name] = tensor
        if _BATCH_NORM_SCALE.match(blob):
            norm = name.removesuffix("weight")
            converted[f"{norm}running_mean"] = torch.zeros_like(tensor)
            converted[f"{norm}running_var"] = torch.ones_like(tensor)
    return converted
