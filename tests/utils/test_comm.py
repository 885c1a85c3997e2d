import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist

from maskrcnn_benchmark.utils import comm
from tests.helpers.ranks import on_ranks


def test_a_single_process_needs_no_setup():
    assert (comm.get_rank(), comm.get_world_size(), comm.is_main_process()) == (0, 1, True)
    comm.synchronize()
    assert comm.all_gather("x") == ["x"]
    losses = {"b": torch.tensor(2.0), "a": torch.tensor(1.0)}
    assert comm.reduce_dict(losses) == losses
    assert comm.any_process(torch.tensor(True))
    assert not comm.any_process(torch.tensor(False))
    assert comm.any_of_each(torch.tensor([True, False])) == [True, False]


def _process(rank):
    assert (comm.get_rank(), comm.get_world_size()) == (rank, 2)
    assert comm.all_gather({"rank": rank, "list": [0] * rank}) == [
        {"rank": 0, "list": []},
        {"rank": 1, "list": [0]},
    ]
    assert comm.any_process(torch.tensor(rank == 1))
    assert not comm.any_process(torch.tensor(False))
    names = ["b", "a"] if rank == 0 else ["a", "b"]
    values = {"a": torch.tensor([1.0, 2.0]) * (rank + 1), "b": torch.full((2,), 10.0 * rank)}
    reduced = comm.reduce_dict({name: values[name] for name in names})
    assert list(reduced) == names
    if rank == 0:
        assert reduced["a"].tolist() == [1.5, 3.0]
        assert reduced["b"].tolist() == [5.0, 5.0]
        summed = comm.reduce_dict(values, average=False)
        assert summed["a"].tolist() == [3.0, 6.0]
    else:
        comm.reduce_dict(values, average=False)
    assert comm.any_of_each(torch.tensor([rank == 0, False, rank == 1])) == [True, False, True]
    comm.synchronize()


def test_two_processes_exchange_and_reduce():
    on_ranks(_process)


def test_a_restarted_job_meets_on_the_same_store_without_its_former_processes():
    store = dist.HashStore()
    for round_number in range(3):

        def join(rank: int, value: str = f"of round {round_number}") -> list[str]:
            own = comm.fresh_store(store, rank, 3, timeout=timedelta(seconds=20))
            own.set(f"address/{rank}", value)
            return [own.get(f"address/{other}").decode() for other in range(3)]

        with ThreadPoolExecutor(3) as pool:
            late = [pool.submit(join, rank) for rank in (2, 1)]
            time.sleep(0.1)  # rank 0 comes after the others, as it may
            results = [pool.submit(join, 0), *late]
            assert [future.result() for future in results] == [[f"of round {round_number}"] * 3] * 3


def test_missing_processes_are_named():
    store = dist.HashStore()
    with pytest.raises(RuntimeError, match=r"ranks \[1, 2\] of 3 did not arrive"):
        comm.fresh_store(store, 0, 3, timeout=timedelta(seconds=0.1))
