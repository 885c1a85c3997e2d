"""Single cells of a feature pyramid.

The losses of the RPN use few anchors of an image. What they need of the feature maps are the cells
of these anchors and those around them: a convolution of these alone costs little, where one of the
whole maps and its gradient would be a sixth of a training step.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def conv3x3_at(conv: nn.Conv2d, features: Sequence[Tensor], cells: Tensor) -> Tensor:
    """Return the output ``[S, C_out]`` of a 3x3 convolution with padding 1 at S cells.

    Args:
        conv: the convolution, without dilation and groups.
        features: feature map ``[N, C, H, W]`` of each level.
        cells: int64 ``[S]``; the cells of all images are numbered by image, level, y and x.
    """
    weight = conv.weight.permute(0, 2, 3, 1).flatten(1)  # [C_out, 9 C]
    return F.linear(neighborhoods(features, cells).flatten(1), weight, conv.bias)


def neighborhoods(features: Sequence[Tensor], cells: Tensor) -> Tensor:
    """Return the 3 x 3 cells around S cells, ``[S, 3, 3, C]``; 0 outside of the feature map.

    Args:
        features: feature map ``[N, C, H, W]`` of each level.
        cells: int64 ``[S]``, see ``conv3x3_at``.
    """
    per_image = sum(feature[0, 0].numel() for feature in features)
    image, cell = (cells // per_image)[:, None, None], (cells % per_image)[:, None, None]
    steps = torch.arange(-1, 2, device=cells.device)
    found = features[0].new_zeros(len(cells), 3, 3, features[0].shape[1])
    for feature in features:  # every cell is looked up in every level: the host needs no counts
        height, width = feature.shape[-2:]
        y, x = cell // width + steps[:, None], cell % width + steps
        in_level = (cell >= 0) & (cell < height * width)
        inside = in_level & (y >= 0) & (y < height) & (x >= 0) & (x < width)  # [S, 3, 3]
        index = ((image * height + y) * width + x).where(inside, 0)
        rows = feature.permute(0, 2, 3, 1).flatten(0, 2)[index]
        found = torch.where(inside[..., None], rows, found)
        cell = cell - height * width
    return found
