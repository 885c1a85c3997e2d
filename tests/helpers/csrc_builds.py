"""Test builds of the sources in csrc: the code of the extension, built differently.

``emulated`` has the CUDA kernels, launches and indexing included, compiled for the host
(``csrc/common/emulated_cuda.h``). ``baseline`` has the CPU kernels without their versions for wider
vectors (``csrc/common/vectorized.h``), ``avx2`` has only those versions. Each registers its
operators in a separate namespace, so that it can be loaded together with the extension.
``extension`` is the code of the extension, for a build with sanitizers:
``python -m tests.helpers.csrc_builds --sanitize extension emulated``.
"""

import argparse
import fcntl
import hashlib
import os
import shutil
import subprocess
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from torch.utils.cpp_extension import include_paths, library_paths

ROOT = Path(__file__).parent.parent.parent
CSRC = ROOT / "csrc"
BUILDS = ROOT / "build" / "tests"
SANITIZE_VARIABLE = "MASKRCNN_BENCHMARK_SANITIZE"  # "1": build all libraries with sanitizers
SANITIZERS = [
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
    "-fno-omit-frame-pointer",
    "-g1",
]
# those of setup.py, but -O3 only where it matters
FLAGS = [
    *("-x", "c++", "-std=c++20", "-fPIC", "-fvisibility=hidden", "-ffp-contract=off"),
    "-DTORCH_TARGET_VERSION=0x020a000000000000",
]


@dataclass(frozen=True)
class Build:
    """Sources of a library, relative to csrc, and its flags."""

    pattern: str
    flags: tuple[str, ...]


BUILDS_BY_NAME = {
    "extension": Build("*/cpu.cpp", ("-O1",)),
    "emulated": Build(
        "*/cuda.cu",
        ("-O1", "-DMASKRCNN_EMULATED_CUDA", "-Dmaskrcnn_benchmark=maskrcnn_benchmark_emulated"),
    ),
    "baseline": Build(
        "*/cpu.cpp",
        ("-O3", "-DMASKRCNN_VECTORIZED=", "-Dmaskrcnn_benchmark=maskrcnn_benchmark_baseline"),
    ),
    "avx2": Build(
        "*/cpu.cpp",
        (
            *("-O3", '-DMASKRCNN_VECTORIZED=__attribute__((target("avx2")))'),
            "-Dmaskrcnn_benchmark=maskrcnn_benchmark_avx2",
        ),
    ),
}


def compiler() -> list[str]:
    """Return the C++ compiler, with its options, as setup.py finds it."""
    return os.environ.get("CXX", "c++").split()


def has_compiler() -> bool:
    """Return whether the libraries can be built here."""
    return shutil.which(compiler()[0]) is not None


def build(name: str) -> Path:
    """Return the path of a library, compiled if missing or outdated."""
    chosen = BUILDS_BY_NAME[name]
    sanitizers = SANITIZERS if os.environ.get(SANITIZE_VARIABLE) == "1" else []
    includes = [*include_paths(), sysconfig.get_path("include")]
    flags = [*FLAGS, *chosen.flags, *sanitizers, *(f"-isystem{path}" for path in includes)]
    BUILDS.mkdir(parents=True, exist_ok=True)
    with (BUILDS / "lock").open("w") as lock:  # pytest workers build one after another
        fcntl.flock(lock, fcntl.LOCK_EX)
        sources = sorted([CSRC / "ops.cpp", *CSRC.glob(chosen.pattern)])
        sources = [path for path in sources if not _has_barrier(path)]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            objects = list(pool.map(lambda source: _compile(source, flags), sources))
        library = BUILDS / f"{name}_{_digest([], objects)}.so"
        if not library.is_file():
            libraries = [*(f"-L{path}" for path in library_paths()), "-ltorch_cpu"]
            _run([*compiler(), "-shared", *sanitizers, *map(str, objects), *libraries], library)
    return library


def operators_with_barriers() -> set[str]:
    """Return the operators whose CUDA kernels cannot be emulated; ``emulated`` lacks them."""
    return {path.parent.name for path in CSRC.glob("*/cuda.cu") if _has_barrier(path)}


def _has_barrier(source: Path) -> bool:
    return "__syncthreads" in source.read_text()


def _compile(source: Path, flags: list[str]) -> Path:
    """Return the object file of a source, named by a hash of source, headers and flags."""
    digest = _digest([*compiler(), *flags], [source, *sorted(CSRC.rglob("*.h"))])
    target = BUILDS / f"{source.parent.name}_{source.stem}_{digest}.o"
    if not target.is_file():
        _run([*compiler(), *flags, "-c", str(source)], target)
    return target


def _run(command: list[str], target: Path) -> None:
    """Run a compiler; the target is created completely or not at all."""
    partial = target.with_suffix(".partial")
    done = subprocess.run([*command, "-o", str(partial)], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")
    partial.replace(target)


def _digest(texts: list[str], files: list[Path]) -> str:
    together = hashlib.sha256("\0".join(texts).encode())
    for file in files:
        together.update(str(file).encode() + file.read_bytes())
    return together.hexdigest()[:16]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sanitize", action="store_true")
    parser.add_argument("names", nargs="+", choices=BUILDS_BY_NAME)
    arguments = parser.parse_args()
    if arguments.sanitize:
        os.environ[SANITIZE_VARIABLE] = "1"
    for each in arguments.names:
        print(build(each))
