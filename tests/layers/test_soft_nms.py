import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from maskrcnn_benchmark.layers import SoftNMS, batched_soft_nms, nms, soft_nms
from tests.helpers import ops_oracles
from tests.layers.conftest import needs_extension, use_fallback
from tests.layers.test_nms import random_boxes

pytestmark = pytest.mark.usefixtures("backend")

# written from equations 1 and 3 of the paper
FACTORS: dict[str, Callable[[float], float]] = {
    "linear": lambda o: 1 - o if o >= 0.3 else 1.0,
    "gaussian": lambda o: math.exp(-(o**2) / 0.7),
}
RULES = {
    "linear": SoftNMS("linear", threshold=0.3),
    "gaussian": SoftNMS("gaussian", sigma=0.7),
}


def check(
    got: tuple[torch.Tensor, torch.Tensor], expected: list[tuple[int, float]], rtol: float = 1e-5
) -> None:
    assert got[0].tolist() == [i for i, _ in expected]
    np.testing.assert_allclose(got[1].double(), [score for _, score in expected], rtol=rtol)


@pytest.mark.parametrize("method", FACTORS)
@pytest.mark.parametrize("offset", [0.0, 1.0])
def test_oracle(method: str, offset: float) -> None:
    boxes, scores = random_boxes(120)
    groups = torch.randint(-2, 3, (120,))
    arrays = boxes.double().numpy(), scores.double().numpy(), FACTORS[method]
    got = batched_soft_nms(boxes, scores, groups, RULES[method], pixel_offset=offset)
    expected = ops_oracles.soft_nms(*arrays, groups.numpy(), offset=offset)
    # the oracle picks over all groups at once, which sorts its answer
    check(got, expected)
    got = soft_nms(boxes, scores, RULES[method], pixel_offset=offset)
    check(got, ops_oracles.soft_nms(*arrays, offset=offset))


