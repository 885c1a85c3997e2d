"""The operator calls of a model: the convolutions and products to time alone, and counts."""

import statistics
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

aten = torch.ops.aten
PRODUCTS = (aten.convolution, aten.addmm, aten.mm, aten.bmm, aten.linear)
# Operators whose result depends on values: on a GPU the host waits for them.
HOST_READS = (
    *(aten._local_scalar_dense, aten.nonzero, aten.masked_select, aten.equal, aten._unique2),
    *(aten.unique_dim, aten.unique_consecutive),
)
HOST_METHODS = (Tensor.tolist, Tensor.numpy, Tensor.cpu)


class Call(NamedTuple):
    """A call of an operator; tensors are replaced by their shapes, as tuples in a ``Shape``."""

    operator: Any
    arguments: tuple[Any, ...]


class Shape(NamedTuple):
    """The shape of a tensor argument."""

    sizes: tuple[int, ...]


class Recorder(TorchDispatchMode):
    """Record the convolutions and matrix products of a ``with`` block."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[Call] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call the operator."""
        if func.overloadpacket in PRODUCTS:
            shapes = tree_map(lambda x: Shape(tuple(x.shape)) if isinstance(x, Tensor) else x, args)
            frozen = tuple(tuple(x) if isinstance(x, list) else x for x in shapes)
            self.calls[Call(func, frozen)] += 1
        return func(*args, **(kwargs or {}))


def _fill(argument: Any, dtype: torch.dtype, channels_last: bool) -> Any:
    if not isinstance(argument, Shape):
        return argument
    tensor = torch.randn(argument.sizes, dtype=torch.float32).to(dtype)
    if channels_last and tensor.ndim == 4:
        return tensor.to(memory_format=torch.channels_last)
    return tensor


@torch.no_grad()
def time_calls(
    calls: Counter[Call], dtype: torch.dtype, *, channels_last: bool, rounds: int
) -> tuple[float, float]:
    """Return the wall-clock and processor seconds of all calls, alone: medians of the rounds."""
    total = [0.0, 0.0]
    for call, count in calls.items():
        inputs = [_fill(x, dtype, channels_last) for x in call.arguments]
        call.operator(*inputs)
        times: tuple[list[float], list[float]] = [], []
        for _ in range(rounds):
            wall, cpu = time.perf_counter(), time.process_time()
            call.operator(*inputs)
            times[0].append(time.perf_counter() - wall)
            times[1].append(time.process_time() - cpu)
        for index in range(2):
            total[index] += count * statistics.median(times[index])
    return round(total[0], 4), round(total[1], 4)


class _Kernels(TorchDispatchMode):
    """Count the operators that compute, and those that the host waits for."""

    def __init__(self) -> None:
        super().__init__()
        self.kernels = self.reads = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call the operator."""
        aliases = [r.alias_info for r in func._schema.returns]
        view = any(a is not None and not a.is_write for a in aliases)
        self.kernels += not view
        masked = func.overloadpacket in (aten.index, aten.index_put, aten.index_put_) and any(
            isinstance(x, Tensor) and x.dtype == torch.bool for x in tree_leaves(args[1])
        )
        self.reads += masked or func.overloadpacket in HOST_READS
        return func(*args, **(kwargs or {}))


class _Methods(TorchFunctionMode):
    """Count the methods that copy values to the host."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call the function."""
        self.reads += func in HOST_METHODS
        return func(*args, **(kwargs or {}))


def count_kernels(task: Callable[[], Any]) -> tuple[int, int]:
    """Return the numbers of operators without views, and of reads of values by the host."""
    with _Methods() as methods, _Kernels() as kernels:
        task()
    return kernels.kernels, kernels.reads + methods.reads
