"""NMS and Soft-NMS against slow oracles on unusual boxes, and on many boxes."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maskrcnn_benchmark.layers import SoftNMS, batched_nms, batched_soft_nms, nms, soft_nms
from tests.helpers import ops_oracles
from tests.layers.conftest import needs_extension, use_fallback

INF, NAN = math.inf, math.nan
# few numbers, so that boxes are equal, a pixel wide, reversed, and overlap by exactly a threshold
NUMBERS = st.one_of(
    st.integers(0, 9).map(float), st.sampled_from([0.5, -3.0, 1e20, INF, -INF, NAN]), st.floats()
)
BOX = st.one_of(
    st.tuples(*[st.integers(0, 12).map(float)] * 4),
    st.tuples(*[NUMBERS] * 4),
    st.tuples(*[st.floats(0, 20, width=32)] * 4),
)
SCORE = st.sampled_from([0.9, 0.5, 0.5, 0.25, 0.1, 0.0, -1.0, NAN, INF, -INF])
GROUP = st.sampled_from([0, 1, -7, 2**40])
ROWS = st.lists(st.tuples(BOX, SCORE, GROUP), max_size=25)
THRESHOLDS = st.sampled_from([-1.0, 0.0, 1e-30, 0.25, 0.3, 0.5, 0.7, 1.0, INF])
PLAIN = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def tensors(
    rows: list[Any], dtype: torch.dtype, strided: bool
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return boxes, scores and groups; the first two are non-contiguous if ``strided``."""
    boxes = torch.tensor([r[0] for r in rows], dtype=torch.float64).reshape(-1, 4).to(dtype)
    scores = torch.tensor([r[1] for r in rows], dtype=torch.float64)
    groups = torch.tensor([r[2] for r in rows], dtype=torch.int64)
    if strided:
        boxes = boxes.repeat_interleave(2, dim=1)[:, ::2]
        scores = torch.stack([scores, scores], dim=1)[:, 0]
    return boxes, scores, groups


def oracle_boxes(boxes: torch.Tensor) -> np.ndarray:
    """Return the boxes in the dtype of the arithmetic: half and bfloat16 are computed in float."""
    return boxes.numpy() if boxes.dtype == torch.float64 else boxes.float().numpy()


@pytest.mark.usefixtures("backend")
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # numpy's of inf - inf, in the oracle
class TestOddBoxes:
    @PLAIN
    @given(
        ROWS,
        THRESHOLDS,
        st.sampled_from([0.0, 1.0]),
        st.integers(0, 4),
        st.sampled_from([torch.float32, torch.float64, torch.float16, torch.bfloat16]),
        st.booleans(),
        st.sampled_from([1, 2]),
    )
    def test_nms(self, rows, threshold, offset, max_keep, dtype, strided, threads):
        torch.set_num_threads(threads)
        boxes, scores, groups = tensors(rows, dtype, strided)
        options = {"max_keep": max_keep, "pixel_offset": offset}
        got = batched_nms(boxes, scores, groups, threshold, **options)
        arrays, options = (oracle_boxes(boxes), scores.numpy()), {"max_keep": max_keep}
        expected = ops_oracles.nms(*arrays, threshold, groups.numpy(), offset, **options)
        assert got.tolist() == expected
        got = nms(boxes, scores, threshold, max_keep=max_keep, pixel_offset=offset)
        assert got.tolist() == ops_oracles.nms(*arrays, threshold, offset=offset, **options)

    @PLAIN
    @given(
        ROWS,
        st.sampled_from([0.25, 0.3, 0.5, 1.0]),
        st.sampled_from([0.0, 1.0]),
        st.integers(0, 4),
        st.sampled_from([0.0, 0.001, 0.2]),
        st.booleans(),
    )
    def test_linear_soft_nms(self, rows, threshold, offset, max_keep, min_score, strided):
        boxes, scores, groups = tensors(rows, torch.float64, strided)
        rule = SoftNMS("linear", threshold=threshold, min_score=min_score)
        options = {"max_keep": max_keep}

        def factor(overlap: float) -> float:
            return 1 - overlap if overlap >= threshold else 1.0

        arrays = boxes.numpy(), scores.numpy(), factor
        limits = {"min_score": min_score, "offset": offset, "max_keep": max_keep}
        kept, lowered = batched_soft_nms(
            boxes, scores, groups, rule, pixel_offset=offset, **options
        )
        expected = ops_oracles.soft_nms(*arrays, groups.numpy(), **limits)
        assert list(zip(kept.tolist(), lowered.tolist(), strict=True)) == expected
        kept, lowered = soft_nms(boxes, scores, rule, pixel_offset=offset, **options)
        expected = ops_oracles.soft_nms(*arrays, **limits)
        assert list(zip(kept.tolist(), lowered.tolist(), strict=True)) == expected

    @PLAIN
    @given(ROWS, st.sampled_from([0.0, 1.0]))
    def test_gaussian_soft_nms(self, rows, offset):
        boxes, scores, groups = tensors(rows, torch.float64, False)
        rule = SoftNMS("gaussian", sigma=0.7, min_score=0.01)
        kept, lowered = batched_soft_nms(boxes, scores, groups, rule, pixel_offset=offset)
        expected = ops_oracles.soft_nms(
            *(boxes.numpy(), scores.numpy(), lambda o: math.exp(-o * o / 0.7)),
            groups.numpy(),
            min_score=0.01,
            offset=offset,
        )
        # two exponentials may differ in the last bit, and with them the order
        assert dict(zip(kept.tolist(), lowered.tolist(), strict=True)) == pytest.approx(
            dict(expected), rel=1e-9
        )
        assert (lowered[:-1] >= lowered[1:]).all()