@pytest.mark.parametrize("method", FACTORS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_dtypes_are_computed_in_float_or_double(method: str, dtype: torch.dtype) -> None:
    boxes, scores = random_boxes(60)
    boxes, scores = boxes.to(dtype), scores.double()
    kept, lowered = soft_nms(boxes, scores, RULES[method])
    expected = ops_oracles.soft_nms(boxes.double().numpy(), scores.numpy(), FACTORS[method])
    assert lowered.dtype == torch.float64
    check((kept, lowered), expected, rtol=1e-12 if dtype == torch.float64 else 1e-5)


def test_by_hand() -> None:
    # inclusive areas 100, 50 (inside the first: IoU 0.5) and 100 far away
    boxes = torch.tensor([[0.0, 0.0, 9.0, 9.0], [0.0, 0.0, 9.0, 4.0], [50.0, 0.0, 59.0, 9.0]])
    scores = torch.tensor([0.9, 0.8, 0.6])
    kept, lowered = soft_nms(boxes, scores, SoftNMS("linear", threshold=0.5))
    assert kept.tolist() == [0, 2, 1]  # an IoU of exactly the threshold counts
    torch.testing.assert_close(lowered, torch.tensor([0.9, 0.6, 0.4]))
    kept, lowered = soft_nms(boxes, scores, SoftNMS("linear", threshold=0.51))
    assert kept.tolist() == [0, 1, 2]
    assert lowered.equal(scores)
    kept, lowered = soft_nms(boxes, scores, SoftNMS("gaussian", sigma=0.5))
    torch.testing.assert_close(lowered, torch.tensor([0.9, 0.6, 0.8 * math.exp(-0.5)]))


def test_boxes_below_the_minimum_score_are_dropped() -> None:
    boxes = torch.tensor([[0.0, 0.0, 9.0, 9.0], [0.0, 0.0, 9.0, 8.0], [50.0, 0.0, 59.0, 9.0]])
    scores = torch.tensor([0.9, 0.8, 0.0005])
    kept, lowered = soft_nms(boxes, scores, SoftNMS("linear", min_score=0.1))
    assert kept.tolist() == [0]
    assert lowered.tolist() == scores[:1].tolist()
    kept, _ = soft_nms(boxes, scores, SoftNMS("linear", min_score=0.0))
    assert kept.tolist() == [0, 1, 2]


def test_small_sigma_equals_nms() -> None:
    """A tiny sigma removes all overlapping boxes, like NMS."""
    boxes, scores = random_boxes(80)
    kept, lowered = soft_nms(boxes, scores, SoftNMS("gaussian", sigma=1e-6))
    expected = nms(boxes, scores, 0.004)
    assert kept.tolist() == expected[scores[expected] >= 0.001].tolist()
    torch.testing.assert_close(lowered, scores[kept], rtol=0.01, atol=0)


def test_equal_scores_keep_their_order() -> None:
    boxes, _ = random_boxes(50)
    far_apart = boxes + torch.arange(50)[:, None] * 1000
    kept, lowered = soft_nms(far_apart, torch.ones(50), SoftNMS())
    assert kept.tolist() == list(range(50))
    assert lowered.equal(torch.ones(50))
    same = torch.tensor([[0.0, 0.0, 9.0, 9.0]]).expand(3, 4)
    kept, lowered = soft_nms(same, torch.ones(3), SoftNMS("gaussian", sigma=1.0))
    assert kept.tolist() == [0, 1, 2]
    torch.testing.assert_close(lowered, torch.tensor([1.0, math.exp(-1), math.exp(-2)]))


@pytest.mark.parametrize("method", FACTORS)
def test_empty_and_one(method: str) -> None:
    none = torch.zeros(0)
    kept, lowered = batched_soft_nms(torch.zeros(0, 4), none, none.long(), SoftNMS(method))
    assert kept.shape == lowered.shape == (0,)
    assert kept.dtype == torch.int64
    assert soft_nms(torch.zeros(0, 4), none, SoftNMS(method))[0].shape == (0,)
    kept, lowered = soft_nms(torch.zeros(1, 4), torch.tensor([0.5]), SoftNMS(method))
    assert (kept.tolist(), lowered.tolist()) == ([0], [0.5])


def test_arguments_are_not_modified_and_may_be_unusual() -> None:
    boxes, scores = random_boxes(40)
    expected = soft_nms(boxes, scores, SoftNMS())
    wide = torch.rand(40, 8)
    wide[:, ::2] = boxes
    given = torch.stack([scores, scores], 1)[:, 0]
    for one, other in zip(
        soft_nms(wide[:, ::2].requires_grad_(), given, SoftNMS()), expected, strict=True
    ):
        assert one.equal(other)
        assert not one.requires_grad
    assert given.equal(scores)


@pytest.mark.parametrize("method", FACTORS)
def test_results_are_deterministic_on_one_and_two_threads(method: str) -> None:
    boxes, scores = random_boxes(300)
    groups = torch.arange(300) % 9
    results = []
    for threads in (1, 2, 2):
        torch.set_num_threads(threads)
        results.append(batched_soft_nms(boxes, scores, groups, RULES[method]))
    for kept, lowered in results[1:]:
        assert kept.equal(results[0][0])
        assert lowered.equal(results[0][1])


@needs_extension
@pytest.mark.parametrize("method", FACTORS)
def test_fallback_equals_the_extension(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    boxes, scores = random_boxes(200)
    groups = torch.arange(200) % 5
    monkeypatch.undo()
    ours = batched_soft_nms(boxes, scores, groups, RULES[method])
    use_fallback(monkeypatch)
    other = batched_soft_nms(boxes, scores, groups, RULES[method])
    assert ours[0].equal(other[0])
    torch.testing.assert_close(ours[1], other[1], rtol=1e-6, atol=0)


def test_errors() -> None:
    boxes, scores = torch.zeros(3, 4), torch.zeros(3)
    with pytest.raises(ValueError, match=r"^soft_nms: expected scores \[3\], got \[2\]"):
        soft_nms(boxes, torch.zeros(2), SoftNMS())
    with pytest.raises(ValueError, match=r"^soft_nms: expected groups \[3\], got \[3, 1\]"):
        batched_soft_nms(boxes, scores, torch.zeros(3, 1).long(), SoftNMS())
    with pytest.raises(ValueError, match=r"^soft_nms: expected max_keep >= 0 .*, got -1$"):
        soft_nms(boxes, scores, SoftNMS(), max_keep=-1)
    with pytest.raises(ValueError, match="method 'cubic' must be one of"):
        SoftNMS("cubic")
    with pytest.raises(ValueError, match="sigma 0 must be positive"):
        SoftNMS("gaussian", sigma=0)
