"""Styles of models: image preparation, and position of the stride in the ResNet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Pixels:
    """Image normalization.

    Attributes:
        bgr: whether the channel order is BGR instead of RGB.
        mean: mean of each channel in that order, for pixels in [0, 255].
        std: standard deviation of each channel.
    """

    bgr: bool
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def settings(self) -> dict[str, Any]:
        """Return the config section ``INPUT``, where RGB values are in [0, 1]."""
        scale = 1 if self.bgr else 255
        return {
            "PIXEL_MEAN": [round(value / scale, 9) for value in self.mean],
            "PIXEL_STD": [round(value / scale, 9) for value in self.std],
            "TO_BGR255": self.bgr,
        }

    def __str__(self) -> str:
        mean, std = (", ".join(f"{v:g}" for v in values) for values in (self.mean, self.std))
        return f"{'BGR' if self.bgr else 'RGB'} of 0 to 255, mean {mean}, std {std}"


@dataclass(frozen=True)
class Style:
    """Image normalization and position of the stride in the ResNet; None if unknown.

    Attributes:
        pixels: image normalization.
        stride_in_1x1: whether the stride is in the first 1x1 convolution of a block instead of the
            3x3 convolution.
    """

    pixels: Pixels | None
    stride_in_1x1: bool | None

    def contradicts(self, other: Style) -> bool:
        """Return whether an attribute is known in both styles and differs."""
        pairs = ((self.pixels, other.pixels), (self.stride_in_1x1, other.stride_in_1x1))
        return any(None not in pair and pair[0] != pair[1] for pair in pairs)

    def __str__(self) -> str:
        stride = {True: "stride in the 1x1 convolutions", False: "stride in the 3x3 convolutions"}
        known = (self.pixels, stride.get(self.stride_in_1x1))  # type: ignore[arg-type]
        return ", ".join(str(part) for part in known if part is not None)


UNKNOWN = Style(None, None)
_BGR_MEAN = (103.53, 116.28, 123.675)
STYLES = {
    "pytorch": Style(Pixels(False, (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)), False),
    "caffe": Style(Pixels(True, _BGR_MEAN, (1.0, 1.0, 1.0)), True),
    "gn": Style(Pixels(True, _BGR_MEAN, (1.0, 1.0, 1.0)), False),
    "x101-32x8d": Style(Pixels(True, _BGR_MEAN, (57.375, 57.12, 58.395)), False),
}


def style_of_buffers(state: Mapping[str, Tensor]) -> Style:
    """Derive the style from the buffers ``pixel_mean`` and ``pixel_std`` of detectron2, if present.

    Blue has the smallest mean in every project, and only the ResNets of MSRA, with their stride in
    the 1x1 convolutions, have std 1, besides those with group norms, whose stride is not derived.
    """
    if not {"pixel_mean", "pixel_std"} <= state.keys():
        return UNKNOWN
    mean, std = (
        tuple(round(value, 4) for value in state[name].flatten().tolist())
        for name in ("pixel_mean", "pixel_std")
    )
    if len(mean) != 3 or len(std) != 3:
        return UNKNOWN
    has_batch_norms = any(name.endswith("running_var") for name in state)
    stride = std == (1, 1, 1) if has_batch_norms else None
    return Style(Pixels(mean[0] < mean[2], mean, std), stride)


def choose_style(named: str | None, told: Style) -> tuple[Style, str]:
    """Return the style of a model and a description of its origin.

    Args:
        named: key of ``STYLES`` given by the user, or None.
        told: the style read from the file.

    Raises:
        ValueError: the name is unknown, contradicts the file, or is missing but required.
    """
    if named is not None and named not in STYLES:
        raise ValueError(f"style {named!r} is unknown; it must be one of {', '.join(STYLES)}")
    if named is not None and STYLES[named].contradicts(told):
        raise ValueError(
            f"style {named!r} ({STYLES[named]}) contradicts the file, which has {told}"
        )
    name = next((name for name, style in STYLES.items() if style == told), "custom")
    if told.pixels is not None and told.stride_in_1x1 is not None:
        return told, f"style {name}, read from the file"
    if named is None:
        raise ValueError(
            f"the file does not state how its images were normalized: pass --style, one of "
            f"{', '.join(STYLES)} (`msrcnn convert --help` explains them)"
        )
    return STYLES[named], f"style {named}, as given"
