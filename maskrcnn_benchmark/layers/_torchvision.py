"""torchvision's operators, imported when one is first needed.

The import takes ten times as long as that of all modules of a model together, and a model on the
extension needs none of them.
"""

import functools
from typing import Any


@functools.cache
def operators() -> Any:
    """Return the module ``torchvision.ops``."""
    import torchvision

    return torchvision.ops
