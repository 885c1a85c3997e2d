"""Detections of one image, in pixels of the original image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from maskrcnn_benchmark.structures import fields
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.box_ops import PIXEL_OFFSET
from maskrcnn_benchmark.structures.mask_outline import outline_polygons
from maskrcnn_benchmark.structures.mask_paste import Masker
from maskrcnn_benchmark.utils.user_error import UserError
from maskrcnn_benchmark.visualization import Instances

Rle = dict[str, Any]

SCORE_KEYS = ("mask_score", "score", "mask_iou")
_ATTRIBUTES = {"mask_score": "mask_scores", "score": "scores", "mask_iou": "mask_ious"}


@dataclass(frozen=True, eq=False, kw_only=True)
class Prediction:
    """N detections of one image. Attributes that the model does not predict are None.

    Attributes:
        size: (width, height) of the image.
        boxes: float32 [N, 4], ``x1, y1, x2, y2`` in pixels.
        labels: int64 [N], from 1.
        names: name of the class of each detection.
        scores: [N] class scores.
        mask_ious: [N] predicted IoU of each mask with its object, not clamped to 0 ... 1.
        mask_scores: [N], ``scores * mask_ious``.
        soft_masks: [N, M, M] mask probabilities in the frame of the box; M is 28 with FPN.
        masker: pastes them into the image.
        pixel_offset: 1 for inclusive boxes, 0 for continuous ones (``MODEL.PIXEL_OFFSET``).
        stored_rles: masks of detections read from a file, which holds no soft masks.
    """

    size: tuple[int, int]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    names: Sequence[str]
    scores: NDArray[np.float32]
    mask_ious: NDArray[np.float32] | None = None
    mask_scores: NDArray[np.float32] | None = None
    soft_masks: NDArray[np.float32] | None = None
    masker: Masker = Masker()
    pixel_offset: float = PIXEL_OFFSET
    stored_rles: Sequence[Rle] | None = None

    @classmethod
    def from_boxes(
        cls, boxes: BoxList, class_names: Sequence[str], *, masker: Masker | None = None
    ) -> Prediction:
        """Create a prediction from the detections of a model.

        Args:
            boxes: in the image's own pixels, with the fields of ``GeneralizedRCNN.predict``.
            class_names: name of each label; the first is the background's.
            masker: see the attribute; None: the original's rule, at 0.5.
        """

        def array(name: str) -> NDArray[Any] | None:
            return boxes.get_field(name).detach().cpu().numpy() if boxes.has_field(name) else None

        labels = boxes.get_field(fields.LABELS).cpu().numpy()
        masks = array(fields.MASK)
        return cls(
            size=boxes.size,
            boxes=boxes.xyxy().detach().cpu().numpy(),
            labels=labels,
            names=[class_names[label] for label in labels],
            scores=boxes.get_field(fields.SCORES).detach().cpu().numpy(),
            mask_ious=array(fields.MASK_IOUS),
            mask_scores=array(fields.MASK_SCORES),
            soft_masks=None if masks is None else masks[:, 0],
            masker=Masker() if masker is None else masker,
            pixel_offset=boxes.pixel_offset,
        )

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, index: slice | NDArray[Any] | Sequence[int]) -> Prediction:
        """Return the detections selected by a slice, a boolean mask or a list of indices."""
        rows = np.arange(len(self))[index]

        def taken(values: Any) -> Any:
            return None if values is None else values[rows]

        known = self.__dict__.get("_rles", self.stored_rles)  # do not paste masks twice
        return replace(
            self,
            boxes=self.boxes[rows],
            labels=self.labels[rows],
            names=[self.names[row] for row in rows],
            scores=self.scores[rows],
            mask_ious=taken(self.mask_ious),
            mask_scores=taken(self.mask_scores),
            soft_masks=taken(self.soft_masks),
            stored_rles=None if known is None else [known[row] for row in rows],
        )

    def ranking(self, score_key: str | None = None) -> NDArray[np.float32]:
        """Return the scores [N] of one kind.

        Args:
            score_key: ``mask_score``, ``score`` or ``mask_iou``; None: the mask score if the model
                predicts one, else the class score.

        Raises:
            UserError: the model does not predict it, or there is no such kind.
        """
        if score_key is None:
            return self.scores if self.mask_scores is None else self.mask_scores
        if score_key not in SCORE_KEYS:
            raise UserError(f"score key {score_key!r} is none of {', '.join(SCORE_KEYS)}")
        values = getattr(self, _ATTRIBUTES[score_key])
        if values is None:
            raise UserError(
                f"this model has no MaskIoU head and so no {score_key}; take the score key 'score'"
            )
        return values

    def select(self, score_key: str | None = None, threshold: float | None = None) -> Prediction:
        """Return the detections at or above a threshold, in descending order of score.

        Args:
            score_key: what to rank and to compare by, see ``ranking``.
            threshold: lowest score to keep; None keeps all, including negative scores.
        """
        values = self.ranking(score_key)
        order = np.argsort(-values, kind="stable")
        return self[order if threshold is None else order[values[order] >= threshold]]

    @cached_property
    def _rles(self) -> list[Rle] | None:
        if self.stored_rles is not None or self.soft_masks is None:
            return None if self.stored_rles is None else list(self.stored_rles)
        boxes = BoxList(torch.from_numpy(self.boxes), self.size)
        return self.masker.rles(torch.from_numpy(self.soft_masks)[:, None], boxes).dicts()

    def rles(self) -> list[Rle] | None:
        """Return the masks as compressed COCO RLE (``counts`` as str); cached."""
        return self._rles

    def masks(self) -> NDArray[np.bool_] | None:
        """Return the masks as bool [N, H, W]."""
        if self._rles is None:
            return None
        masks = np.zeros((len(self), self.size[1], self.size[0]), bool)
        for mask, rle in zip(masks, self._rles, strict=True):
            mask[:] = coco_mask.decode(rle)
        return masks

    def polygons(self) -> list[list[list[float]]] | None:
        """Return the polygons of each mask, as COCO has them; holes are filled.

        See ``outline_polygons``. A mask without pixels has none.
        """
        if self._rles is None:
            return None
        return [outline_polygons(coco_mask.decode(rle).astype(bool)) for rle in self._rles]

    def instances(self) -> Instances:
        """Return what ``draw_instances`` draws, whose boxes are inclusive."""
        return Instances(
            masks=self.rles(),
            boxes=self.boxes - np.array([0, 0, 1, 1], np.float32) * (1 - self.pixel_offset),
            labels=self.labels,
            names=self.names,
            scores=self.scores,
            mask_ious=self.mask_ious,
        )
