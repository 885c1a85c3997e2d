"""Progress bars, shown on a terminal only."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator
from typing import Any

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from maskrcnn_benchmark.utils.comm import is_main_process


@contextlib.contextmanager
def progress_bar(total: int, *, start: int = 0, unit: str = "it") -> Iterator[tqdm[Any]]:
    """Yield a bar to ``update()``; silent unless this is the main process on a terminal.

    Log lines appear above the bar.

    Args:
        total: final count.
        start: initial count.
        unit: name of the counted items.
    """
    shown = is_main_process() and sys.stderr.isatty()
    with contextlib.ExitStack() as stack:
        if shown:
            stack.enter_context(logging_redirect_tqdm([logging.getLogger("maskrcnn_benchmark")]))
        yield stack.enter_context(
            tqdm(total=total, initial=start, unit=unit, disable=not shown, dynamic_ncols=True)
        )
