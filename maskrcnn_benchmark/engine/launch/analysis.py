"""Parameters, FLOPs and shapes of the model of a config."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from yacs.config import CfgNode

from maskrcnn_benchmark.engine.launch.own_data import DatasetFiles
from maskrcnn_benchmark.engine.launch.run_config import (
    Config,
    Settings,
    complete_config,
    make_config,
    setting_list,
)
from maskrcnn_benchmark.engine.train_only import freeze_all_but
from maskrcnn_benchmark.modeling.analysis import Part, analyze_parts
from maskrcnn_benchmark.modeling.detector import GeneralizedRCNN, build_detection_model
from maskrcnn_benchmark.utils.user_error import user_errors

_LEAST_SIDE = 32  # below it the coarsest map of an FPN would be empty


class Analysis(NamedTuple):
    """What a model has, costs and returns.

    Attributes:
        size: ``(height, width)`` of the image, padded.
        parts: in the order in which they run.
    """

    size: tuple[int, int]
    parts: list[Part]

    @property
    def total(self) -> Part:
        """The sum of the parts, without shapes."""
        return Part(
            "all",
            parameters=sum(part.parameters for part in self.parts),
            trainable=sum(part.trainable for part in self.parts),
            flops=sum(part.flops for part in self.parts),
            shapes=[],
        )


def analyze(
    config: Config = "",
    *,
    settings: Settings = (),
    datasets: Mapping[str, DatasetFiles] | None = None,
    size: Sequence[int] | None = None,
) -> Analysis:
    """Return parameters, FLOPs and shapes of the model that ``train`` builds of the same arguments.

    The same as ``tools/analyze.py``. The model has shapes but no memory, and nothing is computed,
    so that any config takes seconds.

    Args:
        config: as in ``train``, like the two that follow.
        settings: see there.
        datasets: see there; without any, NUM_CLASSES is the config's and no data are read.
        size: ``(height, width)`` of the padded image; by default that of the largest test image.

    Raises:
        UserError: a ValueError; the config or the data are wrong, or a side is below 32.
    """
    with user_errors():
        pairs = setting_list(settings)
        cfg = make_config(config, pairs)
        complete_config(cfg, config, pairs, datasets or {}, ("TRAIN",) if datasets else ())
        height, width = size or _largest_size(cfg)
        if min(height, width) < _LEAST_SIDE:
            raise ValueError(
                f"an image of {height} x {width}: both sides must be at least {_LEAST_SIDE}"
            )
        with torch.device("meta"):
            model = build_detection_model(cfg, paste_masks=False)
        if not isinstance(model, GeneralizedRCNN):
            raise ValueError(
                f"a {type(model).__name__} cannot be analyzed: its parts are not those of a "
                "GeneralizedRCNN"
            )
        if cfg.SOLVER.TRAIN_ONLY:
            freeze_all_but(model, cfg.SOLVER.TRAIN_ONLY)
    rpn, limit = cfg.MODEL.RPN, cfg.MODEL.ROI_HEADS.DETECTIONS_PER_IMG
    proposals = rpn.FPN_POST_NMS_TOP_N_TEST if rpn.USE_FPN else rpn.POST_NMS_TOP_N_TEST
    detections = limit if limit > 0 else proposals
    parts = analyze_parts(model, (height, width), proposals=proposals, detections=detections)
    return Analysis((height, width), parts)


def _largest_size(cfg: CfgNode) -> tuple[int, int]:
    """Return ``(height, width)`` of the largest test image of the config, padded."""
    step = max(cfg.DATALOADER.SIZE_DIVISIBILITY, 1)
    height, width = (
        -(-side // step) * step for side in (cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST)
    )
    return height, width
