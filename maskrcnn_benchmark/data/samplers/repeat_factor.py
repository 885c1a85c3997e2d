"""Repeat-factor sampling (Gupta et al., LVIS, CVPR 2019, arXiv 1908.03195, section 4)."""

from collections import Counter
from collections.abc import Collection, Sequence
from math import sqrt

import torch
from torch import Tensor


def repeat_factors(labels: Sequence[Collection[int]], threshold: float) -> Tensor:
    """Return how often each image is seen in an epoch, float64 ``[N]``, at least 1.

    The factor of a class is ``max(1, sqrt(threshold / f))``, where ``f`` is the share of the images
    that have the class; that of an image is the largest of its classes.

    Args:
        labels: classes of each image.
        threshold: share of images below which a class is repeated.
    """
    images_with = Counter(label for of_image in labels for label in set(of_image))
    factor = {
        label: max(1.0, sqrt(threshold * len(labels) / count))
        for label, count in images_with.items()
    }
    found = [max((factor[label] for label in of_image), default=1.0) for of_image in labels]
    return torch.tensor(found, dtype=torch.float64)
