"""Match loaded tensors to parameters by the longest common suffix of their names."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

_SHOWN = 8  # names listed per line of the summary
# buffers that are determined by the config or have no effect
_FROM_CONFIG = re.compile(r"(^|\.)(cell_anchors\.\d+|num_batches_tracked)$")
_CLASSIFIER = re.compile(r"(stem|conv1|bn1|layer\d)\.")  # prefix of every name of a ResNet
# layers of the ROI heads with an output per class
_OF_CLASSES = re.compile(
    r"roi_heads\..*\.(cls_score|bbox_pred|mask_fcn_logits|maskiou)\.(weight|bias)$"
)
# the same of a RetinaNet; an RPN, which has no tower, has an output of this name per anchor
_OF_CLASSES_IN_RETINANET = re.compile(r"(.*rpn\.head\.)cls_logits\.(weight|bias)$")
# deformable convolution -> plain convolution that it can be initialized from
_DEFORMABLE = (".conv2.conv.", ".conv2.")


@dataclass(frozen=True)
class LoadReport:
    """Outcome of loading weights into a model, by name.

    Attributes:
        matched: name in the file by model name, for the tensors that were copied.
        missing: model names without a match, which keep their values.
        unexpected: names in the file that match no tensor of the model.
        mismatched: (model name, shape in the model, shape in the file) of tensors that keep their
            values.
        of_classes: model names that were not loaded because the classes of the file differ.
    """

    matched: dict[str, str]
    missing: list[str]
    unexpected: list[str]
    mismatched: list[tuple[str, tuple[int, ...], tuple[int, ...]]]
    of_classes: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether every tensor of the model was loaded, except buffers determined by the config."""
        left = self.mismatched or self.of_classes
        return not left and all(_FROM_CONFIG.search(name) for name in self.missing)

    @property
    def backbone_only(self) -> bool:
        """Whether only the tensors of a classification ResNet were loaded."""
        return bool(self.matched) and all(_CLASSIFIER.match(n) for n in self.matched.values())

    def require_complete(self, source: str | Path) -> None:
        """Raise an error unless the whole model was loaded.

        Args:
            source: the file, for the message.

        Raises:
            ValueError: a tensor of the model was not loaded.
        """
        if self.complete:
            return
        short = "does not contain the whole model"
        if self.backbone_only:
            short = "contains the weights of a backbone, not of a whole detector"
        raise ValueError(f"{source} {short}: {self.summary()}")

    def require_frozen(self, model: nn.Module, source: str | Path) -> None:
        """Raise an error if a frozen parameter would keep its random values.

        Args:
            model: the loaded model; parameters with ``requires_grad=False`` are frozen.
            source: the file, for the message.

        Raises:
            ValueError: a frozen parameter was not loaded.
        """
        frozen = [name for name, value in model.named_parameters() if not value.requires_grad]
        absent = [name for name in frozen if name not in self.matched]
        if absent:
            raise ValueError(
                f"{source} lacks frozen parameters (SOLVER.TRAIN_ONLY, "
                f"MODEL.BACKBONE.FREEZE_CONV_BODY_AT): {_names(absent)}; {self.summary()}"
            )

    def summary(self) -> str:
        """Return the report as a few lines with the count and first names of each kind."""
        left = len(self.missing) + len(self.mismatched) + len(self.of_classes)
        total = len(self.matched) + left
        lines = [f"loaded {len(self.matched)} of the model's {total} tensors"]
        if self.missing:
            lines.append(f"not in the file, kept unchanged: {_names(self.missing)}")
        if self.mismatched:
            shapes = [f"{name} {model} != {loaded}" for name, model, loaded in self.mismatched]
            lines.append(f"of another shape, kept unchanged: {_names(shapes)}")
        if self.of_classes:
            lines.append(f"of other classes, re-initialized: {_names(self.of_classes)}")
        if self.unexpected:
            lines.append(f"in the file but not used: {_names(self.unexpected)}")
        return "\n  ".join(lines)


def _names(names: list[str]) -> str:
    """Return ``"3: a, b, c"``, truncated if long."""
    more = ", ..." if len(names) > _SHOWN else ""
    return f"{len(names)}: {', '.join(names[:_SHOWN])}{more}"


def strip_module_prefix(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Remove the ``module.`` prefix of DataParallel if every name has it."""
    prefix = "module."
    if not all(name.startswith(prefix) for name in state):
        return dict(state)
    return {name[len(prefix) :]: tensor for name, tensor in state.items()}


def match_suffixes(
    model_names: Iterable[str], loaded_names: Iterable[str]
) -> dict[str, str | None]:
    """Return for each model name the longest loaded name that is a suffix of it, or None.

    As in maskrcnn-benchmark, the suffix may begin anywhere in the name, not only after a dot; so
    ``backbone.body.layer1.0.conv1.weight`` matches ``layer1.0.conv1.weight`` rather than
    ``conv1.weight``. A deformable ``conv2.conv.weight`` without a match uses ``conv2.weight``.
    """
    loaded = set(loaded_names)

    def longest_end(name: str) -> str | None:
        return next((name[i:] for i in range(len(name)) if name[i:] in loaded), None)

    return {
        name: longest_end(name) or longest_end(name.replace(*_DEFORMABLE)) for name in model_names
    }


def _has_row_per_class(name: str, own: Mapping[str, Tensor]) -> bool:
    """Return whether a tensor of the model has rows for each class; 4 offsets are those of all."""
    dense = _OF_CLASSES_IN_RETINANET.match(name)
    if dense is not None:
        return f"{dense[1]}cls_tower.0.weight" in own
    is_shared = "bbox_pred" in name and len(own[name]) == 4
    return _OF_CLASSES.search(name) is not None and not is_shared


@torch.no_grad()
def load_state_dict(
    model: nn.Module, loaded: Mapping[str, Tensor], *, same_classes: bool = True
) -> LoadReport:
    """Copy loaded tensors into the model's parameters and buffers by matching names.

    Args:
        model: modified in place; tensors without a match or with another shape keep their values.
        loaded: tensors by name.
        same_classes: if False, tensors with a row per class also keep their values.

    Raises:
        ValueError: no tensor could be loaded.
    """
    loaded = strip_module_prefix(loaded)
    own = model.state_dict()
    matches = match_suffixes(own, loaded)
    matched: dict[str, str] = {}
    missing: list[str] = []
    mismatched: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = []
    of_classes: list[str] = []
    for name, source in matches.items():
        if source is None:
            missing.append(name)
        elif not same_classes and _has_row_per_class(name, own):
            of_classes.append(name)
        elif own[name].shape != loaded[source].shape:
            mismatched.append((name, tuple(own[name].shape), tuple(loaded[source].shape)))
        else:
            own[name].copy_(loaded[source])
            matched[name] = source
    if not matched:
        raise ValueError(
            f"none of the {len(loaded)} loaded tensors matches the model: the file has "
            f"{_names(list(loaded)) if loaded else 'no tensors'}; the model has "
            f"{_names(list(own))}"
        )
    used = {source for source in matches.values() if source is not None}
    unexpected = [name for name in loaded if name not in used]
    return LoadReport(matched, missing, unexpected, mismatched, of_classes)
