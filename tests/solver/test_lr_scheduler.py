"""The rates of the recorded schedules, by stepping and by jumping."""

import pytest
import torch
from torch.optim import SGD

from maskrcnn_benchmark.solver import WarmupMultiStepLR
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


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="decrease"):
        make(dict(RUNS[0], milestones=[5, 3]))
    with pytest.raises(ValueError, match="exponential"):
        make(dict(RUNS[0], warmup_method="exponential"))
