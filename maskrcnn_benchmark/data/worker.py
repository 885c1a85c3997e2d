"""How a loader's worker process takes signals."""

import os
import signal

_SECONDS_TO_GO_ON = 15


def outlive_stop_signals(_: int) -> None:
    """Let a worker serve the step in which the training is asked to stop; a ``worker_init_fn``.

    Ctrl-C and torchrun signal a whole group of processes. A worker that died of it would take the
    training down before the checkpoint is written. So SIGINT is left to the main process, and
    SIGTERM acts with a delay (unless the main process ends the worker before). Windows has no
    signals between processes but Ctrl-C.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if not hasattr(signal, "SIGALRM"):
        return
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(_SECONDS_TO_GO_ON))
    signal.signal(signal.SIGALRM, lambda *_: os._exit(0))
