"""Results of several processes come in order, and no process outlives its use."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from maskrcnn_benchmark.data.ordered_map import ordered_map, usable_processors
from maskrcnn_benchmark.utils.user_error import UserError

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="forks only on Linux")


def square(number):
    return number**2, os.getpid()


@on_linux
@pytest.mark.parametrize("processes", [0, 1, 2, 3])
@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_results_come_in_order(processes, count):
    found = list(ordered_map(square, lambda: iter(range(count)), processes))
    assert [value for value, _ in found] == [n**2 for n in range(count)]
    pids = {pid for _, pid in found}
    assert len(pids) == min(max(processes, 1), count)
    assert (os.getpid() in pids) == (processes < 2 and count > 0)
    assert multiprocessing.active_children() == []


def test_results_may_be_empty():
    assert list(ordered_map(lambda _: [], lambda: [1, 2, 3], 2)) == [[], [], []]


@on_linux
def test_processes_end_with_the_iteration():
    results = ordered_map(square, lambda: iter(range(10**9)), 2)
    assert next(results)[0] == 0
    assert len(multiprocessing.active_children()) == 2
    results.close()
    assert multiprocessing.active_children() == []


def fail(number):
    if number == 4:
        raise OSError("no more space")
    return number


def test_errors_are_raised_here(capfd):
    results = ordered_map(fail, lambda: range(9), 2)
    assert [next(results) for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(OSError, match="no more space"):
        next(results)
    assert capfd.readouterr() == ("", "")


def die(number):
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@on_linux
def test_a_killed_process_is_told():
    """Otherwise the results would look complete."""
    results = ordered_map(die, lambda: range(9), 2)
    with pytest.raises(UserError, match="was killed; is there enough memory"):
        list(results)


SCRIPT = """
import os, sys, time
from maskrcnn_benchmark.data.ordered_map import ordered_map
results = ordered_map(lambda _: os.getpid(), lambda: iter(range(10**9)), 2)
print(next(results), next(results), flush=True)
time.sleep(600)
"""


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").split()[2]
    return state != "Z"  # a zombie


@on_linux
def test_processes_end_with_their_parent():
    parent = subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert all(map(is_running, pids))
    parent.kill()
    parent.wait()
    for _ in range(100):
        if not any(map(is_running, pids)):
            return
        time.sleep(0.1)
    pytest.fail("processes are left")


def test_usable_processors():
    assert 1 <= usable_processors() <= (os.cpu_count() or 1)
