import pytest

from maskrcnn_benchmark.config import cfg
from maskrcnn_benchmark.config.linear_scaling import scale_to_batch

SCHEDULE = {"BASE_LR": 0.02, "MAX_ITER": 90000, "STEPS": (60000, 80000), "WARMUP_ITERS": 500}


def config(**solver):
    tree = cfg.clone()
    for key, value in (SCHEDULE | {"CHECKPOINT_PERIOD": 2500} | solver).items():
        tree.merge_from_list([f"SOLVER.{key}", value])
    return tree


def test_two_images_get_the_usual_schedule():
    tree = config(REFERENCE_BATCH=16, IMS_PER_BATCH=2)
    (line,) = scale_to_batch(tree)
    assert pytest.approx(0.0025) == tree.SOLVER.BASE_LR
    assert tree.SOLVER.MAX_ITER == 720000
    assert tree.SOLVER.STEPS == (480000, 640000)
    assert tree.SOLVER.WARMUP_ITERS == 4000
    assert tree.SOLVER.CHECKPOINT_PERIOD == 20000
    assert tree.SOLVER.TEST_PERIOD == 0
    assert (
        "from batches of 16 images to 2: BASE_LR 0.02 -> 0.0025, MAX_ITER 90000 -> 720000" in line
    )


def test_a_larger_batch_sees_as_many_images_in_fewer_iterations():
    tree = config(REFERENCE_BATCH=16, IMS_PER_BATCH=64, TEST_PERIOD=2000)
    scale_to_batch(tree)
    assert pytest.approx(0.08) == tree.SOLVER.BASE_LR
    assert (tree.SOLVER.MAX_ITER, tree.SOLVER.STEPS) == (22500, (15000, 20000))
    assert tree.SOLVER.TEST_PERIOD == 500
    scale_to_batch(tree := config(REFERENCE_BATCH=16, IMS_PER_BATCH=64, TEST_PERIOD=1))
    assert tree.SOLVER.TEST_PERIOD == 1  # 0 would switch it off


@pytest.mark.parametrize("images", [2, 64])
def test_the_moving_average_spans_the_same_number_of_images(images):
    tree = config(REFERENCE_BATCH=16, IMS_PER_BATCH=images, EMA_DECAY=0.999, TEST_PERIOD=8)
    (line,) = scale_to_batch(tree)
    # relative weight of the parameters from 6400 images ago
    before = 0.999 ** (6400 // 16)
    assert tree.SOLVER.EMA_DECAY ** (6400 // images) == pytest.approx(before)
    assert f"EMA_DECAY 0.999 -> {tree.SOLVER.EMA_DECAY:g}" in line
    scale_to_batch(tree := config(REFERENCE_BATCH=16, IMS_PER_BATCH=images))
    assert tree.SOLVER.EMA_DECAY == 0


def test_only_iteration_counts_are_scaled():
    keys = ("BASE_LR", "MAX_ITER", "STEPS", "WARMUP_ITERS", "CHECKPOINT_PERIOD", "TEST_PERIOD")
    tree = config(REFERENCE_BATCH=16, IMS_PER_BATCH=2, EMA_DECAY=0.9, TEST_PERIOD=8)
    before = tree.clone()
    scale_to_batch(tree)
    changed = {key for key in tree.SOLVER if tree.SOLVER[key] != before.SOLVER[key]}
    assert changed == {*keys, "EMA_DECAY", "REFERENCE_BATCH"}


def test_scaling_is_not_applied_twice():
    tree = config(REFERENCE_BATCH=16, IMS_PER_BATCH=2)
    scale_to_batch(tree)
    again = cfg.clone()
    again.merge_from_other_cfg(tree)
    assert scale_to_batch(again) == []
    assert again == tree


def test_it_is_off_by_default():
    tree = config(IMS_PER_BATCH=2)
    before = tree.dump()
    assert scale_to_batch(tree) == []
    assert tree.dump() == before
