"""Sigmas of the object keypoint similarity (OKS), COCO's IoU of keypoints."""

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pycocotools.cocoeval import Params


def oks_sigmas(given: Sequence[float], num_keypoints: int) -> NDArray[np.float64]:
    """Return the sigma of each keypoint, how far annotators differ relative to the object's size.

    Args:
        given: TEST.KEYPOINT_OKS_SIGMAS; empty: those of COCO for 17 keypoints, else their mean for
            each keypoint.
        num_keypoints: K.

    Raises:
        ValueError: there are other than K, or one is not positive.
    """
    of_coco: NDArray[np.float64] = Params(iouType="keypoints").kpt_oks_sigmas
    if not given and num_keypoints == len(of_coco):
        return of_coco
    if not given:
        logging.getLogger(__name__).warning(
            f"TEST.KEYPOINT_OKS_SIGMAS is empty: {of_coco.mean():.3f}, the mean of COCO's sigmas, "
            f"is used for each of the {num_keypoints} keypoints"
        )
        return np.full(num_keypoints, of_coco.mean())
    if len(given) != num_keypoints or min(given) <= 0:
        raise ValueError(
            f"TEST.KEYPOINT_OKS_SIGMAS is {tuple(given)}; it needs a positive number for each of "
            f"the {num_keypoints} keypoints"
        )
    return np.array(given, np.float64)
