import numpy as np
import pytest
import torch

from maskrcnn_benchmark.layers import batched_nms, nms
from tests.helpers import ops_oracles
from tests.helpers.vectors import load_vector

pytestmark = pytest.mark.usefixtures("backend")


def random_boxes(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    corner, size = torch.rand(count, 2) * 60, torch.rand(count, 2) * 40
    return torch.cat([corner, corner + size], dim=1), torch.rand(count)


@pytest.mark.parametrize("case", range(9))
def test_recorded(case: int) -> None:
    meta, arrays = load_vector("nms")
    boxes, scores = (torch.from_numpy(arrays[f"{name}_{case}"]) for name in ("boxes", "scores"))
    kept = nms(boxes, scores, meta["arguments"]["cases"][case]["threshold"])
    np.testing.assert_array_equal(kept.sort().values, arrays[f"keep_cuda_rule_{case}"])
    assert (scores[kept].diff() <= 0).all()


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.5, 0.7])
@pytest.mark.parametrize("offset", [0.0, 1.0])
def test_oracle(threshold: float, offset: float) -> None:
    boxes, scores = random_boxes(150)
    groups = torch.randint(-2, 3, (150,))
    expected = ops_oracles.nms(
        boxes.double().numpy(), scores.numpy(), threshold, groups.numpy(), offset
    )
    assert batched_nms(boxes, scores, groups, threshold, pixel_offset=offset).tolist() == expected
    expected = ops_oracles.nms(boxes.double().numpy(), scores.numpy(), threshold, offset=offset)
    assert nms(boxes, scores, threshold, pixel_offset=offset).tolist() == expected


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_dtypes_are_computed_in_float_or_double(dtype: torch.dtype) -> None:
    boxes, scores = random_boxes(80)
    boxes = boxes.to(dtype)
    expected = ops_oracles.nms(boxes.double().numpy(), scores.numpy(), 0.4)
    assert nms(boxes, scores, 0.4).tolist() == expected


@pytest.mark.parametrize("threshold", [0.3, 0.5])
def test_exactly_the_threshold_is_kept(threshold: float) -> None:
    # inclusive areas 100 and 10 * threshold * 10, one inside the other
    boxes = torch.tensor([[0.0, 0.0, 9.0, 9.0], [0.0, 0.0, 9.0, 10 * threshold - 1]])
    scores = torch.tensor([0.9, 0.8])
    assert nms(boxes, scores, threshold).tolist() == [0, 1]
    assert nms(boxes, scores, threshold - 1e-4).tolist() == [0]


def test_equal_scores_keep_their_order() -> None:
    boxes, _ = random_boxes(100)
    far_apart = boxes + torch.arange(100)[:, None] * 1000
    assert nms(far_apart, torch.ones(100), 0.5).tolist() == list(range(100))


@pytest.mark.parametrize("threshold", [0.0, -1.0])
def test_threshold_of_zero_keeps_all(threshold: float) -> None:
    boxes = torch.zeros(5, 4)
    scores = torch.tensor([0.1, 0.5, 0.3, 0.5, 0.2])
    assert nms(boxes, scores, threshold).tolist() == [1, 3, 2, 4, 0]


def test_a_suppressed_box_suppresses_nothing() -> None:
    boxes = torch.tensor([[0.0, 0.0, 9.0, 9.0], [3.0, 0.0, 12.0, 9.0], [6.0, 0.0, 15.0, 9.0]])
    assert nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5).tolist() == [0, 2]


def test_empty() -> None:
    kept = batched_nms(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64), 0.5)
    assert kept.shape == (0,)
    assert kept.dtype == torch.int64
    assert nms(torch.zeros(0, 4), torch.zeros(0), 0.5).shape == (0,)


def test_non_contiguous() -> None:
    boxes, scores = random_boxes(60)
    expected = nms(boxes, scores, 0.3)
    wide = torch.rand(60, 8)
    wide[:, ::2] = boxes
    assert nms(wide[:, ::2], torch.stack([scores, scores], 1)[:, 0], 0.3).equal(expected)
    assert nms(boxes.t().contiguous().t(), scores, 0.3).equal(expected)


def test_groups_may_be_small_integers_and_boxes_may_want_a_gradient() -> None:
    boxes, scores = random_boxes(30)
    groups = torch.arange(30) % 3
    expected = batched_nms(boxes, scores, groups, 0.3)
    boxes.requires_grad_()
    assert batched_nms(boxes, scores, groups.to(torch.uint8), 0.3).equal(expected)


@pytest.mark.parametrize(
    ("boxes", "scores", "groups", "message"),
    [
        (torch.zeros(3, 5), torch.zeros(3), torch.zeros(3), r"boxes \[N, 4\], got \[3, 5\]"),
        (torch.zeros(3, 4), torch.zeros(2), torch.zeros(3), r"scores \[3\], got \[2\]"),
        (torch.zeros(3, 4), torch.zeros(3), torch.zeros(3, 1), r"groups \[3\], got \[3, 1\]"),
        (
            torch.zeros(3, 4).long(),
            torch.zeros(3),
            torch.zeros(3),
            "floating type, got torch.int64",
        ),
        (torch.zeros(3, 4), torch.zeros(3).int(), torch.zeros(3), "scores of a floating type"),
        (torch.zeros(3, 4), torch.zeros(3, device="meta"), torch.zeros(3), "on cpu, got meta"),
    ],
)
def test_errors(
    boxes: torch.Tensor, scores: torch.Tensor, groups: torch.Tensor, message: str
) -> None:
    with pytest.raises(ValueError, match=f"^nms: expected .*{message}"):
        batched_nms(boxes, scores, groups.long(), 0.5)


def test_errors_of_limits_and_groups() -> None:
    boxes, scores = random_boxes(3)
    with pytest.raises(ValueError, match=r"^nms: expected max_keep >= 0 \(0 for all\), got -1$"):
        nms(boxes, scores, 0.5, max_keep=-1)
    with pytest.raises(ValueError, match="^nms: expected threshold to be a number, got nan$"):
        nms(boxes, scores, float("nan"))
    with pytest.raises(ValueError, match="^nms: expected groups of an integer type, got torch.flo"):
        batched_nms(boxes, scores, torch.zeros(3), 0.5)
