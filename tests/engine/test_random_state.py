import random

import numpy as np
import torch
import torch.distributed as dist

from maskrcnn_benchmark.engine.random_state import RandomStates, seed_generators, step_seed
from tests.helpers.ranks import on_ranks


def draw():
    numpy = np.random.rand(), np.random.randn()  # noqa: NPY002 the global generator is meant
    return random.random(), *numpy, torch.rand(1).item()


def test_equal_seeds_give_equal_draws():
    seed_generators(5)
    first = draw()
    seed_generators(6)
    assert not set(draw()) & set(first)
    seed_generators(5)
    assert draw() == first


def test_the_seed_of_a_step_depends_on_all_three():
    seeds = [step_seed(a, b, c) for a in range(5) for b in range(50) for c in range(4)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**32 for seed in seeds)
    assert step_seed(1, 2, 3) == 3822189696  # a resumed run needs the same number for years


def test_states_survive_saving_and_loading(tmp_path):
    draw()  # NumPy keeps the second of a pair of normal numbers
    torch.save(RandomStates().state_dict(), tmp_path / "s.pth")
    first = draw()
    seed_generators(1)
    RandomStates().load_state_dict(torch.load(tmp_path / "s.pth", weights_only=True))
    assert draw() == first


def _process(rank):
    seed_generators(rank)
    states = RandomStates().state_dict()
    first = draw()
    seed_generators(7)
    RandomStates().load_state_dict(states)
    assert draw() == first
    dist.destroy_process_group()
    before = torch.get_rng_state()
    RandomStates().load_state_dict(states)  # of two processes, in a job of one
    assert torch.equal(torch.get_rng_state(), before)


def test_each_process_gets_its_own_state_back():
    on_ranks(_process)


def test_the_gpu_is_that_of_the_model(monkeypatch):
    states = {0: torch.tensor([0]), 1: torch.tensor([1])}

    def get(device):
        return states[torch.device(device).index]

    def put(state, device):
        states[torch.device(device).index] = state

    monkeypatch.setattr(torch.cuda, "get_rng_state", get)
    monkeypatch.setattr(torch.cuda, "set_rng_state", put)
    parts = RandomStates("cuda:1")
    saved = parts.state_dict()
    assert saved["ranks"][0]["cuda"].item() == 1
    states[1] = torch.tensor([7])
    parts.load_state_dict(saved)
    assert [int(state) for state in states.values()] == [0, 1]
    assert RandomStates("cpu").state_dict()["ranks"][0]["cuda"] is None
    RandomStates("cpu").load_state_dict(saved)  # on another machine
