"""Convert classification ResNets of torchvision and timm to backbones."""

from collections.abc import Mapping

from torch import Tensor

_BATCH_NORM_EPS = 1e-5  # default of torch, used by all ResNets of torchvision and timm
_DEEP_STEM = "conv1.0.weight"  # timm's resnet50d, resnet50t, ...
_STEM = {"conv1.": "stem.conv1.", "bn1.": "stem.bn1."}


def is_torchvision_resnet(state: Mapping[str, Tensor]) -> bool:
    """Return whether the names belong to a torchvision or timm ResNet or ResNeXt."""
    stems = {"conv1.weight", _DEEP_STEM}
    return "layer1.0.conv1.weight" in state and not stems.isdisjoint(state)


def convert_torchvision_resnet(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors to suffixes of the names in our models.

    ``conv1`` and ``bn1`` become ``stem.conv1`` and ``stem.bn1``; ``layerN.*`` keep their names
    (they belong to ``backbone.body``, except that ``layer4`` belongs to the box head with C4). Our
    FrozenBatchNorm2d has no epsilon, so that of torch is added to ``running_var``. The classifier
    ``fc`` and the counters ``num_batches_tracked`` are dropped.

    Args:
        state: tensors by torchvision name; not modified.

    Raises:
        ValueError: the ResNet has a stem of three convolutions.
    """
    if _DEEP_STEM in state:
        raise ValueError(
            f"this ResNet has several convolutions in its stem ({_DEEP_STEM}); our backbones have "
            "a single 7x7 convolution, like resnet50 of torchvision"
        )
    converted: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if name.startswith("fc.") or name.endswith("num_batches_tracked"):
            continue
        for theirs, ours in _STEM.items():
            if name.startswith(theirs):
                name = ours + name[len(theirs) :]  # noqa: PLW2901
        is_variance = name.endswith("running_var")
        converted[name] = tensor + _BATCH_NORM_EPS if is_variance else tensor
    return converted
