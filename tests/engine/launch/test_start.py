"""Device and processes of a run."""

import pytest
import torch

from maskrcnn_benchmark.engine.launch import processes, start
from maskrcnn_benchmark.engine.launch.processes import choose_device


def test_without_a_gpu_the_default_becomes_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("cuda") == torch.device("cpu")
    with pytest.raises(ValueError, match="MODEL.DEVICE is set to cuda"):
        choose_device("cuda", is_set=True)


@pytest.fixture
def gpus(monkeypatch):
    """Simulate three GPUs; return a list that records the current device."""
    current = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    return current


def test_a_gpu_is_used_unless_the_cpu_is_requested(gpus):
    assert choose_device("cuda") == torch.device("cuda", 0)
    assert choose_device("cuda:2", is_set=True) == torch.device("cuda", 2)
    assert choose_device("cpu", is_set=True) == torch.device("cpu")
    with pytest.raises(ValueError, match="GPU 3 is requested, but only 3"):
        choose_device("cuda:3", is_set=True)
    with pytest.raises(ValueError, match="MODEL.DEVICE is 'gpu'; it must be cuda, cuda:N or cpu"):
        choose_device("gpu", is_set=True)


def test_every_process_of_a_job_takes_its_own_gpu(gpus):
    chosen = [choose_device("cuda", local_rank=rank) for rank in range(3)]
    assert chosen == [torch.device("cuda", rank) for rank in range(3)]
    with pytest.raises(ValueError, match="GPU 3 is requested, but only 3"):
        choose_device("cuda", local_rank=3)
    with pytest.raises(ValueError, match=r"MODEL.DEVICE is 'cuda:1', .*CUDA_VISIBLE_DEVICES"):
        choose_device("cuda:1", is_set=True, local_rank=0)
    assert choose_device("cpu", is_set=True, local_rank=5) == torch.device("cpu")


@pytest.mark.parametrize(
    ("num_processes", "settings", "environment", "expected"),
    [
        (1, [], None, torch.device("cuda", 0)),
        (1, ["MODEL.DEVICE", "cuda:2"], None, torch.device("cuda", 2)),
        (3, [], "1", torch.device("cuda", 1)),
        (3, [], None, torch.device("cuda", 2)),  # the argument, without the variable
    ],
)
def test_the_device_of_a_run_is_the_current_one(
    gpus, monkeypatch, tmp_path, num_processes, settings, environment, expected
):
    joined, left = [], []
    monkeypatch.setattr(start, "complete_config", lambda *_: [])
    monkeypatch.setattr(start, "collect_env_info", str)
    monkeypatch.setattr(processes, "join_processes", joined.append)
    monkeypatch.setattr(processes.dist, "destroy_process_group", lambda: left.append(True))
    monkeypatch.setenv("WORLD_SIZE", str(num_processes))
    if environment is None:
        monkeypatch.delenv("LOCAL_RANK", raising=False)
    else:
        monkeypatch.setenv("LOCAL_RANK", environment)
    settings = [*settings, "OUTPUT_DIR", str(tmp_path)]
    with start.started_run("", settings, {}, uses=(), local_rank=2) as (_, device):
        assert device == expected
        assert gpus == [expected]
        assert joined == ([expected] if num_processes > 1 else [])
        assert not left
    assert left == [True] * (num_processes > 1)
