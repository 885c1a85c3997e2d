"""Every key of SOLVER has the effect that its comment describes."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from yacs.config import CfgNode

from maskrcnn_benchmark.checkpoint.checkpointer import Checkpointer
from maskrcnn_benchmark.config.linear_scaling import scale_to_batch
from maskrcnn_benchmark.data import make_data_loader
from maskrcnn_benchmark.engine.launch.training import make_training
from maskrcnn_benchmark.engine.stop_request import StopRequest
from maskrcnn_benchmark.engine.train_only import make_learner
from maskrcnn_benchmark.engine.train_step import StepOptions, train_step
from maskrcnn_benchmark.engine.trainer import do_train
from maskrcnn_benchmark.engine.validation import make_validation
from maskrcnn_benchmark.modeling.detector import build_detection_model
from maskrcnn_benchmark.solver import make_lr_scheduler, make_optimizer
from tests.data.helpers import square, write_coco
from tests.engine.stand_ins import TinyDataset, TinyModel, collate, tiny_loader
from tests.helpers.every_key import Case, all_keys, assert_complete
from tests.helpers.observers import batch_sizes
from tests.helpers.ranks import on_ranks
from tests.helpers.thin_model import two_objects
from tests.helpers.tiny_detector import tiny_tree

DATA = {
    "DATASETS.CUSTOM.cats.ANN_FILE": "annotations.json",
    "DATASETS.CUSTOM.cats.IMG_DIR": "images",
    "DATASETS.TRAIN": ("cats",),
    "DATASETS.TEST": ("cats",),
    "DATALOADER.NUM_WORKERS": 0,
    "MODEL.DEVICE": "cpu",
    "MODEL.ROI_BOX_HEAD.NUM_CLASSES": 3,
    **{f"INPUT.MIN_SIZE_{split}": 20 for split in ("TRAIN", "TEST")},
}
SCHEDULE = {
    "SOLVER.BASE_LR": 1.0,
    "SOLVER.WARMUP_FACTOR": 0.5,
    "SOLVER.WARMUP_ITERS": 2,
    "SOLVER.STEPS": (4,),
    "SOLVER.MAX_ITER": 8,
    "SOLVER.IMS_PER_BATCH": 2,
    "TEST.IMS_PER_BATCH": 2,
}


def rates(config: CfgNode) -> list[float]:
    """Return the learning rate of a weight at iterations 0 to 5."""
    return [weight for weight, _ in _rates(config)]


def bias_rates(config: CfgNode) -> list[float]:
    """Return the learning rate of a bias at iterations 0 to 5."""
    return [bias for _, bias in _rates(config)]


def _rates(config: CfgNode) -> list[list[float]]:
    optimizer = make_optimizer(config, nn.Linear(1, 1))
    scheduler, found = make_lr_scheduler(config, optimizer), []
    for _ in range(6):
        found.append([round(group["lr"], 6) for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    return found


def updated(config: CfgNode) -> tuple[float, float]:
    """Return weight and bias, both initially 1, after two steps with gradient 1."""
    layer = nn.Linear(1, 1)
    optimizer = make_optimizer(config, layer)
    for parameter in layer.parameters():
        nn.init.ones_(parameter)
        parameter.grad = torch.ones_like(parameter)
    for _ in range(2):
        optimizer.step()
    return round(layer.weight.item(), 6), round(layer.bias.item(), 6)


def two_steps(momentum: float = 0.0, decay: float = 0.0) -> float:
    """Return a weight of 1 after two SGD steps with learning rate 0.1 and gradient 1."""
    first = 1 + decay
    value = 1 - 0.1 * first
    return round(value - 0.1 * (momentum * first + 1 + decay * value), 6)


class Slope(nn.Module):
    """Model with the loss 3 a + 4 b for any images; counts its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2))
        self.calls = 0

    def forward(self, images: Any, targets: Any) -> dict[str, torch.Tensor]:
        self.calls += 1
        return {"loss": self.weight @ torch.tensor([3.0, 4.0])}


def stepped(config: CfgNode) -> dict[str, Any]:
    """Return the number of calls, weights and averaged weights after two steps at rate 1."""
    model, batch = Slope(), collate([TinyDataset()[i] for i in range(4)])
    options = StepOptions.from_cfg(config, model, torch.device("cpu"))
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    for _ in range(2):
        train_step(model, optimizer, batch, "cpu", options=options)
    averaged = options.trained(model).weight
    return {
        "calls": model.calls,
        "weights": [round(x, 4) for x in model.weight.tolist()],
        "averaged": [round(x, 4) for x in averaged.tolist()],
    }


