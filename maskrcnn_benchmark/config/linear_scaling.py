"""The linear scaling rule: k times the batch size, k times the learning rate, 1/k the iterations.

Goyal et al., "Accurate, Large Minibatch SGD" (arXiv 1706.02677), section 2.1. The EMA of
the weights keeps covering the same number of images: k of its steps become one (Busbridge et al.,
"How to Scale Your EMA", arXiv 2307.13813).
"""

from yacs.config import CfgNode

_ITERATIONS = ("MAX_ITER", "STEPS", "WARMUP_ITERS", "CHECKPOINT_PERIOD", "TEST_PERIOD")


def scale_to_batch(cfg: CfgNode) -> list[str]:
    """Scale learning rate and schedule from ``SOLVER.REFERENCE_BATCH`` to ``IMS_PER_BATCH``.

    Afterwards the two are equal, so that a saved config is not scaled again.

    Args:
        cfg: the whole tree, not frozen; changed in place. With reference 0 it is left unchanged.

    Returns:
        One line that describes the changes, or an empty list.
    """
    solver = cfg.SOLVER
    factor = solver.IMS_PER_BATCH / solver.REFERENCE_BATCH if solver.REFERENCE_BATCH > 0 else 1
    if factor == 1:
        return []
    changes = [f"BASE_LR {solver.BASE_LR:g} -> {solver.BASE_LR * factor:g}"]
    solver.BASE_LR *= factor
    for key in _ITERATIONS:
        before = getattr(solver, key)
        many = isinstance(before, tuple | list)
        after = tuple(_scaled(n, factor) for n in before) if many else _scaled(before, factor)
        changes.append(f"{key} {before} -> {after}")
        setattr(solver, key, after)
    if solver.EMA_DECAY > 0:
        changes.append(f"EMA_DECAY {solver.EMA_DECAY:g} -> {solver.EMA_DECAY**factor:g}")
        solver.EMA_DECAY **= factor
    reference, solver.REFERENCE_BATCH = solver.REFERENCE_BATCH, solver.IMS_PER_BATCH
    return [
        f"SOLVER is scaled from batches of {reference} images to {solver.IMS_PER_BATCH}: "
        + ", ".join(changes)
    ]


def _scaled(iterations: int, factor: float) -> int:
    """Return the iterations that cover the same number of images; at least 1, and 0 stays 0."""
    return max(1, round(iterations / factor)) if iterations > 0 else iterations
