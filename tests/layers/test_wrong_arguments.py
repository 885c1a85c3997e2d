"""A wrong argument raises an error that names the operator, the argument and its value.

The tables are by the name of an argument: a new operator needs rows for its own names only.
"""

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from maskrcnn_benchmark import layers
from tests.layers.conftest import needs_extension
from tests.layers.test_ops import CALLS, operator

# what is done to a right tensor to make it wrong, and what the error says of it
WRONG: dict[str, tuple[Callable[[torch.Tensor], Any], Callable[[torch.Tensor], str]]] = {
    "rank": (lambda t: t[None], lambda t: f"got {list(t[None].shape)}"),
    "columns": (lambda t: t[:, :-1], lambda t: f"got {list(t[:, :-1].shape)}"),
    "rows": (lambda t: t[:-1], lambda t: f"got {list(t[:-1].shape)}"),
    "no cells": (lambda t: t[..., :0], lambda t: f"got {list(t[..., :0].shape)}"),
    "integers": (lambda t: t.long(), lambda t: "of a floating type, got "),
    "complex": (lambda t: t.to(torch.complex64), lambda t: "of a floating type, got "),
    "fractions": (lambda t: t.float(), lambda t: "of an integer type, got "),
    "not int64": (lambda t: t.float(), lambda t: "int64, got "),
    "not int64 or int32": (lambda t: t.float(), lambda t: "of the type int64 or int32, got "),
}
TENSORS = {
    "boxes": ("rank", "columns", "integers", "complex"),
    "gt_boxes": ("rank", "columns"),
    "scores": ("rank", "rows"),
    "groups": ("rank", "rows", "fractions"),
    "input": ("rank", "no cells", "integers", "complex"),
    "rois": ("rank", "columns", "integers"),
    "grad": ("rank", "rows", "integers"),
    "argmax": ("rank", "rows", "fractions"),
    "features": ("rank", "no cells", "integers"),
    "levels": ("rank", "rows", "not int64"),
    "masks": ("rank", "no cells", "integers"),
    "coordinates": ("rank",),
    "polygon_starts": ("rank", "not int64 or int32"),
    "instance_starts": ("rank", "not int64 or int32"),
    "matched": ("rank", "rows"),
}
# values that are wrong, and how the error calls the argument
NUMBERS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "pooled_height": ("output_size", (0, -1)),
    "pooled_width": ("output_size", (0, -1)),
    "images": ("images", (-1,)),
    "height": ("height", (0, -1)),
    "width": ("width", (0, -1)),
    "heights": ("height", (0, -1)),
    "widths": ("width", (0, -1)),
    "max_keep": ("max_keep", (-1,)),
    "padding": ("padding", (-1,)),
    "side": ("side", (0, -1)),
}
# those for which any value of the right type means something
ANY_NUMBER = {
    *("threshold", "pixel_offset", "gaussian", "parameter", "min_score"),
    *("spatial_scale", "spatial_scales", "sampling_ratio", "aligned", "channels_last"),
}


def schema_arguments(name: str) -> dict[str, str]:
    """Return the argument types of an operator by name."""
    schema = operator(name).default._schema
    return {argument.name: str(argument.type) for argument in schema.arguments}


def wrong_calls() -> Iterator[tuple[str, str, Any, str]]:
    for name in CALLS:
        for argument in schema_arguments(name):
            for kind in TENSORS.get(argument, ()):
                yield name, argument, kind, ""
            called, values = NUMBERS.get(argument, ("", ()))
            for value in values:
                yield name, argument, value, called


def calls_of_operators() -> list[tuple[str, str, Any, str]]:
    return list(wrong_calls()) if layers.has_extension() else []


@needs_extension
def test_every_argument_of_every_operator_is_in_the_tables() -> None:
    for name in layers._ops._FAKES:
        assert name in CALLS
        for argument, kind in schema_arguments(name).items():
            assert argument in (TENSORS if "Tensor" in kind else {*NUMBERS, *ANY_NUMBER}), name


@needs_extension
@pytest.mark.parametrize(("name", "argument", "wrong", "called"), calls_of_operators())
def test_an_operator_called_directly(name: str, argument: str, wrong: Any, called: str) -> None:
    arguments = list(CALLS[name]())
    position = list(schema_arguments(name)).index(argument)
    given = arguments[position]
    value = given[0] if isinstance(given, list) else given
    if called:
        bad, said = wrong, str(wrong)
    else:
        change, say = WRONG[wrong]
        bad, said = change(value), say(value)
    arguments[position] = [bad] * len(given) if isinstance(given, list) else bad
    shown = called or {"features": "(input|features|feature maps)"}.get(argument, argument)
    pattern = rf"^{name.split()[0]}: expected .*{shown}.*{re.escape(said)}"
    with pytest.raises(RuntimeError, match=pattern):
        operator(name)(*arguments)


def boxes() -> torch.Tensor:
    return torch.tensor([[0.0, 0.0, 9.0, 9.0], [1.0, 1.0, 9.0, 9.0], [30.0, 0.0, 39.0, 9.0]])


