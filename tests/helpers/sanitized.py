"""A pytest plugin: ``maskrcnn_benchmark._C`` is a build with sanitizers, for ``make asan``.

Used with ``-p tests.helpers.sanitized``, which pytest imports before the package.
"""

import importlib.machinery
import importlib.util
import os
import sys

from tests.helpers import csrc_builds

os.environ[csrc_builds.SANITIZE_VARIABLE] = "1"
_loader = importlib.machinery.ExtensionFileLoader(
    "maskrcnn_benchmark._C", str(csrc_builds.build("extension"))
)
_spec = importlib.util.spec_from_loader(_loader.name, _loader)
assert _spec is not None
_module = importlib.util.module_from_spec(_spec)
_loader.exec_module(_module)
sys.modules[_loader.name] = _module
