"""Recorded schedules, by stepping and by jumping; the cosine schedule against torch's."""

import pytest
import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import CosineAnnealingLR

from maskrcnn_benchmark.solver import WarmupCosineLR, WarmupMultiStepLR
from tests.helpers.vectors import load_vector

RUNS = load_vector("lr_schedule")[0]["data"]["runs"]


def make(run, rates=None):
    """Build the schedule of one recorded run over groups with the given initial rates."""
    rates = rates or [run["base_lr"]]
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in rates]
    keys = ("gamma", "warmup_factor", "warmup_iters", "warmup_method")
    options = {key: run[key] for key in keys}
    return WarmupMultiStepLR(SGD(groups, lr=1.0), run["milestones"], **options)


@pytest.mark.parametrize("run", RUNS)
def test_rates_are_the_recorded_ones(run):
    scheduler = make(run)
    for epoch, lr in run["last_epoch_to_lr"].items():
        scheduler.last_epoch = int(epoch)
        assert scheduler.get_lr() == [pytest.approx(lr, rel=1e-12)]


def test_stepping_gives_the_recorded_rates_to_every_group():
    run = RUNS[-1]
    scheduler = make(run, rates=[1.0, 2.0])
    for epoch in range(12):
        assert scheduler.last_epoch == epoch
        rate = run["last_epoch_to_lr"][str(epoch)]
        assert scheduler.get_last_lr() == pytest.approx([rate, 2 * rate])
        scheduler.optimizer.step()
        scheduler.step()


def test_a_resumed_schedule_goes_on():
    run = RUNS[-1]
    scheduler = make(run)
    for _ in range(4):
        scheduler.optimizer.step()
        scheduler.step()
    resumed = make(run)
    resumed.load_state_dict(scheduler.state_dict())
    resumed.step()
    assert resumed.get_last_lr() == pytest.approx([run["last_epoch_to_lr"]["5"]])


def test_no_warmup():
    run = dict(RUNS[-1], warmup_iters=0)
    assert make(run).get_last_lr() == [1.0]


def cosine(max_iters, **options):
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in (1.0, 2.0)]
    return WarmupCosineLR(SGD(groups, lr=1.0), max_iters, **options)


def test_the_cosine_is_torchs():
    scheduler = cosine(8, warmup_iters=0)
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in (1.0, 2.0)]
    theirs = CosineAnnealingLR(SGD(groups, lr=1.0), T_max=8)
    for _ in range(9):
        assert scheduler.get_last_lr() == pytest.approx(theirs.get_last_lr(), abs=1e-12)
        for one in (scheduler, theirs):
            one.optimizer.step()
            one.step()


def test_the_cosine_is_warmed_up_and_stays_at_0():
    scheduler = cosine(8, warmup_iters=4, warmup_factor=0.2)
    rates = {2: 0.6 * 0.8535533905932737, 4: 0.5, 6: 0.1464466094067262, 8: 0.0, 11: 0.0}
    for epoch, rate in rates.items():
        scheduler.last_epoch = epoch
        assert scheduler.get_lr() == pytest.approx([rate, 2 * rate], abs=1e-12)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="decrease"):
        make(dict(RUNS[0], milestones=[5, 3]))
    with pytest.raises(ValueError, match="exponential"):
        make(dict(RUNS[0], warmup_method="exponential"))
