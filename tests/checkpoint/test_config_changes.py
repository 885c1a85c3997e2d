import pytest

from maskrcnn_benchmark.checkpoint.config_changes import config_changes, require_conventions
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


def test_only_conventions_that_a_converted_model_has_are_required():
    """A model without masks, such as a Faster R-CNN, has no settings of the mask head."""
    stages = "ROI_BOX_CASCADE_HEAD: {BBOX_REG_WEIGHTS: [[10.0, 10.0, 5.0, 5.0]]}"
    content = {"converted_from": "x", "config": f"MODEL: {{PIXEL_OFFSET: 0.0, {stages}}}"}
    config = cfg.clone()
    weights = "MODEL.ROI_BOX_CASCADE_HEAD.BBOX_REG_WEIGHTS"
    config.merge_from_list(["MODEL.PIXEL_OFFSET", 0.0, weights, ((10.0, 10.0, 5.0, 5.0),)])
    require_conventions(content, config.dump(), "file.pth")
    for key, value in (("MODEL.PIXEL_OFFSET", 1.0), (weights, ((20.0, 20.0, 10.0, 10.0),))):
        changed = config.clone()
        changed.merge_from_list([key, value])
        with pytest.raises(ValueError, match=rf"does not match it: {key} .*, not "):
            require_conventions(content, changed.dump(), "file.pth")
