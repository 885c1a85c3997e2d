"""Logging: lines ``time name level: message`` to stdout and ``log.txt``."""

import logging
import sys
from pathlib import Path

_FORMAT = "%(asctime)s %(name)s %(levelname)s: %(message)s"


def setup_logger(
    name: str, save_dir: str | Path | None, distributed_rank: int = 0, filename: str = "log.txt"
) -> logging.Logger:
    """Configure and return the logger ``name``, writing to stdout and a file.

    A second call reconfigures it.

    Args:
        name: name of the logger; its child loggers (``name.part``) write through it.
        save_dir: folder of the log file (created if needed); empty or None: stdout only.
        distributed_rank: only rank 0 writes anything.
        filename: name of the log file, which is appended to.
    """
    logger = logging.getLogger(name)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    if distributed_rank > 0:
        logger.addHandler(logging.NullHandler())
        return logger
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stdout)]
    if save_dir:
        Path(save_dir).mkdir(parents=True, exist_ok=True)
        path = Path(save_dir) / filename
        handlers.append(logging.FileHandler(path, encoding="utf-8", errors="backslashreplace"))
    for handler in handlers:
        handler.setFormatter(logging.Formatter(_FORMAT))
        logger.addHandler(handler)
    return logger


_warned: set[str] = set()


def warn_once(kind: str, message: str) -> None:
    """Log a warning unless this process has logged one of this kind before."""
    if kind not in _warned:
        _warned.add(kind)
        logging.getLogger(__name__).warning(message)
