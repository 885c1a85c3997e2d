"""Parse, without executing it, the config that mmdetection stores in its checkpoints.

mmcv 1.x writes ``meta["config"]``, mmengine ``meta["cfg"]``: the text of a Python file that assigns
``dict(...)`` calls and literals, or JSON. Everything else in such a file is ignored.
"""

import ast
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from maskrcnn_benchmark.checkpoint.convert.style import UNKNOWN, Pixels, Style

_FILE_NAME = re.compile(r"^\S+\.(py|json|ya?ml)\s*$", re.MULTILINE)  # mmcv puts it in front
_OTHER = object()  # anything that is not a literal
_Tree = Mapping[str, Any]


@dataclass(frozen=True)
class FileConfig:
    """The settings that a file contains.

    Attributes:
        style: image preparation and stride of the ResNet.
        class_names: class names without the background; None if unknown.
        settings: values by key of our config, such as ``"MODEL.RPN.NMS_THRESH"``.
    """

    style: Style
    class_names: list[str] | None
    settings: dict[str, Any]


def read_file_config(meta: Any) -> FileConfig:
    """Read the ``meta`` entry of an mmdetection checkpoint.

    Args:
        meta: the value of the entry; None, or a value of another form, gives no settings.
    """
    if not isinstance(meta, Mapping):
        return FileConfig(UNKNOWN, None, {})
    stored = meta.get("cfg", meta.get("config"))
    tree = stored if isinstance(stored, Mapping) else parse_config(str(stored or ""))
    dataset = meta.get("dataset_meta")
    dataset = dataset if isinstance(dataset, Mapping) else {}
    names = meta.get("CLASSES", dataset.get("classes", dataset.get("CLASSES")))
    is_list = isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)
    return FileConfig(_style(tree), list(names) if is_list else None, _settings(tree))


def parse_config(text: str) -> dict[str, Any]:
    """Return the assignments of a config as plain values; ``{}`` if the text has another form."""
    try:
        if text.lstrip().startswith("{"):
            tree = json.loads(text)
            return tree if isinstance(tree, dict) else {}
        module = ast.parse(_FILE_NAME.sub("", text))
        names: dict[str, Any] = {}
        for node in module.body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                name = node.targets[0].id
                names[name] = _merged(names.get(name), _value(node.value, names))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    return names


def _merged(old: Any, new: Any) -> Any:
    """Merge ``new`` over ``old``: a config that extends another repeats only the differences."""
    if not isinstance(old, dict) or not isinstance(new, dict) or new.get("_delete_"):
        return new
    return old | {key: _merged(old.get(key), value) for key, value in new.items()}


def _value(node: ast.expr, names: _Tree) -> Any:
    """Evaluate an expression of literals, ``dict(...)`` and names assigned before."""
    if isinstance(node, ast.Name):
        return names.get(node.id, _OTHER)
    if isinstance(node, ast.List | ast.Tuple):
        items = [_value(item, names) for item in node.elts]
        return [item for item in items if item is not _OTHER]
    if isinstance(node, ast.Dict):
        return _dict(zip(node.keys, node.values, strict=True), names)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict":
        keywords = ((k.arg and ast.Constant(k.arg), k.value) for k in node.keywords)
        return _dict(keywords, names)
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError):
        return _OTHER


def _dict(pairs: Any, names: _Tree) -> dict[str, Any]:
    """Evaluate the key and value nodes of a dict; the key None marks a ``**`` argument."""
    made: dict[str, Any] = {}
    for key, node in pairs:
        value = _value(node, names)
        if key is None:
            made |= value if isinstance(value, dict) else {}
        elif value is not _OTHER and isinstance(key, ast.Constant):
            made[str(key.value)] = value
    return made


def _at(tree: Any, *paths: str) -> Any:
    """Return the value at the first dotted path that exists, or None."""
    for path in paths:
        node = tree
        for name in path.split("."):
            node = node.get(name) if isinstance(node, Mapping) else None
        if node is not None:
            return node
    return None


def _dicts(node: Any) -> Iterator[_Tree]:
    """Yield every dict in a tree."""
    if isinstance(node, Mapping):
        yield node
    for item in node.values() if isinstance(node, Mapping) else node:
        if isinstance(item, Mapping | list | tuple):
            yield from _dicts(item)


