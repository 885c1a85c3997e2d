"""Hypothesis strategies for operator inputs, including unusual ones.

Coordinates are halves of at most 256, so that areas are exact in float32, and an oracle in float64
decides as the operator does where the threshold is such a number too.
"""

import torch
from hypothesis import strategies as st

IMAGE_SIZE = 64  # boxes lie in and around an image of this size
DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
NOT_FINITE = (float("nan"), float("inf"), float("-inf"))


def coordinates(low: int, high: int) -> st.SearchStrategy[float]:
    """Halves in [low, high]."""
    return st.integers(2 * low, 2 * high).map(lambda i: i / 2)


@st.composite
def box_rows(draw: st.DrawFn, not_finite: bool) -> list[float]:
    """x1, y1, x2, y2 of an ordinary, tiny, outside, reversed, far or not finite box."""
    kinds = ["inside", "one pixel", "empty", "outside", "reversed", "far"]
    kind = draw(st.sampled_from([*kinds, "not finite"] if not_finite else kinds))
    x, y = (draw(coordinates(0, IMAGE_SIZE - 1)) for _ in range(2))
    width, height = (draw(coordinates(1, IMAGE_SIZE)) for _ in range(2))
    if kind == "one pixel":  # legacy convention: both ends are inclusive
        return [x, y, x, y]
    if kind == "empty":
        return [x, y, x - 1, y - 1]
    if kind == "outside":
        return [-x - width, -y - height, -x - 1, -y - 1]
    if kind == "reversed":
        return [x + width, y + height, x, y]
    row = [x, y, x + width, y + height]
    if kind == "far":
        row = [-256.0, -200.0, 250.0, 256.0]
    elif kind == "not finite":
        row[draw(st.integers(0, 3))] = draw(st.sampled_from(NOT_FINITE))
    return row


@st.composite
def boxes(draw: st.DrawFn, max_count: int = 12, not_finite: bool = True) -> torch.Tensor:
    """Boxes [N, 4], float32 in any layout; some duplicated."""
    rows = draw(st.lists(box_rows(not_finite), max_size=max_count))
    if rows and draw(st.booleans()):
        rows.append(rows[0])
    return draw(laid_out(torch.tensor(rows).reshape(-1, 4)))


@st.composite
def scores(draw: st.DrawFn, count: int, not_finite: bool = True) -> torch.Tensor:
    """Scores [N] with ties, some NaN on request."""
    values = st.integers(0, 16).map(lambda i: i / 16)
    if not_finite:
        values |= st.just(float("nan"))
    drawn = draw(st.lists(values, min_size=count, max_size=count))
    return draw(laid_out(torch.tensor(drawn, dtype=torch.float32)))


@st.composite
def groups(draw: st.DrawFn, count: int) -> torch.Tensor:
    """Groups [N]: few, in any order, also negative."""
    return torch.tensor(draw(st.lists(st.integers(-1, 2), min_size=count, max_size=count))).long()


@st.composite
def rois(draw: st.DrawFn, images: int, max_count: int = 6, not_finite: bool = True) -> torch.Tensor:
    """Regions [K, 5], float32 in any layout; none without images."""
    corners = draw(boxes(max_count if images else 0, not_finite)) if images else torch.zeros(0, 4)
    index = st.integers(0, max(images - 1, 0))
    image = draw(st.lists(index, min_size=len(corners), max_size=len(corners)))
    return draw(laid_out(torch.cat([torch.tensor(image).float().reshape(-1, 1), corners], 1)))


@st.composite
def features(draw: st.DrawFn, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Features [N, C, H, W] of random numbers, in any layout; N and C may be 0."""
    shape = draw(
        st.tuples(*(st.integers(low, high) for low, high in ((0, 2), (0, 3), (1, 9), (1, 9))))
    )
    generator = torch.Generator().manual_seed(draw(st.integers(0, 99)))
    values = torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)
    return draw(laid_out(values))


@st.composite
def laid_out(draw: st.DrawFn, tensor: torch.Tensor) -> torch.Tensor:
    """The same numbers, contiguous or not: every other column, transposed, channels last."""
    kinds = ["contiguous", "columns", "transposed"]
    kind = draw(st.sampled_from([*kinds, "channels last"] if tensor.dim() == 4 else kinds))
    if kind == "columns":
        wide = torch.full((*tensor.shape[:-1], 2 * tensor.shape[-1] + 1), torch.nan).to(tensor)
        wide[..., 1::2] = tensor
        return wide[..., 1::2]
    if kind == "transposed":
        return tensor.transpose(0, -1).contiguous().transpose(0, -1)
    if kind == "channels last":
        return tensor.contiguous(memory_format=torch.channels_last)
    return tensor


threads = st.sampled_from((1, 2))
