"""The parts of a step against numbers worked out by hand or by a plain loop."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.amp import GradScaler
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from maskrcnn_benchmark.config import cfg
from maskrcnn_benchmark.engine.train_step import (
    LossNotFiniteError,
    StepOptions,
    split_batch,
    train_step,
)
from maskrcnn_benchmark.structures.image_list import ImageList
from tests.engine.stand_ins import TinyDataset, TinyModel, collate

LR = 0.001


def batch_of(first, count):
    dataset = TinyDataset()
    return collate([dataset[index] for index in range(first, first + count)])


def model_and_optimizer(poison=None):
    torch.manual_seed(3)
    model = TinyModel(poison)
    return model, torch.optim.SGD(model.parameters(), lr=LR)


def gradients(model, batch):
    """The gradients of the mean loss over a batch, by autograd alone."""
    model = copy.deepcopy(model)
    sum(model(batch[0], batch[1]).values()).backward()
    return [parameter.grad for parameter in model.parameters()]


def changes(model, optimizer, batch, **options):
    """What a step subtracts from the weights, divided by the rate; and its losses."""
    before = [parameter.detach().clone() for parameter in model.parameters()]
    losses = train_step(model, optimizer, batch, "cpu", options=StepOptions(**options))
    after = [parameter.detach() for parameter in model.parameters()]
    return [(b - a) / LR for b, a in zip(before, after, strict=True)], losses


@pytest.mark.parametrize(("count", "parts"), [(2, 2), (3, 2), (5, 3), (2, 7)])
def test_a_batch_in_parts_gives_the_gradient_and_the_losses_of_the_whole(count, parts):
    batch = batch_of(0, count)
    _, expected = changes(*model_and_optimizer(), batch)
    model, optimizer = model_and_optimizer()
    whole = gradients(model, batch)
    in_parts, losses = changes(model, optimizer, batch, accumulate=parts)
    assert model.calls == min(count, parts)
    torch.testing.assert_close(in_parts, whole, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(losses, expected)


def test_parts_keep_order_padding_and_sizes():
    pixels = torch.arange(5.0).reshape(5, 1, 1, 1).expand(5, 3, 4, 6)
    images = ImageList(pixels, [(i, 6) for i in range(5)])
    parts = split_batch((images, ("a", "b", "c", "d", "e"), (10, 11, 12, 13, 14)), 2)
    assert [part[2] for part in parts] == [(10, 11, 12), (13, 14)]
    assert [part[1] for part in parts] == [("a", "b", "c"), ("d", "e")]
    assert parts[1][0].image_sizes == [(3, 6), (4, 6)]
    assert parts[1][0].tensors.shape == (2, 3, 4, 6)
    assert parts[1][0].tensors[:, 0, 0, 0].tolist() == [3, 4]


def test_a_nan_in_one_part_names_its_images_and_leaves_the_weights():
    model, optimizer = model_and_optimizer(poison=2)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(LossNotFiniteError, match=r"loss_mask is nan on the images 103 \(3.png\)\."):
        train_step(
            model, optimizer, batch_of(2, 2), "cpu",
            options=StepOptions(accumulate=2), dataset=TinyDataset(),
        )  # fmt: skip
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)


def test_the_norm_of_the_gradient_is_clipped():
    batch = batch_of(0, 2)
    model, optimizer = model_and_optimizer()
    full = gradients(model, batch)
    norm = torch.sqrt(sum(g.square().sum() for g in full))
    got, losses = changes(model, optimizer, batch, clip_norm=norm.item() / 4)
    torch.testing.assert_close(got, [g / 4 for g in full], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(losses["grad_norm"], norm)


def test_a_short_gradient_is_not_stretched():
    batch = batch_of(0, 2)
    model, optimizer = model_and_optimizer()
    full = gradients(model, batch)
    got, _ = changes(model, optimizer, batch, clip_norm=1e6)
    torch.testing.assert_close(got, full, rtol=1e-3, atol=1e-3)


def test_elements_of_the_gradient_are_clipped():
    batch = batch_of(0, 2)
    model, optimizer = model_and_optimizer()
    full = gradients(model, batch)
    got, losses = changes(model, optimizer, batch, clip_value=0.1)
    torch.testing.assert_close(got, [g.clamp(-0.1, 0.1) for g in full], rtol=1e-3, atol=1e-3)
    assert "grad_norm" not in losses


def test_the_average_of_the_weights_is_the_closed_form():
    model, optimizer = model_and_optimizer()
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.75))
    options = StepOptions(averaged=averaged)
    history = []
    for step in range(4):
        train_step(model, optimizer, batch_of(2 * step, 2), "cpu", options=options)
        history.append(model.layer.weight.detach().clone())
    expected = 0.75**3 * history[0] + 0.25 * sum(0.75 ** (3 - i) * history[i] for i in range(1, 4))
    torch.testing.assert_close(averaged.module.layer.weight.detach(), expected)
    assert options.trained(model) is averaged.module


def test_scaling_the_loss_changes_nothing_but_what_overflows():
    batch = batch_of(0, 2)
    model, optimizer = model_and_optimizer()
    plain, plain_optimizer = model_and_optimizer()
    train_step(plain, plain_optimizer, batch, "cpu")
    scaler = GradScaler("cpu", init_scale=2.0**10)
    train_step(model, optimizer, batch, "cpu", options=StepOptions(scaler=scaler))
    assert torch.equal(model.layer.weight, plain.layer.weight)

    scaler = GradScaler("cpu", init_scale=2.0**127)
    losses = train_step(model, optimizer, batch, "cpu", options=StepOptions(scaler=scaler))
    assert torch.equal(model.layer.weight, plain.layer.weight)  # the step was left out
    assert scaler.get_scale() == 2.0**126
    assert losses["loss"].isfinite()


@pytest.mark.parametrize("limits", [{"clip_norm": 0.05}, {"clip_value": 0.02}])
def test_what_is_clipped_are_the_gradients_and_not_their_scaled_selves(limits):
    batch = batch_of(0, 2)
    weights = []
    for scaler in (GradScaler("cpu", enabled=False), GradScaler("cpu", init_scale=2.0**10)):
        model, optimizer = model_and_optimizer()
        train_step(model, optimizer, batch, "cpu", options=StepOptions(scaler=scaler, **limits))
        weights.append(model.layer.weight.detach())
    torch.testing.assert_close(*weights)


def test_options_from_the_config():
    config = cfg.clone()
    model = TinyModel()
    plain = StepOptions.from_cfg(config, model, torch.device("cpu"))
    assert (plain.accumulate, plain.clip_norm, plain.clip_value) == (1, 0, 0)
    assert plain.stateful() == {}
    assert plain.trained(model) is model
    config.merge_from_list(
        ["DTYPE", "float16", "SOLVER.EMA_DECAY", 0.9, "SOLVER.ACCUMULATE", 4]
        + ["SOLVER.CLIP_GRAD_NORM", 5.0, "SOLVER.CLIP_GRAD_VALUE", 2.0]
    )
    full = StepOptions.from_cfg(config, model, torch.device("cpu"))
    assert (full.accumulate, full.clip_norm, full.clip_value) == (4, 5, 2)
    assert full.stateful() == {"scaler": full.scaler, "ema": full.averaged}


def _process(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    model, optimizer = model_and_optimizer()
    expected = gradients(model, batch_of(0, 6))
    parallel = DistributedDataParallel(model)
    exchanges = []
    parallel.register_comm_hook(exchanges, _count_and_average)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    # three images each; three parts on one process, two on the other
    options = StepOptions(accumulate=3 - rank)
    train_step(parallel, optimizer, batch_of(3 * rank, 3), "cpu", options=options)
    got = [(b - a.detach()) / LR for b, a in zip(before, model.parameters(), strict=True)]
    torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-3)
    assert len(exchanges) == 1
    dist.destroy_process_group()


def _count_and_average(exchanges, bucket):
    exchanges.append(bucket.index())
    work = dist.all_reduce(bucket.buffer().div_(2), async_op=True)
    return work.get_future().then(lambda future: future.value()[0])


def test_processes_exchange_gradients_once_however_many_parts(tmp_path):
    mp.spawn(_process, args=(str(tmp_path),), nprocs=2)
