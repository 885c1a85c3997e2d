"""Former home of ``maskrcnn_benchmark.engine.random_state``."""

from maskrcnn_benchmark.engine.random_state import RandomStates, seed_generators, step_seed

__all__ = ["RandomStates", "seed_generators", "step_seed"]
