"""Detections of one image, in pixels of the original image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from maskrcnn_benchmark.predict.coco_content import CocoContent
from maskrcnn_benchmark.predict.labelme_content import (
    box_shapes,
    labelme_content,
    mask_shapes,
    polygon_shapes,
)
from maskrcnn_benchmark.predict.supervision_data import to_detections
from maskrcnn_benchmark.structures import fields
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.keypoints import NO_KEYPOINTS, Keypoints, KeypointSet
from maskrcnn_benchmark.structures.mask_outline import outline_polygons
from maskrcnn_benchmark.structures.mask_paste import Masker
from maskrcnn_benchmark.structures.rle import Rle, decode_rle
from maskrcnn_benchmark.structures.rle_masks import RleMasks
from maskrcnn_benchmark.utils.user_error import UserError
from maskrcnn_benchmark.visualization.instances import filled_box, to_bool_mask


@dataclass(frozen=True, eq=False)
class Prediction:
    """N detections of one image: a ``BoxList`` with NumPy views of its fields.

    Accepted by ``draw``, ``ResultsFile`` and (through ``detections``) ``evaluate_coco``. The arrays
    share the memory of the list; fields that the model does not predict are None.

    Attributes:
        detections: BoxList on the CPU in pixels of the image, with the fields of
            ``GeneralizedRCNN.predict``, or ``rles`` in place of ``mask``.
        class_names: name of each label; the first is the background.
        masker: pastes the masks into the image.
        keypoint_set: names and limbs of the keypoints.
    """

    detections: BoxList
    class_names: Sequence[str]
    masker: Masker = Masker()
    keypoint_set: KeypointSet = NO_KEYPOINTS
    is_crowd = None  # for drawing: models do not detect crowds

    def __len__(self) -> int:
        return len(self.detections)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the image."""
        return self.detections.size

    @property
    def pixel_offset(self) -> float:
        """1 for inclusive boxes, 0 for continuous ones (``MODEL.PIXEL_OFFSET``)."""
        return self.detections.pixel_offset

    @property
    def boxes(self) -> NDArray[np.float32]:
        """float32 ``[N, 4]``: ``x1, y1, x2, y2`` in pixels."""
        return self.detections.xyxy().numpy()

    @property
    def labels(self) -> NDArray[np.int64]:
        """int64 ``[N]``, from 1."""
        return self.detections.get_field(fields.LABELS).numpy()

    @cached_property
    def names(self) -> list[str]:
        """Class name of each detection."""
        return [self.class_names[label] for label in self.labels.tolist()]

    @property
    def scores(self) -> NDArray[np.float32]:
        """``[N]`` class scores."""
        return self.detections.get_field(fields.SCORES).numpy()

    @property
    def mask_ious(self) -> NDArray[np.float32] | None:
        """``[N]`` predicted IoU of each mask with its object, not clamped to [0, 1]."""
        return self._view(fields.MASK_IOUS)

    @property
    def mask_scores(self) -> NDArray[np.float32] | None:
        """``[N]``: ``scores * mask_ious``."""
        return self._view(fields.MASK_SCORES)

    @property
    def soft_masks(self) -> NDArray[np.float32] | None:
        """``[N, M, M]`` mask probabilities in the frame of the box; M is 28 with FPN.

        None if the detections were read from a file.
        """
        masks = self._view(fields.MASK)
        return None if masks is None else masks[:, 0]

    @property
    def keypoints(self) -> NDArray[np.float32] | None:
        """``[N, K, 3]``: ``x, y, 1`` in pixels, in the order of ``keypoint_set``."""
        found = self._keypoints()
        return None if found is None else found.keypoints.numpy()

    @property
    def keypoint_logits(self) -> NDArray[np.float32] | None:
        """``[N, K]``: the heat map at each keypoint, higher where the model is surer.

        None if the detections were read from a file.
        """
        found = self._keypoints()
        has_logits = found is not None and found.has_field(fields.LOGITS)
        return found.get_field(fields.LOGITS).numpy() if found and has_logits else None

    @property
    def skeleton(self) -> Sequence[Sequence[int]]:
        """Pairs of keypoints, the limbs to draw."""
        return self.keypoint_set.skeleton

    @property
    def edges(self) -> NDArray[np.float64]:
        """``[N, 4]``: left, top, right and bottom edge of each box in continuous pixels."""
        return self.boxes.astype(np.float64) + np.array([0, 0, 1, 1]) * self.pixel_offset

    def _keypoints(self) -> Keypoints | None:
        has_field = self.detections.has_field(fields.KEYPOINTS)
        return self.detections.get_field(fields.KEYPOINTS) if has_field else None

    def _view(self, name: str) -> NDArray[Any] | None:
        has_field = self.detections.has_field(name)
        return self.detections.get_field(name).numpy() if has_field else None

    def __getitem__(self, index: slice | NDArray[Any] | Sequence[int]) -> Prediction:
        """Return the detections selected by a slice, a boolean mask or a list of indices."""
        rows = torch.from_numpy(np.arange(len(self))[index].copy())
        chosen = self.detections[rows]
        if (pasted := self.__dict__.get("_pasted")) is not None:  # do not paste masks twice
            chosen.add_field(fields.RLES, pasted[rows])
        return replace(self, detections=chosen)

    def ranking(self, score_key: str | None = None) -> NDArray[np.float32]:
        """Return the scores ``[N]`` of one kind.

        Args:
            score_key: a key of ``fields.SCORE_KINDS``: ``score``, ``mask_iou`` or ``mask_score``;
                None: the mask score if the model predicts one, else the class score.

        Raises:
            UserError: the score key is unknown, or the model does not predict this score.
        """
        if score_key is None:
            return self.scores if self.mask_scores is None else self.mask_scores
        if score_key not in fields.SCORE_KINDS:
            raise UserError(f"score key {score_key!r} is none of {', '.join(fields.SCORE_KINDS)}")
        values = self._view(fields.SCORE_KINDS[score_key].field)
        if values is None:
            raise UserError(
                f"this model has no MaskIoU head and so no {score_key}; use the score key "
                f"{fields.CLASS_SCORE.key!r}"
            )
        return values

    def select(self, score_key: str | None = None, threshold: float | None = None) -> Prediction:
        """Return the detections at or above a threshold, in descending order of score.

        Args:
            score_key: score to rank and threshold by, see ``ranking``.
            threshold: minimum score to keep; None keeps all, including negative scores.
        """
        values = self.ranking(score_key)
        order = np.argsort(-values, kind="stable")
        return self[order if threshold is None else order[values[order] >= threshold]]

    @cached_property
    def _pasted(self) -> RleMasks | None:
        if self.detections.has_field(fields.RLES):
            return self.detections.get_field(fields.RLES)
        if not self.detections.has_field(fields.MASK):
            return None
        return self.masker.rles(self.detections.get_field(fields.MASK), self.detections)

    def rles(self) -> list[Rle] | None:
        """Return the masks as compressed COCO RLE (``counts`` as str); pasted once."""
        return None if self._pasted is None else self._pasted.dicts()

    def masks(self) -> NDArray[np.bool_] | None:
        """Return the masks as bool ``[N, H, W]``."""
        if self._pasted is None:
            return None
        masks = np.zeros((len(self), self.size[1], self.size[0]), bool)
        for mask, rle in zip(masks, self._pasted.dicts(), strict=True):
            mask[:] = decode_rle(rle)
        return masks

    def polygons(self) -> list[list[list[float]]] | None:
        """Return the polygons of each mask in COCO format; holes are filled.

        See ``outline_polygons``. An empty mask has no polygons.
        """
        rles = self.rles()
        return (
            None if rles is None else [outline_polygons(decode_rle(r).astype(bool)) for r in rles]
        )

    def mask(self, index: int, size: tuple[int, int]) -> NDArray[np.bool_]:
        """Return the mask of one detection, bool ``[H, W]``; without masks, its filled box.

        Args:
            index: index of the detection.
            size: (height, width) of the image it is drawn on.

        Raises:
            ValueError: ``size`` differs from the size of the image.
        """
        if self._pasted is None:
            return filled_box(self.box(index, size), size)
        return to_bool_mask(self._pasted.dicts()[index], size)

    def box(self, index: int, size: tuple[int, int]) -> NDArray[np.float64]:
        """Return the edges of a box, ``[4]``, see ``edges``; ``size`` is not used."""
        del size
        return self.edges[index]

    def to_coco(
        self, file_name: str = "", category_ids: Sequence[int] | None = None
    ) -> dict[str, Any]:
        """Return the detections as the content of a COCO JSON, see ``coco_content``.

        ``ResultsFile`` writes the same for several images.

        Args:
            file_name: file name of the image, whose id is 1.
            category_ids: category id of each label, starting with label 1; None: the labels.
        """
        ids = range(1, len(self.class_names)) if category_ids is None else category_ids
        coco = CocoContent(self.class_names, ids, self.keypoint_set)
        coco.add(file_name, self.detections, self.rles())
        return coco.content()

    def to_labelme(self, file_name: str, *, polygons: bool = False) -> dict[str, Any]:
        """Return the detections as the content of a JSON of labelme, see ``labelme_content``.

        A detection without a mask, or with an empty one, becomes a rectangle.

        Args:
            file_name: the image, relative to the folder of the JSON.
            polygons: False writes masks, which keep every pixel; True polygons, which can be edited
                point by point: one for each part of a mask, without its holes.
        """
        to_shapes = polygon_shapes if polygons else mask_shapes
        rles: Sequence[Rle | None] = self.rles() or [None] * len(self)
        shapes = [
            (to_shapes(decode_rle(rle).astype(bool)) if rle else []) or box_shapes(edges)
            for rle, edges in zip(rles, self.edges, strict=True)
        ]
        return labelme_content(file_name, shapes, self.detections, self.names, self.keypoint_set)

    def to_supervision(self) -> Any:
        """Return the detections as ``supervision.Detections``.

        ``xyxy`` holds the edges of the boxes, ``mask`` every pixel, ``confidence`` the class score,
        and ``class_id`` the label from 0 on: the index in ``class_names[1:]``. ``data`` has
        ``class_name`` and, if the model predicts them, ``mask_iou``, ``mask_score`` and
        ``keypoints`` ``[N, K, 3]``.

        Raises:
            MissingPackageError: supervision is not installed.
        """
        return to_detections(
            self.detections, edges=self.edges, masks=self.masks(), names=self.names
        )
