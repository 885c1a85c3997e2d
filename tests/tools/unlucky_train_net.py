"""tools/train_net.py to which something happens in a step: ``UNLUCKY="EVENT STEP RANK"``.

``die``: the process of that rank kills itself; ``stop``: its parent, the launcher, gets SIGTERM.
It happens once in a job, not again after a restart.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "tools"))

import train_net

from maskrcnn_benchmark.engine import trainer

event, step, rank = os.environ["UNLUCKY"].split()
take_step = trainer.train_step
steps = 0


def unlucky_step(*args: Any, **options: Any) -> Any:
    global steps
    steps += 1
    restarts = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    if (str(steps), os.environ["RANK"], restarts) == (step, rank, "0"):
        if event == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        os.kill(os.getppid(), signal.SIGTERM)
    return take_step(*args, **options)


trainer.train_step = unlucky_step
train_net.main()