def _numbers(value: Any, count: int) -> tuple[float, ...] | None:
    """Return a list of ``count`` numbers as floats, or None for anything else."""
    is_list = isinstance(value, list | tuple) and len(value) == count
    if not is_list or not all(type(item) in (int, float) for item in value):
        return None
    return tuple(float(item) for item in value)


def _style(tree: _Tree) -> Style:
    backbone = _at(tree, "model.backbone")
    stride = None
    if isinstance(backbone, Mapping):  # by default the stride is in the 3x3 convolutions
        stride = backbone.get("style", "pytorch") == "caffe"
    found = set()
    for node in _dicts(tree):
        mean, std = _numbers(node.get("mean"), 3), _numbers(node.get("std"), 3)
        if mean is not None and std is not None:
            # the pipeline transform converts to RGB by default, the data preprocessor does not
            to_rgb = node.get("to_rgb", node.get("bgr_to_rgb", node.get("type") == "Normalize"))
            found.add(Pixels(not to_rgb, mean, std))
    return Style(found.pop() if len(found) == 1 else None, stride)


def _number(value: Any) -> float | int | None:
    return value if type(value) in (int, float) else None


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _weights(value: Any) -> list[float] | None:
    stds = _numbers(value, 4)
    return None if stds is None or 0 in stds else [round(1 / std, 6) for std in stds]


def _stage_weights(value: Any) -> list[list[float]] | None:
    """Return the weights of each stage of a cascade, which is a list of box heads."""
    if not isinstance(value, list | tuple):
        return None
    found = [_weights(_at(stage, "bbox_coder.target_stds")) for stage in value]
    weights = [stage for stage in found if stage is not None]
    return weights if len(weights) == len(found) else None


_RCNN, _RPN = ("model.test_cfg.rcnn", "test_cfg.rcnn"), ("model.test_cfg.rpn", "test_cfg.rpn")
_HEADS = {"BOX": "bbox", "MASK": "mask"}
# our key -> possible paths of theirs, and how to read the value
_KEYS: dict[str, tuple[tuple[str, ...], tuple[str, ...], Callable[[Any], Any]]] = {
    "MODEL.ROI_HEADS.SCORE_THRESH": (_RCNN, ("score_thr",), _number),
    "MODEL.ROI_HEADS.DETECTIONS_PER_IMG": (_RCNN, ("max_per_img",), _number),
    "MODEL.ROI_HEADS.NMS": (_RCNN, ("nms.iou_threshold", "nms.iou_thr"), _number),
    "MODEL.ROI_MASK_HEAD.POSTPROCESS_MASKS_THRESHOLD": (_RCNN, ("mask_thr_binary",), _number),
    "MODEL.RPN.PRE_NMS_TOP_N_TEST": (_RPN, ("nms_pre",), _number),
    "MODEL.RPN.POST_NMS_TOP_N_TEST": (_RPN, ("max_per_img", "max_num"), _number),
    "MODEL.RPN.FPN_POST_NMS_TOP_N_TEST": (_RPN, ("max_per_img", "max_num"), _number),
    "MODEL.RPN.NMS_THRESH": (_RPN, ("nms.iou_threshold", "nms_thr"), _number),
    "MODEL.ROI_HEADS.BBOX_REG_WEIGHTS": (
        ("model.roi_head.bbox_head.bbox_coder",),
        ("target_stds",),
        _weights,
    ),
    "MODEL.ROI_BOX_CASCADE_HEAD.BBOX_REG_WEIGHTS": (
        ("model.roi_head",),
        ("bbox_head",),
        _stage_weights,
    ),
    **{
        f"MODEL.ROI_{ours}_HEAD.{key}": (
            (f"model.roi_head.{theirs}_roi_extractor.roi_layer",),
            names,
            read,
        )
        for ours, theirs in _HEADS.items()
        for key, names, read in (
            ("POOLER_SAMPLING_RATIO", ("sampling_ratio", "sample_num"), _number),
            ("POOLER_ALIGNED", ("aligned",), _flag),
        )
    },
}


def _settings(tree: _Tree) -> dict[str, Any]:
    """Return the thresholds, numbers and sampling options of the file by our keys."""
    found = {}
    for key, (sections, names, read) in _KEYS.items():
        value = read(_at(tree, *(f"{section}.{name}" for section in sections for name in names)))
        if value is not None:
            found[key] = value
    return found
