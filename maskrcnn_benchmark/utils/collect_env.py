"""Report machine and library versions: ``python -m maskrcnn_benchmark.utils.collect_env``."""

import argparse
import contextlib
import importlib
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence

import torch

_PACKAGES = ("torch", "torchvision", "numpy", "pycocotools", "opencv-python", "yacs")


def _version(package: str) -> str:
    found = []
    for name in (package, f"{package}-headless"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found.append(importlib.metadata.version(name))
    clash = ", headless: only one of the two should be installed, see INSTALL.md"
    return " and ".join(found) + (clash if len(found) > 1 else "") or "not installed"


def _tool_version(*command: str) -> str:
    """Return the last line of a tool's version output with a digit, or say that it is missing."""
    if shutil.which(command[0]) is None:
        return "not found"
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [line for line in result.stdout.splitlines() if any(c.isdigit() for c in line)]
    return lines[0] if lines else "found, version unknown"


def _nvcc_version() -> str:
    """Return the release line of nvcc, from PATH or CUDA_HOME."""
    home = os.environ.get("CUDA_HOME", "/usr/local/cuda")
    nvcc = shutil.which("nvcc") or shutil.which("nvcc", path=f"{home}/bin")
    if nvcc is None:
        return "not found"
    result = subprocess.run([nvcc, "--version"], capture_output=True, text=True, check=False)
    releases = [line for line in result.stdout.splitlines() if "release" in line]
    return releases[0] if releases else "found, version unknown"


def _extension() -> str:
    """Return a description of the compiled operators."""
    try:
        layers = importlib.import_module("maskrcnn_benchmark.layers")
    except ImportError as error:
        return f"cannot be imported: {error}"
    if not layers.has_extension():
        return "not built (torchvision's operators and plain torch stand in)"
    try:
        has_cuda = torch._C._dispatch_has_kernel_for_dispatch_key("maskrcnn_benchmark::nms", "CUDA")
    except RuntimeError:
        return "built, but without the operator nms"
    return "built for CPU and CUDA" if has_cuda else "built for CPU"


def _gpus() -> list[tuple[str, str]]:
    if not torch.cuda.is_available():
        return [("GPU", "none that torch can use")]
    names = []
    for index in range(torch.cuda.device_count()):
        gpu = torch.cuda.get_device_properties(index)
        memory = f"{gpu.total_memory / 2**30:.0f} GiB, sm_{gpu.major}{gpu.minor}"
        names.append((f"GPU {index}", f"{gpu.name}, {memory}"))
    return names


def collect_env_info() -> str:
    """Return a table of versions and devices, one per line, for logs and bug reports."""
    rows = [("platform", platform.platform()), ("python", sys.version.split()[0])]
    rows += [(package, _version(package)) for package in _PACKAGES]
    rows += [
        ("CUDA of torch", str(torch.version.cuda)),
        ("extension", _extension()),
        ("nvcc", _nvcc_version()),
        ("C++ compiler", _tool_version(os.environ.get("CXX", "c++"), "--version")),
        ("ninja", _tool_version("ninja", "--version")),
        ("CPUs, torch threads", f"{os.cpu_count()}, {torch.get_num_threads()}"),
    ]
    rows += _gpus()
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table; ``argv``: the arguments, by default those of the process."""
    argparse.ArgumentParser(description="Print versions and devices.").parse_args(argv)
    sys.stdout.write(collect_env_info() + "\n")


if __name__ == "__main__":
    main()
