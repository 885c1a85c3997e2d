"""Parts of a training step against values computed by hand or by a plain loop."""

import copy
import math

import pytest
import torch
import torch.distributed as dist
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
from maskrcnn_benchmark.modeling.detector import build_detection_model
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.image_list import ImageList, to_image_list
from maskrcnn_benchmark.structures.segmentation_mask import SegmentationMask
from tests.engine.stand_ins import TinyDataset, TinyModel, collate
from tests.helpers.ranks import on_ranks
from tests.helpers.tiny_detector import tiny_config

LR = 0.001


def batch_of(first, count):
    dataset = TinyDataset()
    return collate([dataset[index] for index in range(first, first + count)])


def model_and_optimizer(poison=None):
    torch.manual_seed(3)
    model = TinyModel(poison)
    return model, torch.optim.SGD(model.parameters(), lr=LR)


def gradients(model, batch):
    """Return the gradients of the mean loss over a batch, by plain autograd."""
    model = copy.deepcopy(model)
    sum(model(batch[0], batch[1]).values()).backward()
    return [parameter.grad for parameter in model.parameters()]


def changes(model, optimizer, batch, **options):
    """Return the weight update divided by the learning rate, and the losses."""
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
    assert torch.equal(model.layer.weight, plain.layer.weight)  # the step was skipped
    assert scaler.get_scale() == 2.0**126
    assert losses["loss"].isfinite()


@pytest.mark.parametrize("limits", [{"clip_norm": 0.05}, {"clip_value": 0.02}])
def test_unscaled_gradients_are_clipped(limits):
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
    before = model.layer.weight.detach().clone()
    full.averaged.update_parameters(model)
    with torch.no_grad():
        model.layer.weight.add_(1.0)
    full.averaged.update_parameters(model)
    torch.testing.assert_close(full.averaged.module.layer.weight, before + 0.1)


def _process(rank):
    model, optimizer = model_and_optimizer()
    expected = gradients(model, batch_of(0, 6))
    parallel = DistributedDataParallel(model)
    exchanges = []
    parallel.register_comm_hook(exchanges, _count_and_average)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    # three images each; three parts on one rank, two on the other
    options = StepOptions(accumulate=3 - rank)
    train_step(parallel, optimizer, batch_of(3 * rank, 3), "cpu", options=options)
    got = [(b - a.detach()) / LR for b, a in zip(before, model.parameters(), strict=True)]
    torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-3)
    assert len(exchanges) == 1
    overflow_on_one(rank)


def _count_and_average(exchanges, bucket):
    exchanges.append(bucket.index())
    work = dist.all_reduce(bucket.buffer().div_(2), async_op=True)
    return work.get_future().then(lambda future: future.value()[0])


def overflow_on_one(rank):
    """An infinite loss with finite gradients on one rank skips the step on all ranks."""
    model, optimizer = model_and_optimizer()
    parallel = DistributedDataParallel(model)
    before = copy.deepcopy(model.state_dict())
    scaler = GradScaler("cpu", init_scale=8.0)
    model.added = math.inf if rank == 1 else 0.0
    train_step(parallel, optimizer, batch_of(0, 2), "cpu", options=StepOptions(scaler=scaler))
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)
    assert scaler.get_scale() == 4
    model.added = 0.0
    train_step(parallel, optimizer, batch_of(0, 2), "cpu", options=StepOptions(scaler=scaler))
    assert not torch.equal(model.layer.weight, before["layer.weight"])
    assert scaler.get_scale() == 4


def test_processes_exchange_gradients_once_however_many_parts_and_skip_alike():
    on_ranks(_process)


@pytest.mark.parametrize("added", [math.inf, math.nan])
def test_with_a_scaler_a_loss_that_overflows_costs_the_step_alone(added):
    model, optimizer = model_and_optimizer()
    plain, plain_optimizer = model_and_optimizer()
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.75))
    options = StepOptions(
        scaler=GradScaler("cpu", init_scale=2.0**10), averaged=averaged, clip_norm=1e9
    )
    model.added = added
    losses = train_step(model, optimizer, batch_of(0, 2), "cpu", options=options)
    assert not losses["loss"].isfinite()
    assert torch.equal(model.layer.weight, plain.layer.weight)
    assert torch.equal(averaged.module.layer.weight, plain.layer.weight)
    assert options.scaler.get_scale() == 2.0**9
    model.added = 0.0
    train_step(model, optimizer, batch_of(2, 2), "cpu", options=options)
    train_step(plain, plain_optimizer, batch_of(2, 2), "cpu")
    assert torch.equal(model.layer.weight, plain.layer.weight)


