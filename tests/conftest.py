"""Settings shared by all tests: two threads, a fixed seed."""

import pytest
import torch


@pytest.fixture(autouse=True)
def _fixed_seed() -> None:
    torch.set_num_threads(2)
    torch.manual_seed(0)
