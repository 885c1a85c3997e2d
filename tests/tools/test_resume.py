"""An interrupted and resumed training equals an uninterrupted one, bit for bit."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

from tests.helpers.ranks import on_ranks
from tests.tools.toy import draw_data, toy_config, train

HALF = "model_0000002.pth"


def assert_equal(first: Any, second: Any, where: str = "") -> None:
    """Compare nested values, tensors bit for bit."""
    assert type(first) is type(second), where
    if isinstance(first, torch.Tensor):
        assert torch.equal(first, second), where
    elif isinstance(first, dict):
        assert first.keys() == second.keys(), where
        for key in first:
            assert_equal(first[key], second[key], f"{where}/{key}")
    elif isinstance(first, list | tuple):
        assert len(first) == len(second), where
        for index, pair in enumerate(zip(first, second, strict=True)):
            assert_equal(*pair, f"{where}/{index}")
    else:
        assert first == second, where


def leave_as_killed_half_way(whole: Path, parts: Path) -> None:
    """Copy the state of a folder as if the run was killed after its first checkpoint."""
    parts.mkdir()
    shutil.copy(whole / HALF, parts / HALF)
    (parts / "last_checkpoint").write_text(str(parts / HALF))


def final(folder: Path) -> dict[str, Any]:
    """Return the last checkpoint without entries that contain the folder name."""
    content = torch.load(folder / "model_final.pth", weights_only=True)
    return {key: value for key, value in content.items() if key != "config"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return draw_data(tmp_path_factory.mktemp("toy"))


@pytest.mark.parametrize(
    ("threads", "workers"),
    [
        (1, 0),
        (2, 2),
    ],
)
def test_alone(data, tmp_path, threads, workers):
    torch.set_num_threads(threads)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(toy_config(data, whole, DATALOADER__NUM_WORKERS=workers))
    leave_as_killed_half_way(whole, parts)
    train(toy_config(data, parts, DATALOADER__NUM_WORKERS=workers))
    assert_equal(final(parts), final(whole))
    half, end = torch.load(parts / HALF, weights_only=True)["model"], final(parts)["model"]
    assert any(not torch.equal(half[name], end[name]) for name in half)


def _process(rank: int, data: Path, folder: Path, workers: int) -> None:
    train(toy_config(data, folder / "whole", DATALOADER__NUM_WORKERS=workers))
    if rank == 0:
        leave_as_killed_half_way(folder / "whole", folder / "parts")
    dist.barrier()
    train(toy_config(data, folder / "parts", DATALOADER__NUM_WORKERS=workers))


@pytest.mark.parametrize("workers", [0, 2])
def test_on_two_ranks(data, tmp_path, workers):
    on_ranks(_process, data, tmp_path, workers)
    assert_equal(final(tmp_path / "parts"), final(tmp_path / "whole"))
    assert len(final(tmp_path / "parts")["random_states"]["ranks"]) == 2
