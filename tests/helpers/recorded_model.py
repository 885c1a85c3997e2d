"""Whole models with the weights and images of the recorded runs."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from yacs.config import CfgNode

from maskrcnn_benchmark.config import cfg as defaults
from maskrcnn_benchmark.modeling.detector import build_detection_model
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.image_list import ImageList, to_image_list
from maskrcnn_benchmark.structures.keypoints import PersonKeypoints
from maskrcnn_benchmark.structures.segmentation_mask import SegmentationMask
from tests.helpers.first_n_sampler import FirstNSampler
from tests.helpers.polygons import unflatten

ROOT = Path(__file__).parents[2]
PIXEL_MEAN = (102.9801, 115.9465, 122.7717)


def load_config(name: str, overrides: Sequence[Any] = ()) -> CfgNode:
    cfg = defaults.clone()
    cfg.merge_from_file(str(ROOT / "configs" / name))
    cfg.merge_from_list(["MODEL.DEVICE", "cpu", *overrides])
    return cfg


def _value(
    key: str, state: Mapping[str, Tensor], seed: int, rule: Mapping[str, Any]
) -> Tensor | None:
    """Return the recorded value of one entry, or None."""
    tensor = state[key]
    parent, _, leaf = key.rpartition(".")
    if f"{parent}.num_batches_tracked" in state and leaf.startswith(("running_", "num_")):
        if leaf == "num_batches_tracked":
            return torch.zeros_like(tensor)
        draw = _draw(seed, tensor)
        return torch.from_numpy(draw * 0.05 if leaf == "running_mean" else np.exp(draw * 0.1))
    if f"{parent}.running_mean" in state and f"{parent}.num_batches_tracked" not in state:
        ones = leaf in ("weight", "running_var")
        return torch.ones_like(tensor) if ones else torch.zeros_like(tensor)
    if "cell_anchors" in key:
        return None
    mean = 0.0
    if tensor.ndim < 2 and leaf == "weight" and "one_dim_weight" in rule:
        mean, std = 1.0, 0.1
    elif tensor.ndim < 2:
        std = 0.05
        if key == "rpn.head.cls_logits.bias" and "retina_bias" in rule:
            mean = -math.log(99)
    else:
        fan_in = math.prod(tensor.shape[1:])
        for suffix, factor in (("conv5_mask.weight", 1), ("kps_score_lowres.weight", 4)):
            fan_in = factor * tensor.shape[0] if key.endswith(suffix) else fan_in
        gain = next((g for suffix, g in rule["gains"] if key.endswith(suffix)), math.sqrt(2))
        std = gain / math.sqrt(fan_in)
    return torch.from_numpy((mean + _draw(seed, tensor) * std).astype(np.float32))


def _draw(seed: int, tensor: Tensor) -> np.ndarray:
    return np.random.RandomState(seed).standard_normal(tuple(tensor.shape))  # noqa: NPY002


def set_recorded_weights(model: nn.Module, base_seed: int, rule: Mapping[str, Any]) -> None:
    state = model.state_dict()
    for number, key in enumerate(sorted(state)):
        value = _value(key, state, base_seed + number, rule)
        if value is not None:
            state[key].copy_(value)


def recorded_model(arguments: Mapping[str, Any]) -> nn.Module:
    cfg = load_config(arguments["config"], arguments["overrides"])
    model = build_detection_model(cfg)
    set_recorded_weights(model, arguments["base_seed"], arguments["weight_rule"])
    state = model.state_dict()
    for key, (total, first, last) in arguments.get("weight_check_sum_first_last", {}).items():
        flat = state[key].double().flatten()
        assert abs(flat.sum() - total) <= 1e-3 + 1e-5 * abs(total), key
        assert abs(flat[0] - first) < 1e-6 and abs(flat[-1] - last) < 1e-6, key
    return model


def recorded_image(arrays: Mapping[str, np.ndarray], number: int) -> Tensor:
    bgr = arrays[f"image_{number}"][:, :, ::-1].astype(np.float32) / 255 * 255
    pixels = torch.from_numpy(bgr.copy()).permute(2, 0, 1)
    return pixels - torch.tensor(PIXEL_MEAN)[:, None, None]


def recorded_images(
    arrays: Mapping[str, np.ndarray], numbers: Sequence[int], size_divisible: int = 32
) -> ImageList:
    return to_image_list([recorded_image(arrays, n) for n in numbers], size_divisible)


def use_recorded_samplers(model: nn.Module, arguments: Mapping[str, Any]) -> None:
    model.rpn.sampler = FirstNSampler(arguments["rpn_batch"], 0.5)
    model.roi_heads.sampler.sampler = FirstNSampler(arguments["roi_batch"], 0.25)


def recorded_target(arrays: Mapping[str, np.ndarray], number: int) -> BoxList:
    height, width = arrays[f"image_{number}"].shape[:2]
    target = BoxList(torch.from_numpy(arrays[f"gt_boxes_{number}"]), (width, height))
    target.add_field("labels", torch.from_numpy(arrays[f"gt_labels_{number}"]))
    if f"poly{number}_lengths" in arrays:
        polygons = unflatten(arrays, f"poly{number}")
        target.add_field("masks", SegmentationMask(polygons, (width, height)))
    if f"gt_keypoints_{number}" in arrays:
        keypoints = torch.from_numpy(arrays[f"gt_keypoints_{number}"])
        target.add_field("keypoints", PersonKeypoints(keypoints, (width, height)))
    return target
