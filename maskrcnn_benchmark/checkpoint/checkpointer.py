"""Save and load checkpoints ``model_0010000.pth``, ``model_final.pth``, ...

``last_checkpoint`` is a text file with the path of the latest one. A checkpoint is a dict with
``model``, ``optimizer``, ``scheduler``, ``iteration``, the states of other training components,
``config`` (YAML text), ``class_names`` and ``category_ids``, with a keypoint head also
``keypoint_names`` and ``skeleton``. It can be read with ``torch.load(path, weights_only=True)``.
"""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from yacs.config import CfgNode

from maskrcnn_benchmark.checkpoint.config_changes import config_changes, require_conventions
from maskrcnn_benchmark.checkpoint.convert.published import local_weights
from maskrcnn_benchmark.checkpoint.loading import load_state_dict
from maskrcnn_benchmark.checkpoint.readers import has_averaged, model_tensors, read_weights
from maskrcnn_benchmark.structures.class_names import difference_of_classes
from maskrcnn_benchmark.utils.atomic_file import write_atomically
from maskrcnn_benchmark.utils.comm import is_main_process

_LAST = "last_checkpoint"
_RESNET_STEM = "body.stem.conv1.weight"  # present in our ResNets
_METADATA = ("config", "class_names", "category_ids", "keypoint_names", "skeleton")


class Stateful(Protocol):
    """A training component whose state consists of plain values and tensors."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state; all ranks must call this together."""

    def load_state_dict(self, state: dict[str, Any], /) -> Any:
        """Restore a state returned by ``state_dict``."""


