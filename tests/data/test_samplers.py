"""Samplers against recorded sequences, and resumed against uninterrupted ones."""

import pickle
import random
from collections import Counter

import pytest
import torch
from torch.utils.data import BatchSampler, RandomSampler, SequentialSampler

from maskrcnn_benchmark.data.build import make_batch_data_sampler
from maskrcnn_benchmark.data.samplers import (
    DistributedSampler,
    GroupedBatchSampler,
    IterationBasedBatchSampler,
)
from maskrcnn_benchmark.data.seeded_index import SeededIndex, random_of
from tests.helpers.vectors import load_vector

DISTRIBUTED = load_vector("distributed_sampler")[0]["data"]["cases"]
GROUPED = load_vector("grouped_batch_sampler")[0]["data"]
ITERATIONS = load_vector("iteration_batch_sampler")[0]["data"]


@pytest.mark.parametrize("case", DISTRIBUTED)
def test_shares_match_the_recorded_ones(case):
    for rank, expected in enumerate(case["ranks"]):
        sampler = DistributedSampler(range(case["n"]), case["world"], rank)
        sampler.set_epoch(case["epoch"])
        assert list(sampler) == expected
        assert len(sampler) == len(expected)


def test_shares_of_few_samples_and_without_shuffling():
    shares = [list(DistributedSampler(range(2), 5, rank, shuffle=False)) for rank in range(5)]
    assert shares == [[0], [1], [0], [1], [0]]  # the original fails
    shares = [list(DistributedSampler(range(5), 2, rank, shuffle=False)) for rank in range(2)]
    assert shares == [[0, 1, 2], [3, 4, 0]]
    with pytest.raises(ValueError, match="empty"):
        DistributedSampler(range(0))


def test_another_seed_is_another_order():
    orders = set()
    for seed in range(3):
        for epoch in range(3):
            sampler = DistributedSampler(range(50), seed=seed)
            sampler.set_epoch(epoch)
            orders.add(tuple(sampler))
            assert sorted(sampler) == list(range(50))
    assert len(orders) == 9


@pytest.mark.parametrize("case", GROUPED["cases"])
def test_grouped_batches_are_the_recorded_ones(case):
    group_ids = case["group_ids"]
    sampler = GroupedBatchSampler(
        case["sampler_order"], group_ids, case["batch_size"], case["drop_uneven"]
    )
    assert list(sampler) == case["batches"]
    assert len(sampler) == case["length"]
    assert list(sampler) == case["batches"]
    assert list(sampler) == case["batches"]


def test_length_is_that_of_the_next_epoch():
    orders = iter([[0, 1, 2, 3], [0, 2, 1, 3], [3, 2, 1, 0]])

    class Changing:
        def __iter__(self):
            return iter(next(orders))

    sampler = GroupedBatchSampler(Changing(), [0, 0, 0, 0], 2)
    assert len(sampler) == 2
    assert len(sampler) == 2
    assert list(sampler) == [[0, 1], [2, 3]]
    assert list(sampler) == [[0, 2], [1, 3]]


def test_aspect_groups_are_the_recorded_ones():
    recorded = GROUPED["aspect_quantization"]

    class Shapes(list):
        def get_img_info(self, index):
            return {"height": self[index], "width": 1}

    shapes = Shapes(recorded["values"])
    sampler = make_batch_data_sampler(shapes, SequentialSampler(shapes), recorded["bins"], 8)
    assert sampler.group_ids == recorded["quantized"]


def iterations(case, start_iter):
    batches = BatchSampler(SequentialSampler(range(case["n"])), case["batch_size"], False)
    return IterationBasedBatchSampler(batches, case["num_iterations"], start_iter)


@pytest.mark.parametrize("case", ITERATIONS["cases"])
def test_iterations_are_the_recorded_ones_and_resuming_continues_them(case):
    whole = list(iterations(case, 0))
    assert len(whole) == case["num_iterations"]
    assert len(iterations(case, case["start_iter"])) == case["length"]
    if case["start_iter"] == 0:
        assert whole == case["batches"]
    for start in range(case["num_iterations"] + 1):
        assert list(iterations(case, start)) == whole[start:]


def test_set_epoch_is_called_as_recorded():
    recorded, calls = ITERATIONS["set_epoch_calls"], []

    class Spy(SequentialSampler):
        def set_epoch(self, epoch):
            calls.append(epoch)

    batches = BatchSampler(Spy(range(recorded["n"])), recorded["batch_size"], False)
    list(IterationBasedBatchSampler(batches, recorded["num_iterations"]))
    assert calls == recorded["calls"]