FUNCTIONS: dict[str, dict[str, Any]] = {
    "nms": {"boxes": boxes(), "scores": torch.rand(3), "threshold": 0.5},
    "batched_nms": {
        **{"boxes": boxes(), "scores": torch.rand(3), "groups": torch.arange(3)},
        "threshold": 0.5,
    },
    "batched_nms_mask": {
        **{"boxes": boxes(), "scores": torch.rand(3), "groups": torch.arange(3)},
        "threshold": 0.5,
    },
    "sorted_nms_mask": {"boxes": boxes(), "groups": torch.arange(3), "threshold": 0.5},
    "soft_nms": {"boxes": boxes(), "scores": torch.rand(3), "rule": layers.SoftNMS()},
    "batched_soft_nms": {
        **{"boxes": boxes(), "scores": torch.rand(3), "groups": torch.arange(3)},
        "rule": layers.SoftNMS(),
    },
    "roi_align": {
        **{"input": torch.rand(2, 3, 8, 9), "rois": torch.rand(4, 5), "output_size": 7},
        **{"spatial_scale": 0.25, "sampling_ratio": 2},
    },
    "multilevel_roi_align": {
        **{"features": [torch.rand(2, 3, 8, 9), torch.rand(2, 3, 4, 5)], "rois": torch.rand(4, 5)},
        **{"levels": torch.tensor([0, 1, 0, 1]), "output_size": 7, "spatial_scales": [0.5, 0.25]},
        "sampling_ratio": 2,
    },
    "roi_pool": {
        **{"input": torch.rand(2, 3, 8, 9), "rois": torch.rand(4, 5), "output_size": 7},
        "spatial_scale": 0.25,
    },
    "paste_masks": {
        **{"masks": torch.rand(3, 7, 7), "boxes": boxes(), "image_size": (40, 10)},
        "rule": layers.PasteRule(),
    },
    "masks_to_rle": {
        **{"masks": torch.rand(3, 7, 7), "boxes": boxes(), "image_size": (40, 10)},
        "rule": layers.PasteRule(),
    },
    "mask_targets": {
        "polygons": layers.PolygonSet.gather([[np.float32([2, 3, 20, 5, 9, 30])]]),
        **{"boxes": boxes(), "matched": torch.zeros(3, dtype=torch.int64)},
        **{"side": 14, "image_size": (40, 10)},
    },
}
# beyond what the operators themselves refuse
OF_FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "scores": ("integers",),
    "matched": ("fractions",),
    "output_size": (0, -1, (2,), (2, 0), (2, 3, 4), 2.5, None),
    "spatial_scale": (0.0, -0.25, float("nan"), float("inf")),
}


def wrong_calls_of_functions() -> Iterator[tuple[str, str, Any]]:
    for name, arguments in FUNCTIONS.items():
        for argument, value in arguments.items():
            wrong_tensors = TENSORS.get(argument, ()) if isinstance(value, torch.Tensor) else ()
            for wrong in (*wrong_tensors, *OF_FUNCTIONS.get(argument, ())):
                yield name, argument, wrong
            if isinstance(value, torch.Tensor):
                yield name, argument, "not a tensor"
                is_first = argument == next(n for n, v in arguments.items() if torch.is_tensor(v))
                if not is_first:  # the others are on the device of the first
                    yield name, argument, "on another device"


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize(("name", "argument", "wrong"), list(wrong_calls_of_functions()))
def test_a_function(name: str, argument: str, wrong: Any) -> None:
    arguments = dict(FUNCTIONS[name])
    value = arguments[argument]
    if not isinstance(value, torch.Tensor):
        arguments[argument], said = wrong, f"got {wrong!r}"
    elif wrong == "not a tensor":
        arguments[argument], said = value.tolist(), "as a tensor, got list"
    elif wrong == "on another device":
        arguments[argument], said = value.to("meta"), "on cpu, got meta"
    else:
        change, say = WRONG[wrong]
        arguments[argument], said = change(value), say(value)
    operator = re.sub("^(batched|sorted|multilevel)_|_mask$", "", name)
    with pytest.raises(ValueError, match=rf"^{operator}: expected {argument}.*{re.escape(said)}"):
        getattr(layers, name)(**arguments)


def test_every_function_is_in_the_table() -> None:
    takes_tensors = {
        name
        for name in layers.__all__
        if inspect.isfunction(function := getattr(layers, name))
        and function.__module__.rpartition(".")[2] in {*layers._ops._FAKES, "nms"}
    }
    assert takes_tensors == FUNCTIONS.keys()


@pytest.mark.parametrize("name", ["roi_align", "roi_pool"])
@pytest.mark.parametrize("image", [-1.0, 2.0, float("nan")])
def test_image_that_is_not_in_the_batch(backend: str, name: str, image: float) -> None:
    """Raises an error, or gives NaN where checking the values would synchronize the device."""
    arguments = {**FUNCTIONS[name], "rois": torch.zeros(3, 5)}
    arguments["rois"][1, 0] = image
    arguments["input"] = arguments["input"].clone().requires_grad_()
    function = getattr(layers, name)
    if "cuda" in backend:
        output = function(**arguments)
        assert output[1].isnan().all()
        assert output[[0, 2]].isfinite().all()
        output[1].sum().backward()
        assert arguments["input"].grad.equal(torch.zeros_like(arguments["input"]))
        return
    with pytest.raises(RuntimeError, match=rf"{name}: expected rois\[:, 0\] in \[0, 2\).*row 1"):
        function(**arguments)
