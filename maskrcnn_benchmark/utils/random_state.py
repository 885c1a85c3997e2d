"""The random generators of a training.

All draws of a step are a function of the run's seed, the iteration and the rank, because the
generators are seeded anew before each step. So a step can be repeated, whatever was drawn before.
"""

from __future__ import annotations

import logging
import random
from typing import Any

import numpy as np
import torch

from .comm import all_gather, get_rank, get_world_size


def seed_generators(seed: int) -> None:
    """Seed Python's, NumPy's and torch's generators, on all devices, with 0 <= seed < 2**32."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 users' transforms may draw from it
    torch.manual_seed(seed)


def step_seed(seed: int, iteration: int, rank: int) -> int:
    """Return the seed, below 2**32, of what a process draws in an iteration of a run."""
    return int(np.random.SeedSequence((seed, iteration, rank)).generate_state(1)[0])


class RandomStates:
    """The states of all processes' generators, as a part of a checkpoint.

    Steps do not need them (see ``seed_generators``); they are for what draws between two steps.

    Args:
        device: where the model is.
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self._device = torch.device(device)

    def state_dict(self) -> dict[str, Any]:
        """Return ``{"ranks": [...]}``: tensors, numbers and tuples; all processes must call it."""
        numpy: dict[str, Any] = np.random.get_state(legacy=False)  # type: ignore[assignment]  # noqa: NPY002
        numpy["state"]["key"] = tuple(numpy["state"]["key"].tolist())
        own = {
            "python": random.getstate(),
            "numpy": numpy,
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state(self._device) if self._is_gpu() else None,
        }
        return {"ranks": all_gather(own)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore this process' generators; with another number of processes, say what it means."""
        ranks = state["ranks"]
        if len(ranks) != get_world_size():
            logging.getLogger(__name__).warning(
                f"The checkpoint is of a job of {len(ranks)} processes and this one has "
                f"{get_world_size()}: each draws its own batches, so the result will not be bit "
                "for bit that of an uninterrupted run"
            )
            return
        own = ranks[get_rank()]
        random.setstate(own["python"])
        np.random.set_state(own["numpy"])  # noqa: NPY002
        torch.set_rng_state(own["torch"])
        if own["cuda"] is not None and self._is_gpu():
            torch.cuda.set_rng_state(own["cuda"], self._device)

    def _is_gpu(self) -> bool:
        return self._device.type == "cuda"
