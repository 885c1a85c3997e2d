"""How a model's images were prepared, and where its ResNet has its stride."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Pixels:
    """The preparation of an image.

    Attributes:
        bgr: order of the channels, BGR or RGB.
        mean: subtracted from the channels in that order, of 0 to 255.
        std: they are divided by it.
    """

    bgr: bool
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def settings(self) -> dict[str, Any]:
        """Return the section ``INPUT`` of the config; RGB has values of 0 to 1 there."""
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
    """Preparation of the images and stride of the ResNet; None: not known.

    Attributes:
        pixels: see there.
        stride_in_1x1: whether the stride is in the first 1x1 convolution of a block or in the 3x3.
    """

    pixels: Pixels | None
    stride_in_1x1: bool | None

    def contradicts(self, other: Style) -> bool:
        """Return whether both know something and differ in it."""
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
    "x101-32x8d": Style(Pixels(True, _BGR_MEAN, (57.375, 57.12, 58.395)), False),
}


def style_of_buffers(state: Mapping[str, Tensor]) -> Style:
    """Return the style that detectron2's ``pixel_mean`` and ``pixel_std`` tell, if they are there.

    The mean of blue is the smallest in every project; and only MSRA's ResNets, whose stride is in
    the 1x1 convolutions, do without std.
    """
    if not {"pixel_mean", "pixel_std"} <= state.keys():
        return UNKNOWN
    mean, std = (
        tuple(round(value, 4) for value in state[name].flatten().tolist())
        for name in ("pixel_mean", "pixel_std")
    )
    if len(mean) != 3 or len(std) != 3:
        return UNKNOWN
    return Style(Pixels(mean[0] < mean[2], mean, std), std == (1, 1, 1))


def choose_style(named: str | None, told: Style) -> tuple[Style, str]:
    """Return the style of a model, and in a word where it is from.

    Args:
        named: by the user, a key of ``STYLES``; None: none.
        told: what the file tells.

    Raises:
        ValueError: the name is unknown, contradicts the file, or is needed.
    """
    if named is not None and named not in STYLES:
        raise ValueError(f"style {named!r} is unknown; it is one of {', '.join(STYLES)}")
    if named is not None and STYLES[named].contradicts(told):
        raise ValueError(
            f"style {named!r} ({STYLES[named]}) contradicts the file, which has {told}"
        )
    name = next((name for name, style in STYLES.items() if style == told), "its own")
    if told.pixels is not None and told.stride_in_1x1 is not None:
        return told, f"style {name}, told by the file"
    if named is None:
        raise ValueError(
            f"the file does not tell how its images were prepared: give --style, one of "
            f"{', '.join(STYLES)} (`msrcnn convert --help` says what they are)"
        )
    return STYLES[named], f"style {named}, as given"
