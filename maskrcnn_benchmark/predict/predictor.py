"""Prediction on images: from a checkpoint to boxes, masks and scores in three lines.

``predictor = Predictor.from_checkpoint("output/demo/model_final.pth")``
``prediction = predictor("photo.jpg").select("mask_score", 0.5)``
``draw("photo.jpg", prediction).save("photo_with_masks.png")``
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from PIL import Image
from torch import nn
from yacs.config import CfgNode

from maskrcnn_benchmark.checkpoint.convert.published import local_weights
from maskrcnn_benchmark.checkpoint.loading import load_state_dict
from maskrcnn_benchmark.checkpoint.readers import model_tensors, read_weights
from maskrcnn_benchmark.config import check_config, make_default_config
from maskrcnn_benchmark.data.datasets.images import ImageSource, as_rgb
from maskrcnn_benchmark.data.transforms import build_transforms
from maskrcnn_benchmark.data.transforms.transforms import Transform
from maskrcnn_benchmark.evaluation.mode import evaluating
from maskrcnn_benchmark.modeling.detector import (
    build_detection_model,
    check_model,
    derive_settings,
    make_augmented,
)
from maskrcnn_benchmark.predict.names import complete_classes, make_model_keypoints
from maskrcnn_benchmark.predict.prediction import Prediction
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.class_names import BACKGROUND, Classes, make_num_classes
from maskrcnn_benchmark.structures.image_views import padded_shapes, to_batch
from maskrcnn_benchmark.structures.keypoints import NO_KEYPOINTS, KeypointSet
from maskrcnn_benchmark.structures.mask_paste import Masker, make_masker
from maskrcnn_benchmark.visualization import draw_instances


class Predictor:
    """A model together with its image preprocessing.

    Args:
        model: a detector; its mode is restored after each call.
        transforms: map an RGB PIL image to the model's normalized tensor ``[3, H, W]``, or to
            the ``ImageViews`` of a model with test-time augmentation.
        classes: names and category ids of the labels.
        keypoint_set: names and limbs of the keypoints.
        size_divisible: height and width of a batch are padded to multiples of it.
        masker: pastes the masks; None: the original's rule, threshold 0.5.
        device: device to run on; None: a GPU if available.

    Raises:
        ValueError: ``device`` is a GPU and none is available.
    """

    def __init__(
        self,
        model: nn.Module,
        transforms: Transform,
        *,
        classes: Classes,
        keypoint_set: KeypointSet = NO_KEYPOINTS,
        size_divisible: int = 0,
        masker: Masker | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        if device is None:
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = torch.device(device)
        if self.device.type == "cuda" and not torch.cuda.is_available():
            raise ValueError(f"the device is {device}, but no GPU is available: use cpu")
        self.model = model.to(self.device)
        self.transforms = transforms
        self.classes = classes
        self.keypoint_set = keypoint_set
        self.size_divisible = size_divisible
        self.masker = Masker() if masker is None else masker

    @classmethod
    def from_cfg(
        cls,
        cfg: CfgNode,
        model: nn.Module,
        *,
        classes: Classes | None = None,
        keypoint_set: KeypointSet | None = None,
        device: torch.device | str | None = None,
    ) -> Predictor:
        """Wrap an existing model.

        Args:
            cfg: config of the model; MODEL.DEVICE is ignored.
            model: result of ``build_detection_model(cfg, paste_masks=False)``, with weights loaded.
            classes: names and category ids of the labels; trailing ones may be missing; None:
                COCO's if their number matches, else "class 1", "class 2" and so on.
            keypoint_set: names and limbs of the keypoints; None: those of COCO's person if their
                number matches, else "keypoint 1" and so on without limbs.
            device: see the class.

        Raises:
            ValueError: there are more class names than classes in the model, or the model is an RPN
                only.
        """
        num_classes = make_num_classes(cfg)
        if num_classes is None:
            raise ValueError("MODEL.RPN_ONLY: the model is an RPN only, it detects no objects")
        return cls(
            make_augmented(cfg, model),
            build_transforms(cfg, is_train=False),
            classes=complete_classes(classes, num_classes.number),
            keypoint_set=make_model_keypoints(cfg, keypoint_set),
            size_divisible=cfg.DATALOADER.SIZE_DIVISIBILITY,
            masker=make_masker(cfg),
            device=device,
        )

    @classmethod
    def from_checkpoint(
        cls,
        path: str | Path,
        *,
        config_file: str | Path | None = None,
        opts: Sequence[Any] = (),
        class_names: Sequence[str] | None = None,
        device: torch.device | str | None = None,
    ) -> Predictor:
        """Build the model described by a checkpoint and load its weights.

        Args:
            path: a file, a URL or a ``catalog://`` name (downloaded to MODEL.PRETRAINED_MODELS and
                converted). Checkpoints of this project and converted models contain
                their config and class names; other weights (the original's ``.pth``, Detectron's
                ``.pkl``, ...) need ``config_file``.
            config_file: a YAML to use instead of the checkpoint's config.
            opts: ``[key, value, ...]`` overrides of either, such as INPUT.MIN_SIZE_TEST 400.
            class_names: names to use instead of the checkpoint's, without the background.
            device: see the class.

        Raises:
            OSError: a file does not exist or could not be downloaded.
            ValueError: a file cannot be read, there is no config, or the weights do not cover the
                whole model.
        """
        path = _make_local(path, config_file, opts)
        content = read_weights(path)
        config = _make_config(content.get("config"), config_file, opts, weights=path)
        model = build_detection_model(config, paste_masks=False)
        load_state_dict(model, model_tensors(content)).require_complete(path)
        classes = None
        if class_names is not None:
            classes = Classes([BACKGROUND, *class_names], [])
        elif "class_names" in content:
            classes = Classes(content["class_names"], content.get("category_ids", []))
        stored = None
        if "keypoint_names" in content:
            stored = KeypointSet(content["keypoint_names"], content["skeleton"])
        return cls.from_cfg(config, model, classes=classes, keypoint_set=stored, device=device)

    @overload  # a str is also a Sequence[str]; it is taken as a path
    def __call__(  # type: ignore[overload-overlap]
        self, images: ImageSource, *, batch_size: int = 1
    ) -> Prediction: ...

    @overload
    def __call__(
        self, images: Sequence[ImageSource], *, batch_size: int = 1
    ) -> list[Prediction]: ...

    def __call__(
        self, images: ImageSource | Sequence[ImageSource], *, batch_size: int = 1
    ) -> Prediction | list[Prediction]:
        """Predict on an image, or on a list of images of any sizes.

        Args:
            images: paths, PIL images or RGB arrays, see ``as_rgb``.
            batch_size: number of images to read at a time. Those of the same padded shape are
                computed together; each image is padded as it would be alone, since different
                padding would change the results.

        Returns:
            A prediction for an image, a list of them for a list.

        Raises:
            FileNotFoundError: an image does not exist.
            ValueError: an image cannot be read, or ``batch_size`` is below 1.
        """
        if isinstance(images, str | Path | Image.Image | np.ndarray):
            return next(self.stream([images]))
        return list(self.stream(images, batch_size=batch_size))

    def stream(self, images: Iterable[ImageSource], *, batch_size: int = 1) -> Iterator[Prediction]:
        """Yield the prediction of each image in turn, with at most ``batch_size`` images in memory.

        Arguments and errors are those of ``__call__``.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; it must be at least 1")
        remaining = iter(images)
        while batch := [as_rgb(source) for source in islice(remaining, batch_size)]:
            for boxes in self.detections(batch):
                yield Prediction(boxes, self.classes.class_names, self.masker, self.keypoint_set)

    def detections(self, images: Sequence[Image.Image]) -> list[BoxList]:
        """Return the model's detections on RGB images; images of one padded shape form a batch.

        Returns:
            Boxes on the CPU in pixels of each original image, with the model's fields.
        """
        prepared = [self.transforms(image)[0] for image in images]
        batches: dict[Hashable, list[int]] = defaultdict(list)
        for index, tensor in enumerate(prepared):
            batches[padded_shapes(tensor, self.size_divisible)].append(index)
        found: dict[int, BoxList] = {}
        with evaluating(self.model):
            for batch in batches.values():
                padded = to_batch([prepared[i] for i in batch], self.size_divisible)
                found.update(zip(batch, self.model(padded.to(self.device)), strict=True))
        return [found[index].to("cpu").resize(image.size) for index, image in enumerate(images)]


