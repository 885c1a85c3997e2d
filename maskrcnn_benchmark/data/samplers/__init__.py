"""Samplers and batch samplers."""

from maskrcnn_benchmark.data.samplers.distributed import DistributedSampler
from maskrcnn_benchmark.data.samplers.grouped_batch_sampler import GroupedBatchSampler
from maskrcnn_benchmark.data.samplers.iteration_based_batch_sampler import (
    IterationBasedBatchSampler,
)

__all__ = ["DistributedSampler", "GroupedBatchSampler", "IterationBasedBatchSampler"]
