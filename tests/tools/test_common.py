import importlib
from pathlib import Path

import pytest
import torch

from maskrcnn_benchmark.config import cfg

TOOLS = Path(__file__).parent.parent.parent / "tools"


@pytest.fixture
def common(monkeypatch):
    monkeypatch.syspath_prepend(TOOLS)
    return importlib.import_module("common")


def config(*options):
    tree = cfg.clone()
    tree.merge_from_list(options)
    return tree


def test_without_a_gpu_the_default_becomes_the_cpu(common, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert common.choose_device(config()) == torch.device("cpu")
    with pytest.raises(ValueError, match="MODEL.DEVICE is set to cuda"):
        common.choose_device(config("MODEL.DEVICE", "cuda"))


@pytest.fixture
def gpus(monkeypatch):
    """Three GPUs; the list gets those that are made the current one."""
    current = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    return current


def test_with_a_gpu_it_is_taken_unless_the_user_wants_the_cpu(common, gpus):
    assert common.choose_device(config()) == torch.device("cuda", 0)
    assert common.choose_device(config("MODEL.DEVICE", "cuda:2")) == torch.device("cuda", 2)
    assert common.choose_device(config("MODEL.DEVICE", "cpu")) == torch.device("cpu")
    with pytest.raises(ValueError, match="GPU 3 is asked for, and torch finds 3 here"):
        common.choose_device(config("MODEL.DEVICE", "cuda:3"))


def test_every_process_of_a_job_takes_its_own_gpu(common, gpus):
    chosen = [common.choose_device(config(), rank) for rank in range(3)]
    assert chosen == [torch.device("cuda", rank) for rank in range(3)]
    with pytest.raises(ValueError, match="GPU 3 is asked for, and torch finds 3 here"):
        common.choose_device(config(), 3)
    with pytest.raises(ValueError, match=r"MODEL.DEVICE is 'cuda:1', .*CUDA_VISIBLE_DEVICES"):
        common.choose_device(config("MODEL.DEVICE", "cuda:1"), 0)
    assert common.choose_device(config("MODEL.DEVICE", "cpu"), 5) == torch.device("cpu")


@pytest.mark.parametrize(
    ("processes", "options", "expected"),
    [
        (1, [], torch.device("cuda", 0)),
        (1, ["MODEL.DEVICE", "cuda:2"], torch.device("cuda", 2)),
        (3, [], torch.device("cuda", 1)),
    ],
)
def test_the_device_of_a_run_is_the_current_one(
    common, gpus, monkeypatch, tmp_path, processes, options, expected
):
    joined = []
    tree = config("OUTPUT_DIR", str(tmp_path))
    monkeypatch.setattr(common, "cfg", tree)
    monkeypatch.setattr(common, "resolve_num_classes", lambda *_: [])
    monkeypatch.setattr(common, "collect_env_info", str)
    monkeypatch.setattr(common, "join_processes", joined.append)
    monkeypatch.setenv("WORLD_SIZE", str(processes))
    monkeypatch.setenv("LOCAL_RANK", "1")
    arguments = common.argument_parser("").parse_args(options)
    _, device = common.start_run(arguments, uses=())
    assert device == expected
    assert gpus == [expected]
    assert joined == ([expected] if processes > 1 else [])
