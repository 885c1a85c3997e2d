"""A pytest plugin: an empty torchvision, for torch versions without a build of it (``make abi``).

Only the fallback and deformable convolution need it. Used with
``-p tests.helpers.without_torchvision``.
"""

import sys
from types import ModuleType

torchvision, ops = ModuleType("torchvision"), ModuleType("torchvision.ops")
vars(torchvision)["ops"] = ops
vars(ops)["deform_conv2d"] = None
sys.modules.update({"torchvision": torchvision, "torchvision.ops": ops})
