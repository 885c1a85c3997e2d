"""Builds ``maskrcnn_benchmark._C`` and packs the tools; the rest is in ``pyproject.toml``.

The CUDA build is made where torch is a CUDA build, nvcc is found and there is a GPU; the CPU build
elsewhere. ``FORCE_CUDA=1`` insists on CUDA without looking for a GPU, and makes every obstacle an
error; ``TORCH_CUDA_ARCH_LIST`` then chooses the GPUs to build for. Without torch, or without a
compiler for C++20, the package is installed without the extension and runs on its fallback.
"""

import os
import shutil
import subprocess
import sysconfig
import tempfile
import warnings
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_py import build_py

try:
    import torch
    from torch.utils import cpp_extension
    from torch.utils.cpp_extension import BuildExtension
except ImportError:
    torch = None
    from setuptools.command.build_ext import build_ext as BuildExtension

ROOT = Path(__file__).parent
NAME = "maskrcnn_benchmark._C"
FORCE_CUDA = os.environ.get("FORCE_CUDA", "0") == "1"
# Only the stable ABI of torch 2.10, and Python's limited API: one binary serves all later versions.
# No -march=native: it serves every CPU too. No contraction to fused multiply-adds: every CPU and
# CUDA give the same numbers.
DEFINES = ["-DTORCH_TARGET_VERSION=0x020a000000000000"]
CXX_FLAGS = ["-std=c++20", "-O3", "-ffp-contract=off", "-fvisibility=hidden", "-g0", *DEFINES]
NVCC_FLAGS = ["-std=c++20", "-O3", "--fmad=false", "-DUSE_CUDA", *DEFINES]


def files(*patterns: str) -> list[str]:
    """Return the files of csrc that match, relative to this folder, as setuptools wants them."""
    found = [path for pattern in patterns for path in (ROOT / "csrc").glob(pattern)]
    return sorted(str(path.relative_to(ROOT)) for path in found)


def cuda_obstacle() -> str:
    """Return why CUDA sources cannot be built, '' when they can."""
    if torch.version.cuda is None:
        return "torch is a build without CUDA"
    if (
        cpp_extension.CUDA_HOME is None
        or shutil.which(f"{cpp_extension.CUDA_HOME}/bin/nvcc") is None
    ):
        return "nvcc was not found (set CUDA_HOME)"
    return ""


def compiler_obstacle() -> str:
    """Return why C++20 cannot be compiled for Python here, '' when it can."""
    compiler = os.environ.get("CXX", "c++").split()
    if shutil.which(compiler[0]) is None:
        return f"no C++ compiler, {compiler[0]!r} was not found (set CXX)"
    with tempfile.TemporaryDirectory() as folder:
        probe = Path(folder, "probe.cpp")
        probe.write_text(
            "#include <Python.h>\n#include <concepts>\n"
            "template <std::integral T> T same(T x) { return x; }\n"
        )
        include = f"-I{sysconfig.get_path('include')}"
        output = str(Path(folder, "probe.o"))
        command = [*compiler, "-std=c++20", include, "-c", str(probe), "-o", output]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return ""
    return f"{compiler[0]} cannot compile C++20 with Python.h: {done.stderr}"


def make_extension() -> Extension:
    """Return the CUDA or the CPU extension; without torch one that only has the name."""
    if torch is None:
        return Extension(NAME, [])
    options = {
        "depends": files("**/*.h", "**/*.cu"),  # a source archive holds them on every machine
        "py_limited_api": True,
        "extra_compile_args": {"cxx": CXX_FLAGS, "nvcc": NVCC_FLAGS},
    }
    obstacle = cuda_obstacle()
    if FORCE_CUDA and obstacle:
        raise RuntimeError(f"FORCE_CUDA=1, but {obstacle}")
    if FORCE_CUDA or (not obstacle and torch.cuda.is_available()):
        options["extra_compile_args"]["cxx"] = [*CXX_FLAGS, "-DUSE_CUDA"]
        extension = cpp_extension.CUDAExtension(NAME, files("**/*.cpp", "**/*.cu"), **options)
    else:
        extension = cpp_extension.CppExtension(NAME, files("**/*.cpp"), **options)
    extension.libraries = [lib for lib in extension.libraries if not lib.startswith("c10")]
    return extension


class BuildIfPossible(BuildExtension):
    """Builds the extension, or leaves it out with one warning where nothing can compile it."""

    def run(self) -> None:
        """Look for what is missing, then build."""
        obstacle = "torch is not installed" if torch is None else compiler_obstacle()
        if not obstacle:
            super().run()
            return
        if FORCE_CUDA:
            raise RuntimeError(f"FORCE_CUDA=1, but the extension cannot be built: {obstacle}")
        self.extensions = []
        warnings.warn(
            f"maskrcnn_benchmark is installed without its extension: {obstacle}", stacklevel=1
        )


class BuildWithCommands(build_py):
    """Copies ``tools/`` and ``configs/`` into the package; in a checkout it finds them beside it.

    They are not mapped by ``package_dir``: without an installation nothing would know the mapping,
    and beside an editable one a second checkout on PYTHONPATH would get the tools of the first.
    """

    def run(self) -> None:
        """Copy the modules, then the two folders, and nothing that an earlier build has left."""
        if self.editable_mode:
            super().run()
            return
        shutil.rmtree(Path(self.build_lib, "maskrcnn_benchmark"), ignore_errors=True)
        super().run()
        for folder, pattern in (("tools", "*.py"), ("configs", "**/*.yaml")):
            for path in sorted((ROOT / folder).glob(pattern)):
                target = Path(self.build_lib, "maskrcnn_benchmark", path.relative_to(ROOT))
                self.mkpath(str(target.parent))
                self.copy_file(str(path), str(target))


setup(
    ext_modules=[make_extension()],
    cmdclass={"build_ext": BuildIfPossible, "build_py": BuildWithCommands},
    options={"bdist_wheel": {"py_limited_api": "cp310"}},
)