def draw(image: ImageSource, prediction: Prediction, **options: Any) -> Image.Image:
    """Draw a prediction on its image.

    Args:
        image: the image that was predicted on.
        prediction: all of its detections are drawn; see ``Prediction.select``.
        options: keyword arguments of ``draw_instances``.
    """
    picture = draw_instances(np.asarray(as_rgb(image)), prediction, **options)
    return Image.fromarray(picture)


def _make_local(weights: str | Path, config_file: str | Path | None, opts: Sequence[Any]) -> Path:
    """Return the weights as a local file, downloaded if necessary to the configured folder."""
    cfg = make_default_config()
    if config_file is not None:
        cfg.merge_from_file(config_file)
    cfg.merge_from_list(opts)
    return local_weights(str(weights), cfg.MODEL.PRETRAINED_MODELS, cfg.PATHS_CATALOG)


def _make_config(
    stored: str | None, config_file: str | Path | None, opts: Sequence[Any], *, weights: str | Path
) -> CfgNode:
    """Return the config of the model: the given file, else the one stored with the weights."""
    cfg = make_default_config()
    if config_file is not None:
        cfg.merge_from_file(config_file)
    elif stored is not None:
        cfg.merge_from_text(stored, source=f"the config in {weights}")
    else:
        raise ValueError(
            f"{weights} does not contain its config: specify the config file it belongs to"
        )
    cfg.merge_from_list(opts)
    derive_settings(cfg)
    check_config(cfg, check_model(cfg))
    if make_num_classes(cfg) is None:
        raise ValueError(f"{weights} is an RPN only (MODEL.RPN_ONLY): it detects no objects")
    return cfg