def test_a_loss_that_overflows_at_every_scale_ends_the_training():
    model, optimizer = model_and_optimizer()
    model.added = math.nan
    options = StepOptions(scaler=GradScaler("cpu", init_scale=4.0))
    for scale in (2, 1, 0.5):
        train_step(model, optimizer, batch_of(0, 2), "cpu", options=options)
        assert options.scaler.get_scale() == scale
    with pytest.raises(LossNotFiniteError, match="loss_mask is nan on the images"):
        train_step(model, optimizer, batch_of(0, 2), "cpu", options=options)


def test_gradients_that_overflow_at_every_scale_end_the_training():
    model, optimizer = model_and_optimizer()
    options = StepOptions(scaler=GradScaler("cpu", init_scale=2.0))
    model.layer.weight.register_hook(lambda gradient: gradient * math.inf)
    for _ in range(2):
        train_step(model, optimizer, batch_of(0, 2), "cpu", options=options)
    with pytest.raises(LossNotFiniteError, match="gradients overflow float16 at every scale"):
        train_step(model, optimizer, batch_of(0, 2), "cpu", options=options)


def detector_batch():
    """Return three images of two sizes with polygons."""
    generator = torch.Generator().manual_seed(2)
    sizes = [(64, 96), (64, 96), (60, 80)]  # height, width
    images = [torch.rand(3, *size, generator=generator) * 100 for size in sizes]
    targets = []
    for number, (height, width) in enumerate(sizes):
        boxes = [[5.0 + 9 * number, 6.0, 40.0, 50.0], [30.0, 10.0, 70.0, 35.0]]
        target = BoxList(boxes, (width, height))
        target.add_field("labels", torch.tensor([1, 2]))
        outlines = [[[x1, y1, x2, y1, x2, y2, x1, y2]] for x1, y1, x2, y2 in boxes]
        target.add_field("masks", SegmentationMask(outlines, (width, height)))
        targets.append(target)
    return to_image_list(images, 32), targets, (0, 1, 2)


def test_a_detectors_batch_in_parts_gives_the_mean_gradient_of_the_parts():
    images, targets, indices = detector_batch()
    torch.manual_seed(1)
    model = build_detection_model(tiny_config())
    model.train()
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    expected_losses = {}
    torch.manual_seed(4)
    for share, of in ((2 / 3, slice(0, 2)), (1 / 3, slice(2, 3))):
        losses = model(ImageList(images.tensors[of], images.image_sizes[of]), targets[of])
        (share * sum(losses.values())).backward()
        for name, loss in losses.items():
            expected_losses[name] = expected_losses.get(name, 0) + share * loss.detach()
    expected = [weight.grad.clone() for weight in weights]
    optimizer = torch.optim.SGD(weights, lr=0.0)
    torch.manual_seed(4)
    got = train_step(
        model, optimizer, (images, targets, indices), "cpu", options=StepOptions(accumulate=2)
    )
    assert "loss_maskiou" in got
    torch.testing.assert_close({name: got[name] for name in expected_losses}, expected_losses)
    torch.testing.assert_close([weight.grad for weight in weights], expected)
    assert sum(gradient.abs().sum() for gradient in expected) > 0


class Slow:
    """Tensor that records how it is moved."""

    def __init__(self, calls):
        self.calls = calls

    def __len__(self):
        return 1

    def to(self, device, non_blocking=False):
        self.calls.append((str(device), non_blocking))
        raise MovedError


class MovedError(Exception):
    """Nothing more happens."""


def test_batches_are_moved_without_blocking():
    calls, (images, targets, _) = [], batch_of(0, 1)
    model, optimizer = model_and_optimizer()
    targets[0].add_field("slow", Slow(calls))
    with pytest.raises(MovedError):
        train_step(model, optimizer, (images, targets, (0,)), "cpu")
    assert calls == [("cpu", True)]
