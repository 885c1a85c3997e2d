"""Signal handling in DataLoader workers."""

import os
import signal

_SECONDS_TO_GO_ON = 15


def outlive_stop_signals(_: int) -> None:
    """Keep a worker alive until the current step ends after a stop signal; a ``worker_init_fn``.

    Ctrl-C and torchrun signal the whole process group. A worker that exited at once would take
    training down before the checkpoint is written. So workers ignore SIGINT and act on SIGTERM
    with a delay, unless the main process ends them first. Windows knows only Ctrl-C.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if not hasattr(signal, "SIGALRM"):
        return
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(_SECONDS_TO_GO_ON))
    signal.signal(signal.SIGALRM, lambda *_: os._exit(0))
