"""A pytest plugin: an empty torchvision, where none is built for the torch at hand (``make abi``).

The fallback and deformable convolution alone need it. Used with
``-p tests.helpers.without_torchvision``.
"""

import sys
from types import ModuleType

torchvision, ops = ModuleType("torchvision"), ModuleType("torchvision.ops")
vars(torchvision)["ops"] = ops
vars(ops)["deform_conv2d"] = None
sys.modules.update({"torchvision": torchvision, "torchvision.ops": ops})
