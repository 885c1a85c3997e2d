"""Layout of csrc: a folder per operator, registered for both devices; kernels without torch."""

import re
from pathlib import Path

import pytest

CSRC = Path(__file__).parent.parent / "csrc"
OPERATORS = sorted(path.parent.name for path in CSRC.glob("*/op.h"))
# without a CUDA kernel: polygons and texts live on the host, torch's own kernels match boxes
HOST_ONLY = {"mask_targets", "masks_to_rle", "match_boxes"}
SCHEMAS = re.findall(r'"(\w+)\(Tensor', (CSRC / "ops.cpp").read_text())


def includes(path: Path) -> list[str]:
    """Return what a file includes, as written between the quotes or brackets."""
    return re.findall(r'^#include ["<](.+)[">]$', path.read_text(), flags=re.MULTILINE)


def registered(path: Path, device: str) -> list[str]:
    """Return the operators that a file registers for a dispatch key."""
    text = path.read_text()
    assert f"STABLE_TORCH_LIBRARY_IMPL(maskrcnn_benchmark, {device}, m)" in text
    return re.findall(r'm\.impl\("(\w+)"', text)


def test_the_folders_are_the_operators_and_common() -> None:
    """There is nothing else next to ``ops.cpp``, and each operator folder has its four files."""
    folders = {path.parent.name for path in CSRC.glob("*/*")}
    assert folders == {*OPERATORS, "common"}
    for name in OPERATORS:
        files = {path.name for path in (CSRC / name).iterdir()}
        assert files >= {"kernel.h", "op.h", "cpu.cpp"}, name
        assert ("cuda.cu" in files) == (name not in HOST_ONLY), name


@pytest.mark.parametrize(("file", "device"), [("cpu.cpp", "CPU"), ("cuda.cu", "CUDA")])
def test_every_schema_is_registered_by_its_folder(file: str, device: str) -> None:
    """A CPU build cannot notice that the CUDA loop of an operator is not registered."""
    left_out = HOST_ONLY if device == "CUDA" else set()
    operators = [name for name in OPERATORS if name not in left_out]
    found = {name: registered(CSRC / name / file, device) for name in operators}
    expected = sorted(name for name in SCHEMAS if name not in left_out)
    assert expected == sorted(op for ops in found.values() for op in ops)
    for name, ops in found.items():
        assert {op.removesuffix("_backward") for op in ops} == {name}


@pytest.mark.parametrize("name", OPERATORS)
def test_an_operator_includes_its_folder_and_common_only(name: str) -> None:
    """Code shared by operators belongs in ``common``."""
    for path in (CSRC / name).iterdir():
        for file in includes(path):
            inner = (CSRC / name / file).resolve()
            assert "/" not in file or not inner.is_file() or inner.parent.name == "common", path


def test_common_includes_no_operator() -> None:
    """``common`` is below the operators."""
    for path in (CSRC / "common").iterdir():
        assert not [file for file in includes(path) if file.startswith("..")], path


@pytest.mark.parametrize("name", OPERATORS)
def test_kernels_do_not_depend_on_torch(name: str) -> None:
    """Kernels use pointers and numbers only, including all headers."""
    waiting, seen = [CSRC / name / "kernel.h"], set()
    while waiting:
        path = waiting.pop().resolve()
        if path in seen:
            continue
        seen.add(path)
        assert not [file for file in includes(path) if file.startswith("torch")], path
        headers = [path.parent / file for file in includes(path)]
        waiting += [header for header in headers if header.is_file()]
    assert CSRC.resolve() / "common" / "host_device.h" in seen


def test_only_the_launch_is_emulated() -> None:
    """The same code runs with and without a GPU: no kernel distinguishes them."""
    asking = {
        str(path.relative_to(CSRC))
        for path in CSRC.rglob("*.*")
        if re.search(r"^#.*MASKRCNN_EMULATED_CUDA", path.read_text(), flags=re.MULTILINE)
    }
    assert asking == {"common/launch.h", "common/checks.h"}
    assert "MASKRCNN_EMULATED_CUDA" not in (CSRC.parent / "setup.py").read_text()


@pytest.mark.parametrize("name", sorted({*OPERATORS} - HOST_ONLY))
def test_cuda_kernels_start_through_the_one_launch(name: str) -> None:
    """Angle brackets of CUDA would not compile without it."""
    text = (CSRC / name / "cuda.cu").read_text()
    assert "<<<" not in text
    assert '#include "../common/launch.h"' in text


def test_the_launch_is_written_as_nvcc_reads_it() -> None:
    """Formatting for C++ would put blanks into the closing brackets."""
    assert ">>>(arguments...)" in (CSRC / "common" / "launch.h").read_text()
