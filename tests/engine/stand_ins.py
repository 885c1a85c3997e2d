"""Dummy model, data set and loader that train in milliseconds."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.image_list import ImageList, to_image_list


class TinyDataset(Dataset[Any]):
    """Data set of ``count`` 8 x 8 images with one box each and ids 100, 101, ..."""

    def __init__(self, count: int = 12) -> None:
        self.images = torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(1))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, BoxList, int]:
        target = BoxList(torch.tensor([[1.0, 1.0, 5.0, 5.0]]), (8, 8))
        target.add_field("labels", torch.tensor([1 + index % 2]))
        return self.images[index], target, index

    def get_img_info(self, index: int) -> dict[str, Any]:
        return {"id": 100 + index, "file_name": f"{index}.png", "width": 8, "height": 8}


def collate(samples: list[tuple[Tensor, BoxList, int]]) -> tuple[ImageList, Any, Any]:
    images, targets, indices = zip(*samples, strict=True)
    return to_image_list(list(images)), targets, indices


def tiny_loader(iterations: int, start: int = 0, dataset: Any = None) -> DataLoader[Any]:
    """Return a loader with batch size 2 and ``len == iterations`` that starts at ``start``."""
    dataset = TinyDataset() if dataset is None else dataset

    class Batches:
        def __len__(self) -> int:
            return iterations

        def __iter__(self) -> Any:
            for i in range(start, iterations):
                yield [2 * i % len(dataset), (2 * i + 1) % len(dataset)]

    return DataLoader(dataset, batch_sampler=Batches(), collate_fn=collate)  # type: ignore[arg-type]


class TinyModel(nn.Module):
    """Model with two losses; in evaluation the score of its box identifies the image.

    All instances have the same initial weights.

    Args:
        poison: index, from 1, of the forward pass in which ``loss_mask`` is NaN.

    Attributes:
        added: value added to ``loss_mask``, without gradient.
    """

    def __init__(self, poison: int | None = None) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(5)
            self.layer = nn.Linear(192, 2)
        self.poison = poison
        self.calls = 0
        self.added = 0.0

    def forward(self, images: ImageList, targets: Any = None) -> Any:
        output = self.layer(images.tensors.flatten(1))
        if not self.training:
            assert not torch.is_grad_enabled()
            return [self.detection(image) for image in images.tensors]
        assert all(isinstance(target, BoxList) for target in targets)
        self.calls += 1
        scale = float("nan") if self.calls == self.poison else 1.0
        return {
            "loss_classifier": (output[:, 0] - 1).square().mean(),
            "loss_mask": output[:, 1].square().mean() * scale + self.added,
        }

    @staticmethod
    def detection(image: Tensor) -> BoxList:
        boxes = BoxList(torch.tensor([[1.0, 1.0, 5.0, 5.0]]), (8, 8))
        boxes.add_field("labels", torch.tensor([1]))
        boxes.add_field("scores", image.mean().reshape(1).sigmoid())
        return boxes
