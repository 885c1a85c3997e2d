"""Samplers and batch samplers."""

from maskrcnn_benchmark.data.samplers.distributed import DistributedSampler
from maskrcnn_benchmark.data.samplers.grouped_batch_sampler import GroupedBatchSampler
from maskrcnn_benchmark.data.samplers.iteration_based_batch_sampler import (
    IterationBasedBatchSampler,
)
from maskrcnn_benchmark.data.samplers.repeat_factor import repeat_factors

__all__ = [
    "DistributedSampler",
    "GroupedBatchSampler",
    "IterationBasedBatchSampler",
    "repeat_factors",
]
