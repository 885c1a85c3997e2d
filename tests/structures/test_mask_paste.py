import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

from maskrcnn_benchmark.config import make_default_config
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.image_list import ImageList, to_image_list
from maskrcnn_benchmark.structures.mask_paste import Masker, make_masker
from tests.helpers.vectors import load_vector

META, ARRAYS = load_vector("masker")
SIZE = tuple(META["arguments"]["image_size_wh"])
OUTSIDE = 5  # the original raised for this row, whose box lies outside of the image


@pytest.mark.parametrize(
    ("name", "threshold", "padding"),
    [("t05", 0.5, 1), ("t0", 0, 1), ("debug", -1, 1), ("pad2", 0.5, 2)],
)
def test_recorded_masks(name, threshold, padding):
    boxes = BoxList(torch.from_numpy(ARRAYS["boxes"]), SIZE)
    pasted = Masker(threshold, padding)([torch.from_numpy(ARRAYS["masks"])], [boxes])[0]
    assert pasted.shape == (10, 1, SIZE[1], SIZE[0])
    expected = ARRAYS[f"pasted_{name}"].copy()
    expected[OUTSIDE] = 0
    got = pasted[:, 0].numpy().astype(np.uint8)
    if name == "debug":
        assert np.abs(got.astype(int) - expected).max() <= 1
    else:
        np.testing.assert_array_equal(got, expected)


def test_empty_and_errors():
    pasted = Masker()([torch.zeros(0, 1, 28, 28)], [BoxList([], SIZE)])[0]
    assert pasted.shape == (0, 1, SIZE[1], SIZE[0])
    with pytest.raises(ValueError, match="2 masks for 0 boxes"):
        Masker()([torch.zeros(2, 1, 28, 28)], [BoxList([], SIZE)])


def test_recorded_batch():
    _, arrays = load_vector("image_list")
    images = [torch.from_numpy(arrays[f"img_{i}"]) for i in range(2)]
    batch = to_image_list(images, size_divisible=8)
    np.testing.assert_array_equal(batch.tensors.numpy(), arrays["batch_div8"])
    assert batch.image_sizes == [(10, 13), (12, 9)]
    assert to_image_list(batch) is batch


def test_image_list_errors():
    assert isinstance(to_image_list(torch.zeros(3, 4, 4)), ImageList)
    with pytest.raises(ValueError, match="at least one"):
        to_image_list([])
    with pytest.raises(TypeError, match="str"):
        to_image_list("image.jpg")


@pytest.mark.parametrize("seed", range(4))
def test_rle_of_a_region_is_that_of_the_whole_mask(seed):
    rng = np.random.default_rng(seed)
    boxes = rng.uniform(-8, 30, (20, 2)).repeat(2, 0).reshape(20, 4)
    boxes[:, 2:] += rng.uniform(0, 40, (20, 2))
    boxes[0] = (-9, -9, 60, 60)  # over the whole image
    boxes[1] = (50, 50, 60, 60)  # outside
    masks = torch.from_numpy(rng.uniform(0, 1, (20, 1, 7, 7)).astype(np.float32))
    masks[0] = 1
    prediction = BoxList(boxes, (31, 23))
    masker = Masker()
    whole = masker.forward_single_image(masks, prediction)[:, 0].numpy()
    assert whole[0].all()
    assert not whole[1].any()
    for mask, found in zip(whole, masker.rles(masks, prediction).dicts(), strict=True):
        expected = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
        assert found == {"size": [23, 31], "counts": expected["counts"].decode()}


@pytest.mark.parametrize(
    "edges", [(0, 1, 2, 4), (2, 0, 3, 4), (0, 3, 3, 4), (0, 4, 3, 4), (-2, -2, 6, 8)]
)
def test_rle_of_masks_at_the_border(edges):
    """Runs go on from the bottom of a column to the top of the next one."""
    x1, y1, x2, y2 = edges
    expected = np.zeros((5, 4), np.uint8)
    expected[max(y1, 0) : y2 + 1, max(x1, 0) : x2 + 1] = 1
    rles = Masker(padding=0).rles(torch.ones(1, 1, 3, 3), BoxList([list(edges)], (4, 5)))
    assert rles.counts == [coco_mask.encode(np.asfortranarray(expected))["counts"].decode()]


