"""Random number generators of a training run.

All draws of a step are a function of the seed, the iteration and the rank, because the
generators are re-seeded before each step, so a step can be reproduced whatever was drawn before.
"""

import logging
import random
from typing import Any

import numpy as np
import torch

from maskrcnn_benchmark.utils.comm import all_gather, get_rank, get_world_size


def seed_generators(seed: int) -> None:
    """Seed the generators of Python, NumPy and torch (all devices) with 0 <= seed < 2**32."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 user transforms may use it
    torch.manual_seed(seed)


def step_seed(seed: int, iteration: int, rank: int) -> int:
    """Return the seed, below 2**32, of one rank in one iteration of a run."""
    return int(np.random.SeedSequence((seed, iteration, rank)).generate_state(1)[0])


class RandomStates:
    """Generator states of all ranks, as part of a checkpoint.

    Steps do not need them (see ``seed_generators``); they cover draws between two steps.

    Args:
        device: device of the model.
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self._device = torch.device(device)

    def state_dict(self) -> dict[str, Any]:
        """Return ``{"ranks": [...]}``; every rank must call this."""
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
        """Restore the generators of this rank; warn if the number of processes changed."""
        ranks = state["ranks"]
        if len(ranks) != get_world_size():
            logging.getLogger(__name__).warning(
                f"The checkpoint was saved by a job of {len(ranks)} processes, this job has "
                f"{get_world_size()}: the batches will differ, so the result will not be bitwise "
                "identical to that of an uninterrupted run"
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
