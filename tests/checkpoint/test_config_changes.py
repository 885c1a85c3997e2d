from maskrcnn_benchmark.checkpoint.config_changes import config_changes
from maskrcnn_benchmark.config import cfg


def test_names_every_key_that_changed_with_both_values():
    before, after = cfg.clone(), cfg.clone()
    after.merge_from_list(["SOLVER.BASE_LR", 0.5, "SOLVER.STEPS", (1, 2), "OUTPUT_DIR", "there"])
    after.merge_from_list(["DATASETS.CUSTOM.mine.ANN_FILE", "a.json"])
    assert config_changes(before.dump(), after.dump()) == [
        "SOLVER.BASE_LR 0.001 -> 0.5",
        "SOLVER.STEPS [30000] -> [1, 2]",
        "DATASETS.CUSTOM.mine.ANN_FILE (none) -> a.json",
    ]
    assert config_changes(after.dump(), after.dump()) == []