def trainable(config: CfgNode) -> set[str]:
    """Return the parts of a tiny model that receive gradients."""
    config = config.clone()
    config.merge_from_other_cfg(CfgNode({"MODEL": tiny_tree()["MODEL"]}))
    torch.manual_seed(0)
    model = build_detection_model(config)
    losses = make_learner(config, model).train()(torch.zeros(1, 3, 64, 64), [two_objects()])
    sum(losses.values()).backward()
    parts = {
        "backbone": "backbone",
        "rpn": "rpn",
        "roi_heads.box": "box",
        "roi_heads.mask.": "mask",
    }
    parts["roi_heads.maskiou"] = "maskiou"
    return {
        part
        for name, weight in model.named_parameters()
        for prefix, part in parts.items()
        if name.startswith(prefix) and weight.grad is not None
    }


def _exchange(rank: int, config: CfgNode) -> None:
    training = make_training(config, torch.device("cpu"))
    images, targets, _ = next(iter(training.data_loader))
    sum(training.model(images, targets).values()).backward()
    gradients = [p.grad for p in training.model.parameters() if p.grad is not None]
    rounded = all(bool((g == g.bfloat16()).all()) for g in gradients)
    if rank == 0:
        assert any(g.any() for g in gradients)
        Path("exchanged").write_text(str(rounded), encoding="utf-8")


def gradients_in_bfloat16(config: CfgNode) -> bool:
    """Return whether the gradients that two ranks have exchanged are numbers of bfloat16."""
    config = config.clone()
    config.merge_from_other_cfg(CfgNode({"MODEL": tiny_tree()["MODEL"]}))
    config.merge_from_list(["MODEL.WEIGHT", "", "MODEL.ROI_BOX_HEAD.NUM_CLASSES", 3])
    on_ranks(_exchange, config)
    return Path("exchanged").read_text(encoding="utf-8") == "True"


def iterations(config: CfgNode) -> tuple[int, int]:
    """Return the length of the training loader and its actual number of batches."""
    loader = make_data_loader(config)
    return len(loader), sum(1 for _ in loader)


def scaled(config: CfgNode) -> list[Any]:
    """Return the initial learning rate and schedule."""
    scale_to_batch(config)
    keys = ("BASE_LR", "MAX_ITER", "STEPS", "WARMUP_ITERS", "CHECKPOINT_PERIOD", "TEST_PERIOD")
    return [*(config.SOLVER[key] for key in keys), round(config.SOLVER.EMA_DECAY, 6)]


def checkpoints(config: CfgNode, folder: str = "saved") -> list[str]:
    """Return the checkpoint names of a training with five iterations."""
    model = TinyModel()
    optimizer = make_optimizer(config, model)
    scheduler = make_lr_scheduler(config, optimizer)
    saver = Checkpointer(model, optimizer, scheduler, folder)
    period = config.SOLVER.CHECKPOINT_PERIOD
    do_train(model, tiny_loader(5), optimizer, scheduler, saver, "cpu", period, {"iteration": 0})
    written = sorted(Path(folder).glob("*.pth"))
    names = [path.stem for path in written]
    for path in written:
        path.unlink()
    return names


def evaluations(config: CfgNode) -> list[int]:
    """Return the iterations, out of ten, after which the model is evaluated."""
    validation = make_validation(config, dict)
    return [i for i in range(1, 11) if validation is not None and validation.is_due(i, 10)]


def best(config: CfgNode) -> list[bool]:
    """Return which of three evaluations are best so far; box and mask AP disagree."""
    figures = iter([(0.1, 0.3), (0.2, 0.2), (0.3, 0.4)])
    validation = make_validation(
        config, lambda _: dict(zip(("bbox_AP", "segm_AP"), next(figures), strict=True))
    )
    assert validation is not None
    stop_request = StopRequest(torch.device("cpu"))
    return [validation.run(i, stop_request)[1] for i in range(3)]


def cosine(max_iter: int) -> list[float]:
    warmup = [0.5, 0.75, 1, 1, 1, 1]
    return [round(w * (1 + math.cos(math.pi * i / max_iter)) / 2, 6) for i, w in enumerate(warmup)]


