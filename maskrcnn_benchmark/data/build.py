"""Build data loaders from the configuration."""

import logging
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Sampler, SequentialSampler
from yacs.config import CfgNode

from maskrcnn_benchmark.data.collate_batch import BatchCollator
from maskrcnn_benchmark.data.datasets import ConcatDataset
from maskrcnn_benchmark.data.datasets.annotated_images import AnnotatedImages
from maskrcnn_benchmark.data.datasets.copy_paste import CopyPaste
from maskrcnn_benchmark.data.fit import check_fit
from maskrcnn_benchmark.data.registry import DATASETS
from maskrcnn_benchmark.data.samplers import (
    DistributedSampler,
    GroupedBatchSampler,
    IterationBasedBatchSampler,
    repeat_factors,
)
from maskrcnn_benchmark.data.transforms import (
    build_augmentation,
    build_normalization,
    build_test_views,
    build_transforms,
)
from maskrcnn_benchmark.data.worker import outlive_stop_signals
from maskrcnn_benchmark.structures.class_names import make_num_classes
from maskrcnn_benchmark.structures.image_list import padded_shape
from maskrcnn_benchmark.utils.comm import get_rank, get_world_size
from maskrcnn_benchmark.utils.imports import import_file


def make_data_loader(
    cfg: CfgNode, is_train: bool = True, is_distributed: bool = False, start_iter: int = 0
) -> Any:
    """Build the loader of ``DATASETS.TRAIN``, or those of ``DATASETS.TEST``.

    A batch is ``(ImageList, targets, indices)``.

    Args:
        cfg: the configuration.
        is_train: for training: one endless shuffled loader of ``SOLVER.MAX_ITER`` batches over all
            data sets; otherwise one loader for each data set, in order.
        is_distributed: whether to split the samples among the ranks.
        start_iter: number of iterations already done; the loader yields the rest of the sequence.

    Returns:
        A ``DataLoader``, or a list of them.

    Raises:
        ValueError: no data set is named, a name is unknown, the batch size is not divisible by the
            number of ranks, or the data does not fit the model.
        FileNotFoundError: a data set is missing at the path that the catalog gives.
    """
    names = cfg.DATASETS.TRAIN if is_train else cfg.DATASETS.TEST
    key = "DATASETS.TRAIN" if is_train else "DATASETS.TEST"
    if not names:
        raise ValueError(f"{key} is empty: name at least one data set, as ('coco_2017_val',)")
    made = [build_dataset(cfg, name, is_train) for name in names]
    if not is_train:  # the evaluation logs what it ignores
        return [_make_loader(cfg, dataset, is_distributed, train=False) for dataset in made]
    for name, part in zip(names, made, strict=True):
        logging.getLogger(__name__).info(f"{name}: {part.learned}")
    dataset: AnnotatedImages | ConcatDataset | CopyPaste
    dataset = made[0] if len(made) == 1 else ConcatDataset(made)
    if not any(part.learned.count for part in made):
        raise ValueError(f"{key} {', '.join(names)}: there is nothing to learn; {made[0].learned}")
    check_fit(
        dataset,
        names,
        classes=make_num_classes(cfg),
        masks=cfg.MODEL.MASK_ON,
        keypoints=cfg.MODEL.ROI_KEYPOINT_HEAD.NUM_CLASSES if cfg.MODEL.KEYPOINT_ON else None,
    )
    repeats = _make_repeats(cfg, dataset)
    if cfg.INPUT.COPY_PASTE > 0:
        dataset = CopyPaste(dataset, cfg.INPUT.COPY_PASTE, build_normalization(cfg))
    return _make_loader(
        cfg, dataset, is_distributed, train=True, start_iter=start_iter, repeats=repeats
    )


def _make_repeats(cfg: CfgNode, dataset: AnnotatedImages | ConcatDataset) -> Tensor | None:
    """Return how often each training image is seen in an epoch; None without repetition."""
    threshold = cfg.DATALOADER.REPEAT_THRESHOLD
    if threshold <= 0:
        return None
    labels = [dataset.get_labels(index) for index in range(len(dataset))]
    repeats = repeat_factors(labels, threshold)
    logging.getLogger(__name__).info(
        f"Repeat-factor sampling: an epoch has about {repeats.sum():.0f} samples of "
        f"{len(dataset)} images"
    )
    return repeats


def make_dataset_entry(cfg: CfgNode, name: str) -> tuple[Any, dict[str, Any]]:
    """Return the class and the arguments of a data set in ``DATASETS.CUSTOM`` or the catalog."""
    if name in cfg.DATASETS.CUSTOM:
        entry = cfg.DATASETS.CUSTOM[name]
        factory = entry.get("FACTORY", "COCODataset")
        args = {"ann_file": entry.ANN_FILE, "root": entry.IMG_DIR}
    else:
        found = import_file("paths_catalog", cfg.PATHS_CATALOG).DatasetCatalog.get(name)
        factory, args = found["factory"], dict(found["args"])
    try:
        return DATASETS[factory], args
    except ValueError as error:
        raise ValueError(f"data set {name!r}: {error}") from error


