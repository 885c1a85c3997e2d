"""Repeat-factor sampling against the formula, and its epochs."""

from collections import Counter
from math import sqrt

import pytest
import torch

from maskrcnn_benchmark.data.build import make_batch_data_sampler, make_data_loader
from maskrcnn_benchmark.data.datasets import COCODataset, ConcatDataset
from maskrcnn_benchmark.data.samplers import DistributedSampler, repeat_factors
from tests.config.test_every_key import AS_IT_IS, DATA, PLAIN
from tests.data.helpers import square, write_coco
from tests.helpers.every_key import config_with


def test_factors_follow_the_formula():
    labels = [{1}] * 90 + [{1, 2}] * 9 + [{3, 1}] + [set()]
    factors = repeat_factors(labels, 0.5)
    total = len(labels)
    assert factors[0] == 1  # a class in 100 of 101 images
    assert factors[95].item() == pytest.approx(sqrt(0.5 / (9 / total)))
    assert factors[99].item() == pytest.approx(sqrt(0.5 / (1 / total)))
    assert factors[100] == 1  # without objects
    assert repeat_factors([], 0.5).shape == (0,)


def test_an_epoch_repeats_by_factor_and_the_fraction_is_a_probability():
    factors = torch.tensor([1.0, 2.25, 3.0])
    counts = Counter()
    for epoch in range(400):
        sampler = DistributedSampler(range(3), repeats=factors, seed=1)
        sampler.set_epoch(epoch)
        order = list(sampler)
        assert len(order) == len(sampler)
        drawn = Counter(order)
        assert drawn[0] == 1
        assert drawn[1] in (2, 3)
        assert drawn[2] == 3
        counts += drawn
    assert counts[1] / 400 == pytest.approx(2.25, abs=0.1)


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_the_ranks_share_one_epoch(ranks):
    factors = torch.tensor([1.0, 2.5, 1.0, 3.75, 1.0])
    for epoch in range(5):
        shares = []
        for rank in range(ranks):
            sampler = DistributedSampler(range(5), ranks, rank, repeats=factors)
            sampler.set_epoch(epoch)
            shares.append(list(sampler))
        assert len({len(share) for share in shares}) == 1
        alone = DistributedSampler(range(5), repeats=factors)
        alone.set_epoch(epoch)
        whole = list(alone)
        together = [index for share in shares for index in share]
        assert together[: len(whole)] == whole
        assert len(together) - len(whole) < ranks


def test_a_run_that_resumes_sees_the_rest():
    factors = torch.tensor([1.5] * 6)

    def batches(start):
        sampler = DistributedSampler(range(6), repeats=factors, seed=3)
        return list(make_batch_data_sampler(None, sampler, [], 2, num_iters=20, start_iter=start))

    assert batches(13) == batches(0)[13:]


def test_the_threshold_reaches_the_loader(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images = [(20, 20, [square(1, 1, 9)])] * 15 + [(20, 20, [square(1, 1, 9, category_id=7)])]
    for name in ("cats", "dogs"):
        (tmp_path / name).mkdir()
        write_coco(tmp_path / name, images)
    keys = {**DATA, **AS_IT_IS, **PLAIN, "SOLVER.IMS_PER_BATCH": 1, "SOLVER.MAX_ITER": 19}

    def seen(threshold):
        loader = make_data_loader(config_with({**keys, "DATALOADER.REPEAT_THRESHOLD": threshold}))
        labels = [target.get_field("labels").tolist() for _, (target,), _ in loader]
        return labels.count([2])

    # factor of the rare class: sqrt(1 / (1 / 16)) = 4; that of the other: sqrt(16 / 15) = 1.03
    assert seen(1.0) == 4
    assert seen(0.0) <= 2


def test_labels_without_reading_an_image(tmp_path):
    crowd = square(3, 3, 5, category_id=7) | {"iscrowd": 1}
    files = write_coco(tmp_path, [(20, 20, [square(1, 1, 9), crowd]), (20, 20, [])])
    dataset = COCODataset(*files)
    both = ConcatDataset([dataset, dataset])
    assert [dataset.get_labels(index) for index in range(2)] == [set(), {1}]
    assert [both.get_labels(index) for index in range(4)] == [set(), {1}] * 2
