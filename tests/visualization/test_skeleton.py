import numpy as np

from maskrcnn_benchmark.visualization import Instances, draw_instances
from maskrcnn_benchmark.visualization.colors import palette
from maskrcnn_benchmark.visualization.skeleton import draw_skeleton

POINTS = np.array([[20, 20, 2], [80, 20, 1], [20, 60, 0], [80, 60, 2]])
SKELETON = [[0, 1], [1, 2], [1, 3]]


def test_limbs_have_colors_of_their_own_and_hidden_points_none() -> None:
    canvas = np.full((80, 100, 3), 100, np.uint8)
    draw_skeleton(canvas, POINTS, SKELETON, 2)
    assert (canvas[20, 50] == palette()[0]).all()
    assert (canvas[40, 80] == palette()[2]).all()
    for x, y, v in POINTS:
        assert (canvas[y, x] == (255 if v else 100)).all()
    assert (canvas[41, 47:53] == 100).all()  # the limb to the hidden point


def test_keypoints_are_enlarged_with_the_image() -> None:
    image = np.full((80, 100, 3), 100, np.uint8)
    instances = Instances(
        boxes=np.array([[10, 10, 90, 70]]), keypoints=POINTS[None], skeleton=SKELETON
    )
    drawn = draw_instances(image, instances, long_side=400)
    assert (drawn[80, 80] == 255).all() and (drawn[80, 200] == palette()[0]).all()
    without = draw_instances(image, Instances(boxes=instances.boxes), long_side=400)
    assert (drawn != without).any(axis=2).mean() > 0.005


def test_points_outside_the_image_are_harmless() -> None:
    canvas = np.full((80, 100, 3), 100, np.uint8)
    draw_skeleton(canvas, np.array([[-500, 20, 1], [2000, 20, 1]]), [[0, 1]], 2)
    assert (canvas[20, 50] == palette()[0]).all()
    draw_skeleton(canvas, np.zeros((0, 3)), [], 2)
