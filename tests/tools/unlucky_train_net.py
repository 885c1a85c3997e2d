"""tools/train_net.py with a simulated failure in a step: ``UNLUCKY="EVENT STEP RANK"``.

``die``: that rank kills itself; ``stop``: its parent, the launcher, receives SIGTERM, and the step
waits until the launcher has forwarded it. The event occurs once per job, not again after a
restart, in which rank 0 is delayed.
"""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "tools"))

import train_net

from maskrcnn_benchmark.engine import stop_request, trainer

event, step, rank = os.environ["UNLUCKY"].split()
take_step = trainer.train_step
note = stop_request.StopRequest._note
steps = 0
noted = False
restarts = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")


def noting(*args: Any) -> None:
    global noted
    note(*args)
    noted = True


def unlucky_step(*args: Any, **options: Any) -> Any:
    global steps
    steps += 1
    if (str(steps), os.environ["RANK"], restarts) == (step, rank, "0"):
        if event == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        os.kill(os.getppid(), signal.SIGTERM)
        deadline = time.monotonic() + 60
        while not noted and time.monotonic() < deadline:
            time.sleep(0.05)
    return take_step(*args, **options)


stop_request.StopRequest._note = noting
trainer.train_step = unlucky_step
if (os.environ["RANK"], restarts) == ("0", "1"):
    time.sleep(1)  # the other must not take the addresses of the former processes
train_net.main()