def random_boxes_and_masks(count=30, side=28, size=SIZE):
    """Soft masks and real-valued boxes, some of them beyond the image, one over all of it."""
    generator = torch.Generator().manual_seed(3)
    corner = torch.rand(count, 2, generator=generator) * torch.tensor(size) * 1.2 - 10
    sides = torch.rand(count, 2, generator=generator).square() * 70 + 0.4
    boxes = torch.cat([corner, corner + sides], dim=1)
    boxes[0] = torch.tensor([-20.3, -15.7, size[0] + 11.2, size[1] + 9.9])
    boxes[1] = torch.tensor([size[0] + 40.0, 5.0, size[0] + 60.0, 20.0])  # outside
    masks = torch.rand(count, 1, side, side, generator=generator)
    masks = torch.nn.functional.avg_pool2d(masks, 5, 1, 2) * 2 - 0.5
    return BoxList(boxes, size), masks.clamp(0, 1)


def bilinear_value(mask, x, y):
    """Bilinear interpolation of ``mask [M, M]`` at ``(x, y)`` in cells, zeros outside, in loops."""
    side, value = len(mask), 0.0
    for row in (int(np.floor(y)), int(np.floor(y)) + 1):
        for column in (int(np.floor(x)), int(np.floor(x)) + 1):
            if 0 <= row < side and 0 <= column < side:
                value += (1 - abs(y - row)) * (1 - abs(x - column)) * float(mask[row, column])
    return value


def by_hand(mask, box, size):
    """The soft mask ``[H, W]`` in the image: each pixel's center carried into the mask."""
    x1, y1, x2, y2 = (float(value) for value in box)
    side = len(mask)
    soft = np.zeros(size[::-1])
    for row in range(size[1]):
        for column in range(size[0]):
            x = (column + 0.5 - x1) / (x2 - x1) * side - 0.5
            y = (row + 0.5 - y1) / (y2 - y1) * side - 0.5
            soft[row, column] = bilinear_value(mask, x, y)
    return soft


def on_the_whole_plane(masks, boxes):
    """The soft masks ``[N, H, W]`` by one grid_sample over the whole image."""
    width, height = boxes.size
    x1, y1, x2, y2 = (column[:, None] for column in boxes.bbox.unbind(dim=1))
    x = (torch.arange(width) + 0.5 - x1) / (x2 - x1) * 2 - 1
    y = (torch.arange(height) + 0.5 - y1) / (y2 - y1) * 2 - 1
    grid = torch.stack([x[:, None, :].expand(-1, height, -1), y[:, :, None].expand(-1, -1, width)])
    return torch.nn.functional.grid_sample(masks, grid.permute(1, 2, 3, 0), align_corners=False)[
        :, 0
    ]


@pytest.mark.parametrize("threshold", [0.5, 0.2, 0.8])
def test_aligned_pasting_is_sampling_on_the_whole_plane(threshold):
    boxes, masks = random_boxes_and_masks()
    pasted = Masker(threshold, aligned=True).forward_single_image(masks, boxes)[:, 0]
    expected = on_the_whole_plane(masks, boxes) >= threshold
    assert torch.equal(pasted, expected)
    assert 2 < expected.any(dim=(1, 2)).sum() < 30
    assert not expected[1].any()
    legacy = Masker(threshold).forward_single_image(masks, boxes)[:, 0]
    assert (legacy != pasted).any(dim=(1, 2)).sum() > 2


def test_aligned_pasting_is_bilinear_interpolation_at_pixel_centers():
    boxes, masks = random_boxes_and_masks(8, 7, (41, 33))
    soft = Masker(-1, aligned=True).forward_single_image(masks, boxes)[:, 0].numpy()
    hard = Masker(0.4, aligned=True).forward_single_image(masks, boxes)[:, 0].numpy()
    for mask, box, got, pixels in zip(masks[:, 0].numpy(), boxes.bbox, soft, hard, strict=True):
        expected = by_hand(mask, box, (41, 33))
        assert np.abs(got - np.floor(expected * 255 + 1e-3)).max() <= 1
        clear = np.abs(expected - 0.4) > 1e-4
        np.testing.assert_array_equal(pixels[clear], expected[clear] >= 0.4)
        assert clear.mean() > 0.99


def test_a_pixel_at_the_threshold_belongs_to_the_mask_by_the_aligned_rule_alone():
    masks = torch.full((1, 1, 4, 4), 0.5)
    boxes = BoxList([[4.0, 4, 12, 12]], (16, 16))
    aligned = Masker(0.5, aligned=True).forward_single_image(masks, boxes)[0, 0]
    inner = torch.zeros(16, 16, dtype=torch.bool)
    inner[5:11, 5:11] = True  # a cell is 2 pixels; towards the border zeros are mixed in
    assert torch.equal(aligned, inner)
    assert not Masker(0.5).forward_single_image(masks, boxes).any()


