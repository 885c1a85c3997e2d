"""Base class of the data sets."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from PIL import Image
from torch.utils.data import Dataset

from maskrcnn_benchmark.data.coco_json.learned import Learned
from maskrcnn_benchmark.data.datasets.images import read_image
from maskrcnn_benchmark.data.seeded_index import random_of
from maskrcnn_benchmark.data.transforms.transforms import Transform
from maskrcnn_benchmark.structures import fields
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.keypoints import KeypointSet
from maskrcnn_benchmark.utils.file_names import name_on_disk
from maskrcnn_benchmark.utils.user_error import UserError


class AnnotatedImages(ABC, Dataset[tuple[Any, BoxList, int]]):
    """Annotated images; a sample is ``(image, target, index)``.

    Args:
        root: folder of the images.
        transforms: called with the image, the target and a random generator.

    Attributes:
        class_names: name of each label; 0 is ``__background__``.
        has_masks: whether the targets have masks.
        keypoint_set: names and limbs of the keypoints that the targets have; None without any.
        learned: how many instances are learned, and why others are not.
        metric: name of the evaluation protocol, see ``evaluation.evaluate``.
    """

    class_names: list[str]
    has_masks: bool
    keypoint_set: KeypointSet | None = None
    learned: Learned
    metric: str

    def __init__(self, root: str | Path, transforms: Transform | None) -> None:
        self.root = Path(root)
        self.transforms = transforms
        if not self.root.is_dir():
            raise FileNotFoundError(f"image folder {self.root} does not exist")

    @staticmethod
    def read_keypoint_set(**location: Any) -> KeypointSet | None:
        """Return ``keypoint_set`` without building the data set; takes what ``read_classes`` does.

        Data sets without keypoints need not define it; those that do are given ``min_keypoints``
        as well, see ``COCODataset``.
        """
        del location
        return None

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of images."""

    @abstractmethod
    def get_img_info(self, index: int) -> dict[str, Any]:
        """Return at least ``id``, ``file_name``, ``height`` and ``width`` of an image."""

    def get_labels(self, index: int) -> set[int]:
        """Return the labels of the instances to learn from an image, without reading it."""
        info = self.get_img_info(index)
        target = self._make_target(index, (info["width"], info["height"]))
        return set(target.get_field(fields.LABELS).tolist())

    @abstractmethod
    def _make_target(self, index: int, size: tuple[int, int]) -> BoxList:
        """Return the instances to learn from an image of ``(width, height)``."""

    def __getitem__(self, index: int) -> tuple[Any, BoxList, int]:
        image: Any = self._read_image(self.get_img_info(index))
        target: BoxList | None = self._make_target(index, image.size)
        if self.transforms is not None:
            image, target = self.transforms(image, target, random_of(index))
        assert target is not None
        return image, target, int(index)

    def _read_image(self, info: dict[str, Any]) -> Image.Image:
        """Read an image and check that it has the annotated size."""
        path, size = self.root / name_on_disk(info["file_name"]), (info["width"], info["height"])
        try:
            image = read_image(path, size)
        except UserError as error:
            raise type(error)(f"image id {info['id']!r}: {error}") from error
        if image.size != size:
            raise UserError(
                f"image id {info['id']!r}: {path} is {image.size[0]} pixels wide and "
                f"{image.size[1]} high, the annotations say {size[0]} and {size[1]}"
            )
        return image