class Checkpointer:
    """Save the state of a training run to a folder and restore it.

    Args:
        model: the model; a DistributedDataParallel wrapper is stripped.
        optimizer: saved and restored if given.
        scheduler: saved and restored if given.
        save_dir: folder of the checkpoints; if empty, nothing is saved or resumed.
        save_to_disk: whether ``save`` writes a file; by default only on rank 0.

    Attributes:
        metadata: additional plain values that ``save`` stores in every file (``config``,
            ``class_names``, ``category_ids``); ``load`` does not return them, but compares the
            ``class_names`` with those of the file.
        parts: other training components by name, saved and restored with the rest; set them before
            ``load``, for example ``checkpointer.parts["scaler"] = scaler``.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer | None = None,
        scheduler: LRScheduler | None = None,
        save_dir: str | Path = "",
        save_to_disk: bool | None = None,
    ) -> None:
        self.model = model.module if isinstance(model, DistributedDataParallel) else model
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.save_dir = str(save_dir)
        self.save_to_disk = is_main_process() if save_to_disk is None else save_to_disk
        self.metadata: dict[str, Any] = {}
        self.parts: dict[str, Stateful] = {}
        self.logger = logging.getLogger(__name__)

    def save(self, name: str, **extra: Any) -> None:
        """Write ``<save_dir>/<name>.pth`` and record it as the last checkpoint.

        All ranks must call this, including those that do not write.

        Args:
            name: file name without its suffix.
            extra: plain values to store, such as ``iteration``; returned by ``load``.
        """
        if not self.save_dir:
            return
        states = {part: stateful.state_dict() for part, stateful in self._all_parts().items()}
        if not self.save_to_disk:
            return
        content = {"model": self.model.state_dict()} | states | extra | self.metadata
        path = Path(self.save_dir) / f"{name}.pth"
        path.parent.mkdir(parents=True, exist_ok=True)
        self.logger.info(f"Saving checkpoint to {path}")
        write_atomically(path, lambda file: torch.save(content, file))
        write_atomically(path.parent / _LAST, lambda file: file.write(os.fsencode(path)))

    def load(
        self, path: str | Path | None = None, use_latest: bool = True, *, require_all: bool = False
    ) -> dict[str, Any]:
        """Resume from the last checkpoint in the folder, or else load the weights at ``path``.

        Resuming restores the whole model, the optimizer and the scheduler. Loading weights copies
        only the tensors that match by name and shape, from the averaged weights if there are any;
        if the classes differ, the layers that depend on them are re-initialized.

        Args:
            path: a weight file (see ``read_weights``); empty or None to keep the initial weights.
                ``DetectronCheckpointer`` also accepts URLs and ``catalog://`` names.
            use_latest: whether to resume from the last checkpoint in the folder, if any.
            require_all: whether the weights at ``path`` must cover the whole model, as evaluation
                requires.

        Returns:
            When resuming, the extra values of the checkpoint (``iteration``); otherwise ``{}``.

        Raises:
            OSError: a file is missing or could not be downloaded.
            ValueError: a file cannot be read; no tensor matches the model; with ``require_all``, a
                tensor is missing or the classes differ; a frozen parameter is missing; or the
                weights were converted from another project and the config does not match them.
        """
        latest = self.get_checkpoint_file() if use_latest else None
        if latest is not None:
            if path:
                self.logger.info(f"{path} is ignored: {self.save_dir} has a last checkpoint")
            return self._resume(latest)
        if not path:
            self.logger.info("Starting from random weights: no checkpoint and no MODEL.WEIGHT")
            return {}
        path = self._local_file(str(path))
        content = read_weights(path)
        require_conventions(content, self.metadata.get("config", ""), path)
        kind = "averaged weights" if has_averaged(content) else "weights"
        what = f"the {kind} in {path}"
        if self.optimizer is None:
            self.logger.info(f"Loading {what}")
        else:
            self.logger.info(f"Fine-tuning {what}: optimizer, schedule and iteration start over")
        differ = difference_of_classes(content.get("class_names"), self.metadata.get("class_names"))
        if differ and require_all:
            raise ValueError(f"{path} does not match the data: {differ}")
        if differ:
            self.logger.warning(f"Fine-tuning for other classes: {differ}")
        is_resnet = any(n.endswith(_RESNET_STEM) for n, _ in self.model.named_parameters())
        tensors = model_tensors(content, rename_resnet=is_resnet)
        report = load_state_dict(self.model, tensors, same_classes=not differ)
        if require_all:
            report.require_complete(path)
        report.require_frozen(self.model, path)
        differs = report.mismatched or report.of_classes
        self.logger.log(logging.WARNING if differs else logging.INFO, report.summary())
        return {}

    def get_checkpoint_file(self) -> Path | None:
        """Return the file that ``last_checkpoint`` names; None if there is no ``last_checkpoint``.

        If the folder was moved, so that the recorded path no longer exists, the file of the same
        name in the folder is returned.

        Raises:
            FileNotFoundError: the checkpoint is in neither place.
        """
        note = Path(self.save_dir) / _LAST
        if not self.save_dir or not note.is_file():
            return None
        named = Path(os.fsdecode(note.read_bytes()).strip())
        for candidate in (named, note.parent / named.name):
            if candidate.is_file():
                return candidate
        raise FileNotFoundError(
            f"{note} names {named}, which does not exist, nor does {note.parent} contain it; "
            f"delete {note} to start from scratch"
        )

    def _all_parts(self) -> dict[str, Stateful]:
        """Return all components that are saved and restored along with the model."""
        parts: dict[str, Stateful] = {}
        if self.optimizer is not None:
            parts["optimizer"] = self.optimizer
        if self.scheduler is not None:
            parts["scheduler"] = self.scheduler
        return parts | self.parts

    def _local_file(self, name: str) -> Path:
        """Return the local file for the ``path`` argument of ``load``."""
        return Path(name)

    def _resume(self, path: Path) -> dict[str, Any]:
        """Restore everything from ``path`` and return the remaining entries."""
        goes_on = " with optimizer, schedule and iteration" if self.optimizer is not None else ""
        self.logger.info(f"Resuming from the checkpoint {path}{goes_on}")
        content = self._read_whole(path)
        differ = difference_of_classes(content.get("class_names"), self.metadata.get("class_names"))
        if differ:
            raise ValueError(
                f"cannot resume from {path}: {differ}. Choose another OUTPUT_DIR, or delete "
                f"{Path(self.save_dir) / _LAST}; to fine-tune, set MODEL.WEIGHT {path}"
            )
        report = load_state_dict(self.model, model_tensors(content, averaged=False))
        if not report.complete:
            raise ValueError(
                f"cannot resume from {path}: it is from another model ({report.summary()}). "
                f"Choose another OUTPUT_DIR, or delete {Path(self.save_dir) / _LAST}"
            )
        self._tell_changes(content)
        parts = self._all_parts()
        for name, part in parts.items():
            if name in content:
                self._restore(name, part, content[name])
            else:
                self.logger.warning(f"{path} has no state of the {name}: it starts from scratch")
        rest = {k: v for k, v in content.items() if k not in {"model", *parts, *_METADATA}}
        for name in [name for name, value in rest.items() if isinstance(value, Mapping)]:
            self.logger.warning(f"{path} has a state of the {name}, which is not used in this run")
            del rest[name]
        return rest

    def _read_whole(self, path: Path) -> dict[str, Any]:
        """Read a checkpoint; if it is damaged, list the others in the error."""
        try:
            return read_weights(path)
        except ValueError as error:
            others = sorted(str(p) for p in path.parent.glob("model_*.pth") if p != path)
            raise ValueError(
                f"{error}. To continue from another checkpoint, write its path to "
                f"{Path(self.save_dir) / _LAST} ({', '.join(others) or 'there is none'}); to start "
                "from scratch, delete that file"
            ) from error

    def _tell_changes(self, content: Mapping[str, Any]) -> None:
        """Warn about settings that differ from those of the checkpoint."""
        if self.optimizer is None or not {"config"} <= content.keys() & self.metadata.keys():
            return
        changes = config_changes(content["config"], self.metadata["config"])
        if changes:
            self.logger.warning(
                f"Settings changed since the checkpoint: {', '.join(changes)}. Learning rate, "
                "steps, momentum and weight decay stay as saved. The result will not be identical "
                "to that of an uninterrupted run"
            )

    def _restore(self, name: str, part: Stateful, state: dict[str, Any]) -> None:
        try:
            part.load_state_dict(state)
        except ValueError as error:
            raise ValueError(
                f"cannot resume: the {name} of the checkpoint does not match the settings "
                f"({error}). Use the settings of the checkpoint, or fine-tune from it: set "
                "MODEL.WEIGHT to it and choose another OUTPUT_DIR"
            ) from error


class DetectronCheckpointer(Checkpointer):
    """A checkpointer that stores the config in every file and downloads weights as needed.

    ``load`` also accepts ``http(s)://`` URLs and ``catalog://`` names of the ``ModelCatalog`` in
    ``PATHS_CATALOG``, including published models of other projects, which are converted. Downloads
    are cached in ``MODEL.PRETRAINED_MODELS``.

    Args:
        cfg: the whole config; stored as YAML text.
        model: as in ``Checkpointer``.
        optimizer: as in ``Checkpointer``.
        scheduler: as in ``Checkpointer``.
        save_dir: as in ``Checkpointer``.
        save_to_disk: as in ``Checkpointer``.
    """

    def __init__(
        self,
        cfg: CfgNode,
        model: nn.Module,
        optimizer: Optimizer | None = None,
        scheduler: LRScheduler | None = None,
        save_dir: str | Path = "",
        save_to_disk: bool | None = None,
    ) -> None:
        super().__init__(model, optimizer, scheduler, save_dir, save_to_disk)
        self.metadata["config"] = cfg.dump()
        self._cfg = cfg

    def _local_file(self, name: str) -> Path:
        """Return the local file of a path, URL or catalog name, downloading it if needed."""
        return local_weights(name, self._cfg.MODEL.PRETRAINED_MODELS, self._cfg.PATHS_CATALOG)
