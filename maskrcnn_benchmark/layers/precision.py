"""Where mixed precision ends."""

import torch
from torch import Tensor


def full_precision(x: Tensor) -> Tensor:
    """Return float16 and bfloat16 as float32, anything else as it is.

    Under ``torch.autocast`` convolutions and linear layers give half precision, whose 8 or 11
    significant bits are too few for boxes of a thousand pixels and for sums over them. What a
    predictor says goes through here: scores, boxes, IoUs, NMS, masks and losses are float32.
    """
    return x.to(torch.promote_types(x.dtype, torch.float32))
