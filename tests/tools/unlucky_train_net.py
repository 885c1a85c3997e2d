"""tools/train_net.py to which something happens in a step: ``UNLUCKY="EVENT STEP RANK"``.

``die``: the process of that rank kills itself; ``stop``: its parent, the launcher, gets SIGTERM.
It happens once in a job, not again after a restart, which rank 0 comes late to.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "tools"))

import train_net

from maskrcnn_benchmark.engine import trainer

event, step, rank = os.environ["UNLUCKY"].split()
take_step = trainer.train_step
steps = 0
restarts = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")


def unlucky_step(*args: Any, **options: Any) -> Any:
    global steps
    steps += 1
    if (str(steps), os.environ["RANK"], restarts) == (step, rank, "0"):
        if event == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        os.kill(os.getppid(), signal.SIGTERM)
    return take_step(*args, **options)


trainer.train_step = unlucky_step
if (os.environ["RANK"], restarts) == ("0", "1"):
    time.sleep(5)  # the other must not take the addresses of the former processes
train_net.main()
