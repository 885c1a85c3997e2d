"""Architectures of mobile networks as tables of inverted residual blocks.

A row is ``(kernel, expansion, channels, repeats, stride)`` as in MobileNetV2, table 2: ``repeats``
blocks, of which the first has the stride; a negative stride upsamples. A stage is a list of rows;
the body and the heads consist of stages.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

Row = tuple[int, float, int, int, int]
PARTS = ("backbone", "rpn", "bbox", "mask")


@dataclass(frozen=True)
class Block:
    """An inverted residual block (MobileNetV2, section 3.3).

    Attributes:
        name: ``xif<stage>_<number in the stage>``, the name of its module.
        kernel: side of the depthwise convolution.
        expansion: width of the depthwise convolution divided by that of the input.
        channels: width of the output.
        stride: of the depthwise convolution; if negative, the factor of an upsampling before it.
    """

    name: str
    kernel: int
    expansion: float
    channels: int
    stride: int

    def output_side(self, side: int) -> int:
        """Return the side of the output for the side of an input."""
        return -(-side // self.stride) if self.stride > 0 else side * -self.stride


@dataclass(frozen=True)
class Architecture:
    """The blocks of a body and its heads.

    Attributes:
        first: width and stride of the first convolution.
        stages: blocks of each stage.
        parts: numbers of the stages of ``backbone`` and, where defined, ``rpn``, ``bbox`` and
            ``mask``.
        last_channels: width of the last 1x1 convolution of a head; 0 for none.
    """

    first: tuple[int, int]
    stages: tuple[tuple[Block, ...], ...]
    parts: Mapping[str, tuple[int, ...]]
    last_channels: int = 0

    def blocks(self, part: str) -> list[Block]:
        """Return the blocks of a part."""
        return [block for stage in self.parts[part] for block in self.stages[stage]]

    def stride(self) -> int:
        """Return the stride in pixels of the body's feature map."""
        side = 2**20  # which every stride divides
        for block in self.blocks("backbone"):
            side = block.output_side(side)
        return self.first[1] * 2**20 // side


def make_stages(stages: Sequence[Sequence[Row]]) -> tuple[tuple[Block, ...], ...]:
    """Return the blocks of each stage."""
    made = []
    for number, rows in enumerate(stages):
        shapes = [
            (kernel, expansion, channels, stride if index == 0 else 1)
            for kernel, expansion, channels, repeats, stride in rows
            for index in range(repeats)
        ]
        made.append(tuple(Block(f"xif{number}_{i}", *shape) for i, shape in enumerate(shapes)))
    return tuple(made)


def _architecture(first: int, stages: Sequence[Sequence[Row]], **parts: int) -> Architecture:
    numbers: dict[str, tuple[int, ...]] = {"backbone": (0, 1, 2, 3)}
    numbers |= {part: (stage,) for part, stage in parts.items()}
    return Architecture((first, 2), make_stages(stages), numbers)


_MOBILENET_V2 = (
    [(3, 1, 16, 1, 1)],
    [(3, 6, 24, 2, 2)],
    [(3, 6, 32, 3, 2)],
    [(3, 6, 64, 4, 2), (3, 6, 96, 3, 1)],
)

ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType(
    {
        "default": _architecture(
            32,
            [
                *_MOBILENET_V2,
                [(3, 4, 160, 1, 2), (3, 6, 160, 2, 1), (3, 6, 240, 1, 1)],
                [(3, 6, 96, 3, 1)],
                [(3, 4, 160, 1, 1), (3, 6, 160, 3, 1), (3, 3, 80, 1, -2)],
            ],
            bbox=4,
            rpn=5,
            mask=6,
        ),
        "xirb16d_dsmask": _architecture(
            16,
            [
                [(3, 1, 16, 1, 1)],
                [(3, 6, 32, 2, 2)],
                [(3, 6, 48, 3, 2)],
                [(3, 6, 96, 4, 2), (3, 6, 128, 3, 1)],
                [(3, 4, 128, 1, 2), (3, 6, 128, 2, 1), (3, 6, 160, 1, 1)],
                [(3, 4, 128, 1, 2), (3, 6, 128, 2, 1), (3, 6, 128, 1, -2), (3, 3, 64, 1, -2)],
                [(3, 6, 128, 3, 1)],
            ],
            bbox=4,
            mask=5,
            rpn=6,
        ),
        # MobileNetV2, table 2; its last stage is the box head, at stride 1
        "mobilenet_v2": _architecture(
            32, [*_MOBILENET_V2, [(3, 6, 160, 3, 1), (3, 6, 320, 1, 1)]], bbox=4
        ),
        # FBNet-C (Wu et al., CVPR 2019, figure 4); its last stages are the box head
        "fbnet_c": _architecture(
            16,
            [
                [(3, 1, 16, 1, 1)],
                [(3, 6, 24, 1, 2), (3, 1, 24, 2, 1)],
                [(5, 6, 32, 1, 2), (5, 3, 32, 1, 1), (5, 6, 32, 1, 1), (3, 6, 32, 1, 1)],
                [
                    *[(5, 6, 64, 1, 2), (5, 3, 64, 1, 1), (5, 6, 64, 2, 1)],
                    *[(5, 6, 112, 3, 1), (5, 3, 112, 1, 1)],
                ],
                [(5, 6, 184, 4, 2), (3, 6, 352, 1, 1)],
            ],
            bbox=4,
        ),
        # ChamNet (Dai et al., CVPR 2019)
        "cham_v1a": _architecture(
            32,
            [
                [(3, 1, 24, 1, 1)],
                [(7, 4, 48, 2, 2)],
                [(3, 7, 64, 5, 2)],
                [(5, 12, 56, 7, 2), (3, 8, 88, 5, 1)],
                [(3, 7, 152, 4, 2), (3, 10, 104, 1, 1)],
                [(3, 8, 88, 3, 1)],
            ],
            bbox=4,
            rpn=5,
        ),
        "cham_v2": _architecture(
            32,
            [
                [(3, 1, 24, 1, 1)],
                [(5, 8, 32, 4, 2)],
                [(7, 5, 48, 6, 2)],
                [(5, 9, 56, 3, 2), (3, 6, 56, 6, 1)],
                [(3, 2, 160, 6, 2), (3, 6, 112, 1, 1)],
                [(3, 6, 56, 1, 1)],
            ],
            bbox=4,
            rpn=5,
        ),
    }
)
