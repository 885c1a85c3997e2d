"""Shared test setup: two threads, a fixed seed, hypothesis profiles."""

import pytest
import torch
from hypothesis import HealthCheck, settings

# an example may be slow on a busy machine, and a fixture chooses the implementation of a test
_any_time = {"deadline": None, "suppress_health_check": list(HealthCheck)}
settings.register_profile("operators", max_examples=60, derandomize=True, **_any_time)
settings.register_profile("fuzz", max_examples=5000, **_any_time)
settings.load_profile("operators")


@pytest.fixture(autouse=True)
def _fixed_seed() -> None:
    torch.set_num_threads(2)
    torch.manual_seed(0)