def build_dataset(cfg: CfgNode, name: str, is_train: bool) -> AnnotatedImages:
    """Build one data set from ``DATASETS.CUSTOM`` or the paths catalog."""
    dataset, args = make_dataset_entry(cfg, name)
    pastes = is_train and cfg.INPUT.COPY_PASTE > 0  # which then comes before the normalization
    args["transforms"] = build_augmentation(cfg) if pastes else build_transforms(cfg, is_train)
    args["pixel_offset"] = cfg.MODEL.PIXEL_OFFSET
    args["remove_images_without_annotations"] = is_train and cfg.DATALOADER.FILTER_EMPTY
    has_keypoints = dataset.read_keypoint_set is not AnnotatedImages.read_keypoint_set
    if cfg.MODEL.KEYPOINT_ON and has_keypoints:  # check_fit refuses to train on the others
        args["min_keypoints"] = cfg.MODEL.ROI_KEYPOINT_HEAD.MIN_KEYPOINTS_PER_IMAGE
    try:
        made: AnnotatedImages = dataset(**args)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"data set {name!r}: {error}") from error
    return made


def _make_loader(
    cfg: CfgNode,
    dataset: AnnotatedImages | ConcatDataset | CopyPaste,
    is_distributed: bool,
    *,
    train: bool,
    start_iter: int = 0,
    repeats: Tensor | None = None,
) -> DataLoader[Any]:
    """Build the loader of one data set; for ``repeats`` see ``DistributedSampler``."""
    world_size, rank = (get_world_size(), get_rank()) if is_distributed else (1, 0)
    sampler: Sampler[int] = SequentialSampler(dataset)
    if train or is_distributed:
        sampler = DistributedSampler(
            dataset, world_size, rank, shuffle=train, seed=cfg.SEED, repeats=repeats
        )
    batch_size = _make_batch_size(cfg, train)
    batch_sampler: Any
    if train:
        batch_sampler = make_batch_data_sampler(
            dataset,
            sampler,
            [1] if cfg.DATALOADER.ASPECT_RATIO_GROUPING else [],
            batch_size,
            num_iters=cfg.SOLVER.MAX_ITER,
            start_iter=start_iter,
            seed=cfg.SEED,
        )
    else:
        batch_sampler = GroupedBatchSampler(sampler, _make_padded_shapes(cfg, dataset), batch_size)
    return DataLoader(
        dataset,
        batch_sampler=batch_sampler,
        num_workers=cfg.DATALOADER.NUM_WORKERS,
        collate_fn=BatchCollator(cfg.DATALOADER.SIZE_DIVISIBILITY),
        worker_init_fn=outlive_stop_signals,
        pin_memory=torch.cuda.is_available() and cfg.MODEL.DEVICE.startswith("cuda"),
        # the loader draws worker seeds from it, which must not advance the model's generator
        generator=torch.Generator().manual_seed(cfg.SEED),
    )


def _make_padded_shapes(cfg: CfgNode, dataset: Any) -> list[tuple[tuple[int, int], ...]]:
    """Return the ``(height, width)`` of the views of each test image, resized and padded alone.

    Images of the same padded shapes can share a batch without extra padding, so batching does not
    change their results.
    """
    views, step = build_test_views(cfg), cfg.DATALOADER.SIZE_DIVISIBILITY
    infos = (dataset.get_img_info(index) for index in range(len(dataset)))
    sizes = ((int(info["width"]), int(info["height"])) for info in infos)
    return [
        tuple(padded_shape([view.resize.output_size(size)], step) for view in views)
        for size in sizes
    ]


def _make_batch_size(cfg: CfgNode, train: bool) -> int:
    """Return the number of images per batch on each rank."""
    key = "SOLVER.IMS_PER_BATCH" if train else "TEST.IMS_PER_BATCH"
    images, world_size = (cfg.SOLVER if train else cfg.TEST).IMS_PER_BATCH, get_world_size()
    if images % world_size:
        raise ValueError(f"{key} {images} must be divisible by the {world_size} processes")
    return images // world_size


def make_batch_data_sampler(
    dataset: Any,
    sampler: Iterable[int],
    aspect_grouping: Sequence[float],
    images_per_batch: int,
    *,
    num_iters: int | None = None,
    start_iter: int = 0,
    seed: int = 0,
) -> Any:
    """Group the samples of a sampler into batches.

    Args:
        dataset: has ``get_img_info``.
        sampler: yields sample indices; with a ``DistributedSampler`` every rank takes the same
            number of iterations per epoch.
        aspect_grouping: thresholds of height / width; images on different sides of a threshold do
            not share a batch, and a ratio equal to one counts as above it. Empty: no grouping.
        images_per_batch: size of a batch.
        num_iters: number of batches, over as many epochs as needed; None for one epoch.
        start_iter: number of batches to skip, already done before a resume.
        seed: seed of the per-sample augmentation, used with ``num_iters``.
    """
    groups = _aspect_groups(dataset, aspect_grouping) if aspect_grouping else None

    def batches_of(share: Iterable[int]) -> Any:
        if groups is None:
            return BatchSampler(share, images_per_batch, drop_last=False)
        return GroupedBatchSampler(share, groups, images_per_batch)

    if num_iters is None:
        return batches_of(sampler)
    others = []
    if isinstance(sampler, DistributedSampler):
        ranks = (rank for rank in range(sampler.num_replicas) if rank != sampler.rank)
        others = [batches_of(sampler.of_rank(rank)) for rank in ranks]
    return IterationBasedBatchSampler(
        batches_of(sampler), num_iters, start_iter, seed=seed, others=others
    )


def _aspect_groups(dataset: Any, bounds: Sequence[float]) -> list[int]:
    """Return the group of each image by its height / width."""
    infos = (dataset.get_img_info(index) for index in range(len(dataset)))
    return [bisect_right(bounds, info["height"] / info["width"]) for info in infos]
