"""Architectures in maskrcnn-benchmark's JSON, and the one that the config names.

``{"block_op_type": [["ir_k3", ...], ...], "block_cfg": {"first": [32, 2], "stages":
[[[t, c, n, s], ...], ...], "last": [0, 0.0], "backbone": [0, 1, 2, 3], "rpn": [5], "bbox": [4],
"mask": [6]}}``: for each stage one operation for each block, and one row for each ``n`` equal
blocks. ``ir_k<side>`` is the inverted residual block with a depthwise convolution of that side.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from yacs.config import CfgNode

from maskrcnn_benchmark.modeling.fbnet.architectures import (
    ARCHITECTURES,
    PARTS,
    Architecture,
    Block,
)

_OPERATION = re.compile(r"ir_k([1-9]\d*)")


def read_architecture(text: str) -> Architecture:
    """Return the architecture that a JSON text defines.

    Raises:
        ValueError: the text is no JSON, lacks an entry, or has an operation, a stage or a number
            that is not supported.
    """
    try:
        definition = json.loads(text)
        operations, options = definition["block_op_type"], definition["block_cfg"]
        first, rows = options["first"], options["stages"]
        parts = {part: tuple(options[part]) for part in PARTS if part in options}
        stages = tuple(
            _read_stage(number, kinds, of_stage)
            for number, (kinds, of_stage) in enumerate(zip(operations, rows, strict=True))
        )
        made = Architecture((first[0], first[1]), stages, parts, options.get("last", (0, 0.0))[0])
    except json.JSONDecodeError as error:
        raise ValueError(f"it is no JSON: {error}") from error
    except KeyError as error:
        raise ValueError(f"it lacks {error}") from error
    except (TypeError, IndexError) as error:
        raise ValueError(f"it has not the form of an architecture: {error}") from error
    for part, numbers in made.parts.items():
        unknown = [n for n in numbers if not (isinstance(n, int) and 0 <= n < len(stages))]
        if unknown or not numbers:
            raise ValueError(f"{part} is {list(numbers)}; the stages are 0 to {len(stages) - 1}")
    if "backbone" not in made.parts:
        raise ValueError("it lacks 'backbone', the stages of the body")
    return made


def _read_stage(number: int, operations: list[str], rows: list[list[Any]]) -> tuple[Block, ...]:
    """Return the blocks of one stage."""
    shapes = [
        (expansion, channels, stride if index == 0 else 1)
        for expansion, channels, repeats, stride in rows
        for index in range(repeats)
    ]
    if len(operations) != len(shapes):
        raise ValueError(
            f"stage {number} has {len(shapes)} blocks and {len(operations)} operations"
        )
    blocks = []
    for index, (operation, (expansion, channels, stride)) in enumerate(
        zip(operations, shapes, strict=True)
    ):
        kernel = _OPERATION.fullmatch(operation)
        if kernel is None or int(kernel[1]) % 2 == 0:
            raise ValueError(
                f"stage {number} has the operation {operation!r}; only ir_k3, ir_k5, ... are known"
            )
        if min(expansion, channels) <= 0 or stride == 0:
            raise ValueError(
                f"stage {number} has {[expansion, channels, stride]}, one of them <= 0"
            )
        blocks.append(Block(f"xif{number}_{index}", int(kernel[1]), expansion, channels, stride))
    return tuple(blocks)


def make_architecture(cfg: CfgNode) -> Architecture:
    """Return the architecture that ``MODEL.FBNET`` names or defines.

    Raises:
        ValueError: the name is unknown and has no definition, or the definition is malformed or
            contradicts the known name.
    """
    name, text = cfg.MODEL.FBNET.ARCH, cfg.MODEL.FBNET.ARCH_DEF
    known = ARCHITECTURES.get(name)
    if not text:
        if known is not None:
            return known
        raise ValueError(
            f"MODEL.FBNET.ARCH is {name!r}; it must be one of {', '.join(ARCHITECTURES)}, or "
            "MODEL.FBNET.ARCH_DEF must define it"
        )
    try:
        defined = read_architecture(text)
    except ValueError as error:
        raise ValueError(f"MODEL.FBNET.ARCH_DEF: {error}") from error
    if known is not None and known != defined:
        raise ValueError(
            f"MODEL.FBNET.ARCH_DEF differs from the known architecture {name!r}: set "
            "MODEL.FBNET.ARCH to another name"
        )
    return defined


def check_architecture(cfg: CfgNode) -> Iterator[str]:
    """Yield the problem of ``MODEL.FBNET.ARCH`` and ``ARCH_DEF``, if any."""
    try:
        make_architecture(cfg)
    except ValueError as error:
        yield str(error)