def test_resuming_a_shuffled_grouped_share_continues_it():
    def run(start_iter):
        sampler = DistributedSampler(range(23), 2, 1, seed=4)
        batches = GroupedBatchSampler(sampler, [i % 3 for i in range(23)], 4)
        return list(IterationBasedBatchSampler(batches, 20, start_iter, seed=4))

    whole = run(0)
    for start in (1, 5, 13, 19, 20):
        assert run(start) == whole[start:]
    seeds = [[index.seed for index in batch] for batch in whole]
    assert [[index.seed for index in batch] for batch in run(7)] == seeds[7:]
    assert len({seed for batch in seeds for seed in batch}) == sum(map(len, seeds))


def test_a_sampler_without_batches_is_refused():
    with pytest.raises(ValueError, match="no batch"):
        list(IterationBasedBatchSampler(GroupedBatchSampler([], [], 2), 3))


def test_the_batches_of_a_seeded_random_sampler_are_the_recorded_ones():
    recorded = load_vector("make_batch_data_sampler")[0]["data"]

    class Images(list):
        def get_img_info(self, index):
            height, width = self[index]
            return {"height": height, "width": width}

    images = Images(recorded["image_hw"])
    torch.manual_seed(recorded["torch_seed"])
    sampler = make_batch_data_sampler(
        images,
        RandomSampler(images),
        [1],
        recorded["images_per_batch"],
        num_iters=recorded["num_iters"],
    )
    assert list(sampler) == recorded["batches"]


def test_seeded_index_is_an_int_and_can_be_pickled():
    index = pickle.loads(pickle.dumps(SeededIndex(5, "0/1/5")))
    assert index == 5
    assert [10, 20, 30, 40, 50, 60][index] == 60
    assert index.seed == "0/1/5"
    assert random_of(index).random() == random_of(SeededIndex(7, "0/1/5")).random()
    assert random_of(index).random() != random_of(SeededIndex(5, "0/2/5")).random()
    assert random_of(5) is None


class Shapes:
    """Data set in which about a third of the images are portrait."""

    def __init__(self, count, seed=3):
        draw = random.Random(seed)
        self.upright = [draw.random() < 0.3 for _ in range(count)]

    def __len__(self):
        return len(self.upright)

    def get_img_info(self, index):
        return {"height": 3 if self.upright[index] else 1, "width": 2}


def on_rank(images, rank, ranks, num_iters, start_iter=0, batch=4):
    sampler = DistributedSampler(images, ranks, rank, seed=1)
    made = make_batch_data_sampler(
        images, sampler, [1], batch, num_iters=num_iters, start_iter=start_iter, seed=1
    )
    return [[int(index) for index in indices] for indices in made]


def batches_of_a_pass(images, epoch, ranks, batch=4):
    """Return the number of batches that each rank needs, counted directly."""
    counts = []
    for rank in range(ranks):
        sampler = DistributedSampler(images, ranks, rank, seed=1)
        sampler.set_epoch(epoch)
        upright = sum(images.upright[index] for index in sampler)
        counts.append(-(-upright // batch) + -(-(len(sampler) - upright) // batch))
    return counts


@pytest.mark.parametrize("ranks", [2, 8])
def test_ranks_share_the_data_in_every_epoch(ranks):
    lengths, unequal = set(), 0
    for seed in range(20):
        images, start = Shapes(47, seed), 0
        plans = [on_rank(images, rank, ranks, 30) for rank in range(ranks)]
        for _ in range(3):
            counts = batches_of_a_pass(images, start, ranks)
            end = start + max(counts)
            seen = Counter()
            for plan, count in zip(plans, counts, strict=True):
                own = plan[start : start + count]
                seen.update(index for indices in own for index in indices)
                assert plan[start + count : end] == own[: max(counts) - count]
            assert sorted(seen) == list(range(47))
            assert seen.total() == -(-47 // ranks) * ranks  # the order is padded to equal shares
            lengths.add(max(counts))
            unequal += len(set(counts)) > 1
            start = end
    assert unequal  # otherwise the test is vacuous
    assert len(lengths) > 1 or ranks == 8


@pytest.mark.parametrize("ranks", [1, 2, 8])
def test_a_rank_resumes_its_share_at_any_iteration(ranks):
    images = Shapes(97)
    whole = on_rank(images, ranks - 1, ranks, 60)
    for start in (1, 7, 30, 59, 60):
        assert on_rank(images, ranks - 1, ranks, 60, start) == whole[start:]


def test_a_job_of_one_passes_over_the_data_as_the_original():
    images = Shapes(50)
    plan = on_rank(images, 0, 1, 40)
    (count,) = batches_of_a_pass(images, 0, 1)
    sampler = DistributedSampler(images, seed=1)
    sampler.set_epoch(count)
    groups = [int(upright) for upright in images.upright]
    second = list(GroupedBatchSampler(sampler, groups, 4))
    assert plan[count : count + len(second)] == second