def clusters(count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Return boxes around a few objects, as an RPN proposes them, and scores with ties."""
    draw = torch.Generator().manual_seed(seed)
    objects = torch.rand(count // 30 + 1, 2, generator=draw) * 700
    center = objects[torch.randint(len(objects), (count,), generator=draw)]
    center = center + 8 * torch.randn(count, 2, generator=draw)
    half = 20 * torch.exp(0.2 * torch.randn(count, 2, generator=draw))
    scores = (torch.rand(count, generator=draw) * 500).round() / 500
    return torch.cat([center - half, center + half], dim=1), scores


@needs_extension
@pytest.mark.parametrize("count", [63, 64, 65, 512, 513, 1025, 2500])
@pytest.mark.parametrize("groups", [1, 3, 70])
def test_many_boxes_and_the_cap(count: int, groups: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks, chunks and the end of a group lie anywhere; torchvision decides the same pairs."""
    boxes, scores = clusters(count)
    ids = torch.randint(groups, (count,), generator=torch.Generator().manual_seed(1))
    everything = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        everything.append(batched_nms(boxes, scores, ids, 0.5))
    assert everything[0].equal(everything[1])
    for max_keep in (1, 7, 40, 700):
        rank = torch.zeros(count, dtype=torch.int64)
        for group in range(groups):
            of_group = everything[0][ids[everything[0]] == group]
            rank[of_group] = torch.arange(len(of_group))
        expected = everything[0][rank[everything[0]] < max_keep]
        assert batched_nms(boxes, scores, ids, 0.5, max_keep=max_keep).equal(expected)
        got = nms(boxes, scores, 0.5, max_keep=max_keep)
        assert got.equal(nms(boxes, scores, 0.5)[:max_keep])
    use_fallback(monkeypatch)
    assert batched_nms(boxes, scores, ids, 0.5).equal(everything[0])


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7])
def test_pairs_on_the_border_of_the_threshold(threshold: float) -> None:
    """Quotients within a step of a float from the threshold: a product alone decides otherwise."""
    draw = torch.Generator().manual_seed(0)
    outer = (torch.rand(3000, generator=draw) * 8000 + 1).round() / 8
    inner = outer * threshold
    steps = torch.stack([inner, *(inner.nextafter(torch.tensor(to)) for to in (-INF, INF))])
    inner = steps[torch.randint(3, (3000,), generator=draw), torch.arange(3000)]
    boxes = torch.zeros(3000, 2, 4)
    boxes[:, 0, 2], boxes[:, 1, 2], boxes[..., 3] = outer, inner, 1
    expected = inner / ((outer + inner) - inner) > threshold  # the rule, in float
    groups = torch.arange(3000).repeat_interleave(2)
    scores = torch.tensor([0.9, 0.8]).repeat(3000)
    kept = batched_nms(boxes.flatten(0, 1), scores, groups, threshold, pixel_offset=0.0)
    dropped = torch.ones(6000, dtype=torch.bool).index_fill(0, kept, False)[1::2]
    assert 500 < dropped.sum() < 2500
    assert dropped.equal(expected)


@needs_extension
@pytest.mark.parametrize("method", ["linear", "gaussian"])
def test_the_cap_of_soft_nms_takes_the_first_picks(method: str) -> None:
    boxes, scores = clusters(300)
    groups = torch.arange(300) % 4
    rule = SoftNMS(method, threshold=0.3)
    kept, lowered = batched_soft_nms(boxes, scores, groups, rule)
    for max_keep in (1, 5, 50):
        rank = torch.stack([groups[kept] == g for g in range(4)]).cumsum(1)[
            groups[kept], torch.arange(len(kept))
        ]
        got = batched_soft_nms(boxes, scores, groups, rule, max_keep=max_keep)
        assert got[0].equal(kept[rank <= max_keep])
        assert got[1].equal(lowered[rank <= max_keep])
