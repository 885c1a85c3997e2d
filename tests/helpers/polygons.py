"""Conversion between the flat arrays of recorded vectors and lists of polygons."""

from collections.abc import Mapping

import numpy as np

from maskrcnn_benchmark.structures.segmentation_mask import SegmentationMask


def unflatten(arrays: Mapping[str, np.ndarray], prefix: str) -> list[list[list[float]]]:
    """Return polygons per instance from ``<prefix>_flat``, ``_lengths`` and ``_counts``."""
    ends = np.cumsum(arrays[f"{prefix}_lengths"])[:-1]
    polygons = [p.tolist() for p in np.split(arrays[f"{prefix}_flat"], ends)]
    bounds = np.cumsum(arrays[f"{prefix}_counts"])
    return [
        polygons[end - n : end] for n, end in zip(arrays[f"{prefix}_counts"], bounds, strict=True)
    ]


def flatten(masks: SegmentationMask) -> tuple[np.ndarray, list[int], list[int]]:
    """Return flat coordinates, lengths and counts of masks made of polygons."""
    polygons = [p for m in masks.instances for p in m.polygons]
    counts = [len(m.polygons) for m in masks.instances]
    return np.concatenate(polygons), [len(p) for p in polygons], counts