def test_a_box_without_area_gets_no_pixel_by_the_aligned_rule():
    boxes = BoxList([[4.3, 4, 4.3, 12], [4, 9.3, 12, 9.3], [9, 9, 4, 4]], (16, 16))
    masks = torch.ones(3, 1, 4, 4)
    for threshold in (0.5, 0, -1):
        assert not Masker(threshold, aligned=True).forward_single_image(masks, boxes).any()
    assert all(rle["counts"] == "P8" for rle in Masker(aligned=True).rles(masks, boxes).dicts())


@pytest.mark.parametrize("aligned", [False, True])
def test_rles_are_those_of_the_pasted_masks(aligned):
    boxes, masks = random_boxes_and_masks()
    masker = Masker(0.4, aligned=aligned)
    rles = masker.rles(masks, boxes)
    pasted = masker.forward_single_image(masks, boxes)[:, 0].numpy()
    decoded = np.stack([coco_mask.decode(rle) for rle in rles.dicts()])
    np.testing.assert_array_equal(decoded, pasted)
    assert len(rles) == 30
    chosen = rles[torch.tensor([3, 0])]
    assert chosen.dicts() == [rles.dicts()[3], rles.dicts()[0]]
    assert rles[torch.tensor([4])].counts == rles[4:5].counts == [rles.counts[4]]
    mask = torch.arange(30) % 2 == 0
    assert rles[mask].counts == rles.counts[::2]
    assert rles.resize(SIZE) is rles
    with pytest.raises(ValueError, match="cannot be resized"):
        rles.resize((5, 5))
    empty = masker.rles(masks[:0], boxes[[]])
    assert (len(empty), empty.dicts()) == (0, [])


def test_masks_that_have_no_rle_are_refused():
    boxes, masks = random_boxes_and_masks()
    with pytest.raises(ValueError, match=r"threshold of -1 .*POSTPROCESS_MASKS_THRESHOLD"):
        Masker(-1).rles(masks, boxes)
    with pytest.raises(ValueError, match=r"got torch.bool: set .*POSTPROCESS_MASKS False"):
        Masker().rles(masks > 0.5, boxes)


def test_the_masker_of_a_config():
    cfg = make_default_config()
    assert make_masker(cfg) == Masker(0.5, padding=1, aligned=False)
    head = "MODEL.ROI_MASK_HEAD"
    cfg.merge_from_list([f"{head}.PASTE_ALIGNED", True, f"{head}.POSTPROCESS_MASKS_THRESHOLD", 0.3])
    assert make_masker(cfg) == Masker(0.3, aligned=True)


def inside(points, center, axes, angle):
    """Whether points ``[..., 2]`` lie in a turned ellipse."""
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (((points - center) @ turn / axes) ** 2).sum(axis=-1) <= 1


def centers(low, high, columns, rows):
    """The centers ``[rows, columns, 2]`` of the cells of a grid."""
    x, y = ((np.arange(n) + 0.5) / n for n in (columns, rows))
    return low + np.stack(np.meshgrid(x, y), axis=-1) * (np.asarray(high) - low)


def pasted_back(radius, count=60, size=(160, 140)):
    """Mean IoU of ellipses with their own 28 x 28 masks (coverage), pasted by each of the rules."""
    rng = np.random.default_rng(1)
    ious = {False: [], True: []}
    for _ in range(count):
        axes, angle = radius * rng.uniform(0.6, 1.4, 2), rng.uniform(0, np.pi)
        ellipse = (rng.uniform(65, 75, 2), axes, angle)
        cos, sin = np.cos(angle), np.sin(angle)
        half = np.array(
            [np.hypot(axes[0] * cos, axes[1] * sin), np.hypot(axes[0] * sin, axes[1] * cos)]
        )
        low, high = ellipse[0] - half, ellipse[0] + half
        truth = inside(centers((0, 0), size, *size), *ellipse)
        finer = inside(centers(low, high, 28 * 8, 28 * 8), *ellipse)
        cells = finer.reshape(28, 8, 28, 8).mean(axis=(1, 3))  # how much of a cell it covers
        box = BoxList([[*low, *high]], size, pixel_offset=0)
        for aligned, found in ious.items():
            mask = torch.from_numpy(cells).float()[None, None]
            pasted = Masker(aligned=aligned).forward_single_image(mask, box)[0, 0].numpy()
            found.append((pasted & truth).sum() / (pasted | truth).sum())
    return float(np.mean(ious[False])), float(np.mean(ious[True]))


@pytest.mark.parametrize(("radius", "legacy_at_most"), [(40, 0.98), (10, 0.93)])
def test_ground_truth_pasted_back(radius, legacy_at_most):
    legacy, aligned = pasted_back(radius)
    assert 0.9 < legacy < legacy_at_most
    assert aligned > 0.99
