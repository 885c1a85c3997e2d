"""Anchors, the boxes that the RPN scores and refines."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from yacs.config import CfgNode

# Position and rounding of the anchors of a cell:
# legacy: inclusive boxes around the cell center, with sides rounded at the size of the stride;
# centered: continuous boxes around the cell corner, not rounded (detectron2, mmdetection);
# torchvision: as centered, with integer corners and the stride computed from the feature map size
ANCHOR_RULES = ("legacy", "centered", "torchvision")


def generate_cell_anchors(
    stride: int, sizes: Sequence[float], aspect_ratios: Sequence[float]
) -> Tensor:
    """Return the anchors ``[A, 4]`` of the cell at the origin, ordered by aspect ratio, then size.

    A square with the side of the stride is reshaped to each ratio height / width, its sides are
    rounded to integers, and then scaled. Trained weights depend on this rounding, which comes from
    the original Faster R-CNN.
    """
    ratios = np.asarray(aspect_ratios, dtype=np.float64)
    widths = np.round(np.sqrt(stride * stride / ratios))
    heights = np.round(widths * ratios)
    scales = np.asarray(sizes, dtype=np.float64) / stride
    sides = np.stack([widths, heights], axis=1)[:, None] * scales[None, :, None]  # [ratio, size, 2]
    half = 0.5 * (sides.reshape(-1, 2) - 1)
    center = 0.5 * (stride - 1)
    return torch.from_numpy(np.concatenate([center - half, center + half], axis=1)).float()


def generate_centered_anchors(sizes: Sequence[float], aspect_ratios: Sequence[float]) -> Tensor:
    """Return the anchors ``[A, 4]`` around the origin, ordered by aspect ratio, then size.

    Boxes are continuous; the area is ``size ** 2`` for every aspect ratio.
    """
    ratios = torch.tensor(aspect_ratios, dtype=torch.float32)[:, None]
    sides = torch.tensor(sizes, dtype=torch.float32)[None]
    widths, heights = (sides / ratios.sqrt()).flatten(), (sides * ratios.sqrt()).flatten()
    return torch.stack([-widths, -heights, widths, heights], dim=1) / 2


class _BufferList(nn.Module):
    """Buffers named 0, 1, ...; the names are part of the checkpoint format."""

    def __init__(self, buffers: Sequence[Tensor]) -> None:
        super().__init__()
        for number, buffer in enumerate(buffers):
            self.register_buffer(str(number), buffer)

    def __iter__(self) -> Iterator[Tensor]:
        return self.buffers()


class AnchorGenerator(nn.Module):
    """Generate the anchors of all levels.

    Args:
        sizes: anchor sizes in pixels, one or several per level, or all for a single level.
        aspect_ratios: ratios height / width.
        anchor_strides: stride in pixels of each level.
        straddle_thresh: pixels by which an anchor may extend beyond the image and still be trained;
            no limit if it is negative.
        rule: one of ``ANCHOR_RULES``.

    Raises:
        ValueError: the numbers of sizes and strides differ, or the rule is unknown.
    """

    def __init__(
        self,
        sizes: Sequence[float | Sequence[float]] = (128, 256, 512),
        aspect_ratios: Sequence[float] = (0.5, 1.0, 2.0),
        anchor_strides: Sequence[int] = (8, 16, 32),
        straddle_thresh: float = 0,
        *,
        rule: str = "legacy",
    ) -> None:
        super().__init__()
        if rule not in ANCHOR_RULES:
            raise ValueError(f"MODEL.RPN.ANCHOR_RULE {rule!r} is none of {', '.join(ANCHOR_RULES)}")
        several = [tuple(size) if isinstance(size, Sequence) else (size,) for size in sizes]
        if len(anchor_strides) == 1:
            sizes_per_level = [tuple(size for sizes in several for size in sizes)]
        elif len(anchor_strides) == len(sizes):
            sizes_per_level = several
        else:
            raise ValueError(
                f"MODEL.RPN: {len(sizes)} ANCHOR_SIZES for {len(anchor_strides)} ANCHOR_STRIDE"
            )
        self.strides = tuple(anchor_strides)
        self.straddle_thresh = straddle_thresh
        self.rule = rule
        self.cell_anchors = _BufferList(
            [
                self._cell(stride, level_sizes, aspect_ratios)
                for stride, level_sizes in zip(self.strides, sizes_per_level, strict=True)
            ]
        )

    def _cell(self, stride: int, sizes: Sequence[float], aspect_ratios: Sequence[float]) -> Tensor:
        """Return the anchors ``[A, 4]`` of the first cell of a level."""
        if self.rule == "legacy":
            return generate_cell_anchors(stride, sizes, aspect_ratios)
        anchors = generate_centered_anchors(sizes, aspect_ratios)
        return anchors.round() if self.rule == "torchvision" else anchors

    def num_anchors_per_location(self) -> list[int]:
        """Return the number of anchors per cell of each level."""
        return [len(cell) for cell in self.cell_anchors]

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Return the anchors ``[H * W * A, 4]`` of each level ``[N, C, H, W]``, ordered y, x, A."""
        if len(features) != len(self.strides):
            raise ValueError(
                f"MODEL.RPN: {len(self.strides)} ANCHOR_STRIDE for {len(features)} feature maps"
            )
        first = features[0].shape
        image_size = (first[-2] * self.strides[0], first[-1] * self.strides[0])
        return [
            self._grid(feature.shape[-2:], self._steps(feature, stride, image_size), cell)
            for feature, stride, cell in zip(features, self.strides, self.cell_anchors, strict=True)
        ]

    def _steps(self, feature: Tensor, stride: int, image_size: tuple[int, int]) -> tuple[int, int]:
        """Return the vertical and the horizontal distance between anchors in pixels."""
        if self.rule != "torchvision":
            return stride, stride
        # the size of the level that FPN adds is rounded up, so its steps may be below 64
        return image_size[0] // feature.shape[-2], image_size[1] // feature.shape[-1]

    @staticmethod
    def _grid(size: Sequence[int], steps: tuple[int, int], cell: Tensor) -> Tensor:
        ys, xs = (
            torch.arange(0, side * step, step, device=cell.device)
            for side, step in zip(size, steps, strict=True)
        )
        y, x = torch.meshgrid(ys, xs, indexing="ij")
        shifts = torch.stack([x, y, x, y], dim=-1).reshape(-1, 1, 4)
        return (shifts + cell).reshape(-1, 4)

    def visibility(self, anchors: Tensor, image_size: tuple[int, int]) -> Tensor:
        """Return which anchors ``[K, 4]`` are trained in an image, bool ``[K]``.

        Args:
            anchors: corners in pixels.
            image_size: ``(height, width)`` before padding.
        """
        if self.straddle_thresh < 0:
            return torch.ones(len(anchors), dtype=torch.bool, device=anchors.device)
        height, width = image_size
        low, limit = -self.straddle_thresh, self.straddle_thresh
        x1, y1, x2, y2 = anchors.unbind(dim=1)
        return (x1 >= low) & (y1 >= low) & (x2 < width + limit) & (y2 < height + limit)


def make_anchor_generator(cfg: CfgNode) -> AnchorGenerator:
    """Build the anchor generator of ``MODEL.RPN``."""
    options = cfg.MODEL.RPN
    return AnchorGenerator(
        options.ANCHOR_SIZES,
        options.ASPECT_RATIOS,
        options.ANCHOR_STRIDE,
        options.STRADDLE_THRESH,
        rule=options.ANCHOR_RULE,
    )
