"""Output of the sampler: proposals, each with its matched ground truth."""

import numpy as np
import torch

from maskrcnn_benchmark.modeling.matcher import Matcher
from maskrcnn_benchmark.modeling.roi_heads.mask_head import build_mask_targets, has_mask_target
from maskrcnn_benchmark.modeling.roi_heads.sampling import ProposalSampler, SampledProposals
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.segmentation_mask import SegmentationMask
from tests.helpers.first_n_sampler import FirstNSampler

SIZE = (64, 64)
# two instances that fill their boxes, whose order is not that of the proposals
BOXES = [[8.0, 8.0, 24.0, 24.0], [32.0, 16.0, 56.0, 48.0]]
NEAR_FIRST, NEAR_SECOND, FAR = [9.0, 8, 25, 24], [32.0, 16, 56, 40], [0.0, 50, 10, 63]


def targets() -> list[BoxList]:
    """Targets of an image with instances of classes 3 and 5, and of an empty image."""
    filled = BoxList(BOXES, SIZE)
    filled.add_field("labels", torch.tensor([3, 5]))
    polygons = [[[x1, y1, x2, y1, x2, y2, x1, y2]] for x1, y1, x2, y2 in BOXES]
    filled.add_field("masks", SegmentationMask(polygons, SIZE))
    empty = BoxList(torch.zeros(0, 4), SIZE)
    empty.add_field("labels", torch.zeros(0))
    empty.add_field("masks", SegmentationMask([], SIZE))
    return [filled, empty]


def sample() -> SampledProposals:
    sampler = ProposalSampler(Matcher(0.5, 0.5), FirstNSampler(16, 0.5))
    proposals = [BoxList([NEAR_SECOND, FAR, NEAR_FIRST], SIZE), BoxList([NEAR_FIRST, FAR], SIZE)]
    return sampler(proposals, targets())


def test_each_proposal_has_its_label_and_its_box() -> None:
    sampled = sample()
    assert [labels.tolist() for labels in sampled.labels] == [[5, 0, 3, 3, 5], [0, 0]]
    positive = sampled.labels[0] > 0
    expected = [BOXES[1], BOXES[0], BOXES[0], BOXES[1]]
    assert sampled.gt_boxes[0][positive].tolist() == expected
    assert sampled.gt_boxes[1].equal(sampled.boxes[1].bbox)  # offsets of 0, which nothing learns


def test_chosen_rows_keep_their_ground_truth() -> None:
    chosen = sample()[[torch.tensor([2, 0]), torch.tensor([], dtype=torch.int64)]]
    assert chosen.gt_boxes[0].tolist() == BOXES
    assert chosen.gt_boxes[1].shape == (0, 4)
    assert chosen.all_labels().tolist() == [3, 5]


def test_mask_targets_come_from_the_matched_instances() -> None:
    sampled = sample()
    learned = has_mask_target(sampled)
    assert [rows.tolist() for rows in learned] == [[True, False, True, True, True], [False] * 2]
    gt = build_mask_targets(sampled[learned], 8)
    # columns of the ROI that the instance fills, by the corners: 24 of 24, 15 of 16, all, all
    np.testing.assert_allclose(gt.masks.mean(dim=(1, 2)), [1, 15 / 16, 1, 1], atol=1 / 8)
    # and the share of the instance that the ROI holds: 24 of 32 rows, 15 of 16 columns
    np.testing.assert_allclose(gt.visible_fraction, [0.75, 15 / 16, 1, 1], atol=0.03)
