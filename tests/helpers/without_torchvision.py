"""A pytest plugin: an empty torchvision, where none is built for the torch at hand (``make abi``).

The fallback alone needs it. Used with ``-p tests.helpers.without_torchvision``.
"""

import sys
from types import ModuleType

sys.modules["torchvision"] = ModuleType("torchvision")