PLAIN_RATES = [0.5, 0.75, 1, 1, 0.1, 0.1]
DOUBLE_RATES = [1, 1.5, 2, 2, 0.2, 0.2]
CONSTANT = {"SOLVER.BASE_LR": 0.1, "SOLVER.MOMENTUM": 0.0, "SOLVER.WEIGHT_DECAY": 0.0} | {
    "SOLVER.WARMUP_ITERS": 0,
    "SOLVER.BIAS_LR_FACTOR": 1,
}
STEPPED = {"calls": 2, "weights": [-6, -8], "averaged": [-6, -8]}
EVERYTHING = {"backbone", "rpn", "box", "mask", "maskiou"}
CASES = [
    Case("SOLVER.BASE_LR", 2.0, rates, PLAIN_RATES, DOUBLE_RATES),
    Case("SOLVER.BIAS_LR_FACTOR", 4, bias_rates, DOUBLE_RATES, [2, 3, 4, 4, 0.4, 0.4]),
    Case("SOLVER.GAMMA", 0.5, rates, PLAIN_RATES, [0.5, 0.75, 1, 1, 0.5, 0.5]),
    Case("SOLVER.STEPS", (3, 5), rates, PLAIN_RATES, [0.5, 0.75, 1, 0.1, 0.1, 0.01]),
    Case("SOLVER.WARMUP_FACTOR", 0.2, rates, PLAIN_RATES, [0.2, 0.6, 1, 1, 0.1, 0.1]),
    Case("SOLVER.WARMUP_ITERS", 4, rates, PLAIN_RATES, [0.5, 0.625, 0.75, 0.875, 0.1, 0.1]),
    Case("SOLVER.WARMUP_METHOD", "constant", rates, PLAIN_RATES, [0.5, 0.5, 1, 1, 0.1, 0.1]),
    Case("SOLVER.LR_SCHEDULER_NAME", "WarmupCosineLR", rates, PLAIN_RATES, cosine(8)),
    Case(
        *("SOLVER.MAX_ITER", 20, rates, cosine(8), cosine(20)),
        {"SOLVER.LR_SCHEDULER_NAME": "WarmupCosineLR"},
    ),
    Case("SOLVER.MAX_ITER", 3, iterations, (8, 8), (3, 3)),
    Case(
        *("SOLVER.MOMENTUM", 0.9, updated, (0.8, 0.8), (two_steps(momentum=0.9),) * 2),
        CONSTANT,
    ),
    Case(
        *("SOLVER.WEIGHT_DECAY", 0.5, updated, (0.8, 0.8), (two_steps(decay=0.5), 0.8)),
        CONSTANT,
    ),
    Case(
        *("SOLVER.WEIGHT_DECAY_BIAS", 0.5, updated, (0.8, 0.8), (0.8, two_steps(decay=0.5))),
        CONSTANT,
    ),
    Case(
        *("SOLVER.TRAIN_ONLY", "maskiou", trainable, EVERYTHING, {"maskiou"}),
    ),
    Case("SOLVER.TRAIN_ONLY", "rpn", trainable, EVERYTHING, {"rpn"}),
    Case("SOLVER.ACCUMULATE", 4, stepped, STEPPED, STEPPED | {"calls": 8}),
    Case("SOLVER.ALLREDUCE_DTYPE", "bfloat16", gradients_in_bfloat16, False, True),
    # a gradient of (3, 4) has the norm 5
    *(
        Case(key, value, stepped, STEPPED, STEPPED | {"weights": after, "averaged": after})
        for key, value, after in (
            ("SOLVER.CLIP_GRAD_NORM", 2.5, [-3, -4]),
            ("SOLVER.CLIP_GRAD_VALUE", 3.5, [-6, -7]),
        )
    ),
    # the average starts at the first step's weights, (-3, -4)
    Case("SOLVER.EMA_DECAY", 0.75, stepped, STEPPED, STEPPED | {"averaged": [-3.75, -5]}),
    Case("SOLVER.TEST_PERIOD", 4, evaluations, [], [4, 8, 10]),
    Case(
        *("SOLVER.BEST_METRIC", "bbox_AP", best, [True, False, True], [True, True, True]),
        {"SOLVER.TEST_PERIOD": 1, "MODEL.MASK_ON": True},
    ),
    Case(
        *("SOLVER.CHECKPOINT_PERIOD", 2, checkpoints),
        *(["model_final"], ["model_0000002", "model_0000004", "model_final"]),
    ),
    Case(
        *("SOLVER.IMS_PER_BATCH", 3, batch_sizes),
        {"train": [2, 2, 2, 2], "test": [2, 2]},
        {"train": [3, 1, 3, 1], "test": [2, 2]},
        {"SOLVER.MAX_ITER": 4},
    ),
    Case(
        *("SOLVER.REFERENCE_BATCH", 8, scaled),
        *([1.0, 8, (4,), 2, 3, 5, 0.6561], [0.25, 32, (16,), 8, 12, 20, 0.9]),
        {"SOLVER.CHECKPOINT_PERIOD": 3, "SOLVER.TEST_PERIOD": 5, "SOLVER.EMA_DECAY": 0.6561},
    ),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("data")
    write_coco(made, [(40, 20, [square(1, 1, 9)])] * 4)
    return made


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_changed_key_changes_what_it_says(case, folder, monkeypatch):
    monkeypatch.chdir(folder)
    case.check({**DATA, **SCHEDULE})


def test_every_key_has_a_case():
    assert_complete([key for key in all_keys() if key.startswith("SOLVER.")], CASES, {})
