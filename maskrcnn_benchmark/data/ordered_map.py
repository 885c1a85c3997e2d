"""Apply a function to many items in several processes."""

import contextlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from maskrcnn_benchmark.utils.user_error import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")


def ordered_map(
    function: Callable[[Item], Result], make_items: Callable[[], Iterable[Item]], processes: int
) -> Generator[Result, None, None]:
    """Yield ``function(item)`` of all items in order, computed by ``processes`` forks of this one.

    Each fork runs through all items and takes every ``processes``-th, so that only results are
    sent. They end with the iteration, or with this process. Elsewhere than on Linux, and of less
    than two, this process computes the results.

    Args:
        function: of an item; its result can be pickled.
        make_items: returns the same items in every process.
        processes: number of forks.

    Raises:
        UserError: a fork was killed.
        Exception: what ``function`` or ``make_items`` raises.
    """
    is_worker = multiprocessing.current_process().daemon  # which may have no children
    # forks of a process with libraries of macOS may crash, and Windows has none
    if processes < 2 or is_worker or sys.platform != "linux":
        yield from map(function, make_items())
        return
    context = multiprocessing.get_context("fork")
    forks, readers = [], []
    try:
        for rank in range(processes):
            reader, writer = context.Pipe(duplex=False)
            readers.append(reader)
            arguments = (function, make_items, range(rank, 2**63, processes), writer, readers)
            forks.append(context.Process(target=_work, args=arguments, daemon=True))
            forks[-1].start()
            writer.close()
        yield from _receive(readers)
    finally:
        for reader in readers:
            reader.close()
        for fork in forks:
            fork.terminate()
            fork.join()


def usable_processors() -> int:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not in macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _receive(readers: Sequence[Connection]) -> Iterator[Any]:
    """Yield the results of all forks in the order of the items."""
    while True:
        for reader in readers:
            try:
                results = reader.recv()
            except EOFError:
                raise UserError(
                    "a process that shared the work was killed; is there enough memory?"
                ) from None
            if isinstance(results, Exception):
                raise results
            if not results:  # the end of all items
                return
            yield from results


def _work(
    function: Callable[[Any], Any],
    make_items: Callable[[], Iterable[Any]],
    own: range,
    writer: Connection,
    readers: Sequence[Connection],
) -> None:
    """Send each own item's result in a list, and at the end an empty list or an exception."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process ends the forks
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for reader in readers:  # else a pipe would outlive its reader, and this process too
        reader.close()
    with contextlib.suppress(BrokenPipeError):  # nobody needs the rest
        try:
            for number, item in enumerate(make_items()):
                if number in own:
                    writer.send([function(item)])
            writer.send([])
        except Exception as error:  # noqa: BLE001  # raised again by the first process
            writer.send(error)
