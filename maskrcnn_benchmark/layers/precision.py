"""The end of mixed precision in the model."""

import torch
from torch import Tensor


def full_precision(x: Tensor) -> Tensor:
    """Convert float16 and bfloat16 to float32, and return other dtypes unchanged.

    Under ``torch.autocast`` convolutions and linear layers return half precision, whose 8 or 11
    significant bits are too few for boxes of a thousand pixels and for sums over them. The output
    of every predictor is converted, so scores, boxes, IoUs, NMS, masks and losses are float32.
    """
    return x.to(torch.promote_types(x.dtype, torch.float32))
