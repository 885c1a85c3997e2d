"""A ResNet with FPN and SyncBN on two ranks equals one process with the whole batch."""

import pytest
import torch
import torch.distributed as dist

from maskrcnn_benchmark.config import make_default_config
from maskrcnn_benchmark.modeling.backbone import build_backbone
from tests.helpers.ranks import on_ranks

OPTIONS = {
    "MODEL.BACKBONE.CONV_BODY": "R-18-FPN",
    "MODEL.BACKBONE.OUT_CHANNELS": 8,
    "MODEL.BACKBONE.FREEZE_CONV_BODY_AT": 1,
    "MODEL.RESNETS.RES2_OUT_CHANNELS": 8,
    "MODEL.RESNETS.STEM_OUT_CHANNELS": 8,
    "MODEL.RPN.USE_FPN": True,
}


def backbone(norm):
    cfg = make_default_config()
    options = OPTIONS | {"MODEL.RESNETS.NORM": norm, "MODEL.FPN.NORM": norm}
    cfg.merge_from_list([part for pair in options.items() for part in pair])
    torch.manual_seed(0)
    return build_backbone(cfg).double().train()


def step(model, images, factor):
    """Return the maps of a step whose loss depends on every output, with gradients and buffers."""
    maps = model(images)
    sum((level.square() * factor).sum() for level in maps).backward()
    gradients = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    return maps, gradients, dict(model.named_buffers())


def _compare(rank, norm, is_equal):
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(4, 3, 64, 96, generator=generator, dtype=torch.float64)
    factors = torch.tensor([1.0, -2.0, 3.0, 0.5], dtype=torch.float64)[:, None, None, None]
    mine = slice(1) if rank == 0 else slice(1, None)
    maps, gradients, buffers = step(backbone(norm), images[mine], factors[mine])
    expected, whole_gradients, whole_buffers = step(backbone("BN"), images, factors)
    for gradient in gradients.values():
        dist.all_reduce(gradient)
    pairs = [(got, want[mine]) for got, want in zip(maps, expected, strict=True)]
    pairs += [(gradients[name], want) for name, want in whole_gradients.items()]
    pairs += [(buffers[name], want) for name, want in whole_buffers.items()]
    close = [torch.allclose(got, want, rtol=1e-6, atol=1e-8) for got, want in pairs]
    assert all(close) if is_equal else not all(close)
    assert whole_buffers["body.layer1.0.bn1.running_mean"].any()
    assert not buffers["body.stem.bn1.running_mean"].any()  # frozen


@pytest.mark.parametrize(("norm", "is_equal"), [("SyncBN", True), ("BN", False)])
def test_two_ranks_equal_one_process_with_the_whole_batch(norm, is_equal):
    on_ranks(_compare, norm, is_equal)
