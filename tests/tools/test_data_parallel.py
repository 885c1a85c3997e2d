"""Two ranks with one batch each against one process that averages both batches."""

from pathlib import Path
from typing import Any

import pytest
import torch

from maskrcnn_benchmark.data import make_data_loader
from maskrcnn_benchmark.engine.launch.processes import parallel
from maskrcnn_benchmark.engine.random_state import seed_generators, step_seed
from maskrcnn_benchmark.engine.train_step import train_step
from maskrcnn_benchmark.modeling.detector import build_detection_model
from maskrcnn_benchmark.solver import make_optimizer
from maskrcnn_benchmark.utils.comm import all_gather
from tests.helpers.ranks import on_ranks
from tests.tools.toy import draw_data, toy_config

C4 = {
    "file": "e2e_ms_rcnn_R_50_C4_1x.yaml",
    "MODEL__RESNETS__RES2_OUT_CHANNELS": 8,
    "MODEL__BACKBONE__OUT_CHANNELS": 32,
}
MODELS: dict[str, dict[str, Any]] = {
    "FPN": {},
    "C4": C4,
    "proposals": {"MODEL__RPN_ONLY": True, "MODEL__MASK_ON": False, "MODEL__MASKIOU_ON": False},
}


def build(config: Any) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    """Return a model, the same each time, and its optimizer."""
    torch.manual_seed(3)
    model = build_detection_model(config)
    return model, make_optimizer(config, model)


def empty(batch: Any) -> Any:
    """Return a batch with its objects removed."""
    images, targets, indices = batch
    return (
        images,
        [target[torch.zeros(len(target), dtype=torch.bool)] for target in targets],
        indices,
    )


def one_after_the_other(config: Any, batches: list[Any], seeds: list[int]) -> dict[str, Any]:
    """Return the weights after a step of one process by the mean gradient of the batches."""
    model, optimizer = build(config)
    for (images, targets, _), seed in zip(batches, seeds, strict=True):
        seed_generators(seed)
        losses = model(images, targets)
        (sum(losses.values()) / len(batches)).backward()
    optimizer.step()
    return model.state_dict()


def close(first: dict[str, Any], second: dict[str, Any]) -> bool:
    """Return whether all weights are equal up to rounding."""
    return all(torch.allclose(first[name], second[name], 1e-4, 1e-6) for name in second)


def _process(rank: int, data: Path, folder: Path) -> None:
    seeds = [step_seed(0, 1, other) for other in range(2)]
    for name, changes in MODELS.items():
        # at this rate the weights change by the gradient, which is what is compared
        config = toy_config(data, folder, SOLVER__BASE_LR=1.0, **changes)
        batch = next(iter(make_data_loader(config, is_train=True, is_distributed=True)))
        # in the second round a rank has no ground truth, so its heads have no positives
        for own in (batch, empty(batch) if rank == 1 else batch):
            model, optimizer = build(config)
            seed_generators(seeds[rank])
            train_step(parallel(model, torch.device("cpu")), optimizer, own, "cpu")
            batches = all_gather(own)
            if rank == 0:
                weights = model.state_dict()
                assert close(weights, one_after_the_other(config, batches, seeds)), name
                assert not close(weights, one_after_the_other(config, batches, seeds[::-1])), name


def _exchange(rank: int, dtype: str) -> None:
    own = [torch.linspace(0.1, 1.3, 7).exp() * (other + 1.7) for other in range(2)]
    model = torch.nn.Linear(7, 1, bias=False)
    wrapped = parallel(model, torch.device("cpu"), dtype)
    wrapped(own[rank]).sum().backward()
    expected = sum(gradient.to(getattr(torch, dtype)) / 2 for gradient in own).float()
    assert torch.equal(model.weight.grad[0], expected), (model.weight.grad, expected)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_gradients_are_exchanged_in_the_given_type(dtype):
    on_ranks(_exchange, dtype)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return draw_data(tmp_path_factory.mktemp("toy"))


def test_a_step_of_two_ranks_is_that_of_the_mean_gradient(data, tmp_path):
    on_ranks(_process, data, tmp_path)
