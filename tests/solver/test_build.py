"""Parameter groups against recorded ones, and SGD steps against the explicit rule."""

import json

import pytest
import torch
from torch import nn

from maskrcnn_benchmark.config import cfg
from maskrcnn_benchmark.solver import (
    WarmupCosineLR,
    WarmupMultiStepLR,
    make_lr_scheduler,
    make_optimizer,
)
from tests.helpers.vectors import load_vector

CASES = load_vector("optimizer_groups")[0]["data"]
# the solver keys of the two recorded configurations
SOLVERS = {
    "e2e_ms_rcnn_R_50_FPN_1x.yaml": ["SOLVER.BASE_LR", 0.02],
    "e2e_mask_rcnn_R_50_C4_1x.yaml": ["SOLVER.BASE_LR", 0.01],
}


class Named(nn.Module):
    """A module with arbitrary parameter names, dots included; ``frozen`` ones need no gradient."""

    def __init__(self, names, frozen=()):
        super().__init__()
        for name in names:
            parent = self
            *parts, leaf = name.split(".")
            for part in parts:
                if not hasattr(parent, part):
                    parent.add_module(part, nn.Module())
                parent = getattr(parent, part)
            parameter = nn.Parameter(torch.ones(2), requires_grad=name not in frozen)
            parent.register_parameter(leaf, parameter)


@pytest.mark.parametrize("case", CASES, ids=[case["config"] for case in CASES])
def test_groups_are_the_recorded_ones(case):
    names = [group[0] for group in case["groups"]]
    model = Named(["frozen.weight", *names, "frozen.bias"], frozen=("frozen.weight", "frozen.bias"))
    config = cfg.clone()
    overrides = [*SOLVERS[case["config"]], "SOLVER.WEIGHT_DECAY", 0.0001, *case["overrides"]]
    config.merge_from_list(overrides)

    optimizer = make_optimizer(config, model)

    by_id = {id(parameter): name for name, parameter in model.named_parameters()}
    got = [
        [by_id[id(group["params"][0])], len(group["params"]), group["lr"], group["weight_decay"],
         group["momentum"]]
        for group in optimizer.param_groups
    ]  # fmt: skip
    assert len(got) == case["n_groups"]
    assert sorted(got) == sorted(case["groups"])
    defaults = {key: optimizer.defaults[key] for key in case["defaults"] if key != "lr"}
    assert defaults == {key: value for key, value in case["defaults"].items() if key != "lr"}


def test_groups_keep_the_order_of_the_model_and_the_last_rate_is_the_default():
    config = cfg.clone()
    config.SOLVER.BASE_LR = 0.5
    optimizer = make_optimizer(config, Named(["b.weight", "a.weight", "a.bias"]))
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.5, 1.0]
    assert optimizer.defaults["lr"] == 1.0


@pytest.mark.filterwarnings("ignore:Detected call of .lr_scheduler.step")
def test_steps_follow_momentum_decay_and_schedule():
    config = cfg.clone()
    config.merge_from_list(
        ["SOLVER.BASE_LR", 0.1, "SOLVER.BIAS_LR_FACTOR", 2.5, "SOLVER.WEIGHT_DECAY", 0.01]
        + ["SOLVER.WARMUP_ITERS", 2, "SOLVER.STEPS", (3,), "SOLVER.MOMENTUM", 0.9]
    )
    model = Named(["x.weight", "x.bias"])
    optimizer = make_optimizer(config, model)
    scheduler = make_lr_scheduler(config, optimizer)
    weight, bias, velocity = [1.0, 1.0], [1.0, 1.0], [0.0, 0.0]
    for rate in (0.1 * (1 / 3 / 2 + 1 / 2), 0.1, 0.01):
        scheduler.step()
        for parameter in model.parameters():
            parameter.grad = torch.full((2,), 0.3)
        optimizer.step()
        velocity = [0.9 * velocity[0] + 0.3 + 0.01 * weight[0], 0.9 * velocity[1] + 0.3]
        weight = [weight[0] - rate * velocity[0]] * 2
        bias = [bias[0] - 2.5 * rate * velocity[1]] * 2
    torch.testing.assert_close(model.x.weight.detach(), torch.tensor(weight))
    torch.testing.assert_close(model.x.bias.detach(), torch.tensor(bias))


def test_the_schedule_is_the_named_one():
    config = cfg.clone()
    config.merge_from_list(["SOLVER.WARMUP_ITERS", 0, "SOLVER.MAX_ITER", 4, "SOLVER.BASE_LR", 0.5])
    optimizer = make_optimizer(config, Named(["x.weight"]))
    assert isinstance(make_lr_scheduler(config, optimizer), WarmupMultiStepLR)
    config.SOLVER.LR_SCHEDULER_NAME = "WarmupCosineLR"
    scheduler = make_lr_scheduler(config, optimizer)
    scheduler.last_epoch = 2
    assert isinstance(scheduler, WarmupCosineLR)
    assert scheduler.get_lr() == [pytest.approx(0.25)]


def test_a_frozen_model_is_refused():
    with pytest.raises(ValueError, match="frozen"):
        make_optimizer(cfg, Named(["a.weight"], frozen=("a.weight",)))


def test_optimizer_state_survives_json_free_round_trip():
    config = cfg.clone()
    model = Named(["x.weight", "x.bias"])
    optimizer = make_optimizer(config, model)
    state = optimizer.state_dict()
    json.dumps(state["param_groups"])  # plain values only
    restored = make_optimizer(config, model)
    restored.load_state_dict(state)
    assert restored.state_dict() == state
