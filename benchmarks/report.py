"""What every result file of a benchmark states: date, machine, threads, versions, commit."""

import datetime
import json
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"


def machine() -> str:
    """Return the name of the processor and the number of cores."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {len(names)} cores"


def peak_memory() -> float:
    """Return the largest resident size that this process had, in GiB. Linux only.

    ``ru_maxrss`` would not do: a process starts with that of the process that started it.
    """
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    (peak,) = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(peak) / 2**20


def commit() -> str:
    """Return the commit of the code, with ``-dirty`` if files have changed since."""
    git = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude", "*"]
    return subprocess.run(git, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def header() -> dict[str, Any]:
    """Return date, machine, threads and the version of torch."""
    return {
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "machine": machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def write_result(name: str, rows: list[dict[str, Any]], of_commit: str) -> Path:
    """Write ``results/DATE-name.json``: the header, the command line that runs, and the rows.

    ``of_commit`` is ``commit()`` at the start of the measurement.
    """
    head = header()
    command = f"python benchmarks/{Path(sys.argv[0]).name}"
    content = {**head, "command": " ".join([command, *sys.argv[1:]]), "commit": of_commit}
    path = RESULTS / f"{head['date']}-{name}.json"
    text = json.dumps(content | {"rows": rows}, indent=1)
    path.write_text(text + "\n", encoding="utf-8")
    return path
