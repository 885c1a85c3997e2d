import numpy as np
import pytest
import torch

from maskrcnn_benchmark.layers import sorted_nms_mask
from maskrcnn_benchmark.modeling.box_coder import BoxCoder
from maskrcnn_benchmark.modeling.matcher import Matcher
from maskrcnn_benchmark.modeling.roi_heads.sampling import append_gt_boxes
from maskrcnn_benchmark.modeling.rpn import proposals as proposals_module
from maskrcnn_benchmark.modeling.rpn.anchor_generator import AnchorGenerator
from maskrcnn_benchmark.modeling.rpn.cells import neighborhoods
from maskrcnn_benchmark.modeling.rpn.loss import anchor_targets, rpn_losses
from maskrcnn_benchmark.modeling.rpn.proposals import ProposalLimits, RPNOutput, select_proposals
from maskrcnn_benchmark.modeling.rpn.rpn import RPN, RPNHead
from maskrcnn_benchmark.modeling.sampler import BalancedPositiveNegativeSampler
from maskrcnn_benchmark.structures.bounding_box import BoxList
from maskrcnn_benchmark.structures.image_list import ImageList
from tests.helpers.first_n_sampler import FirstNSampler
from tests.helpers.vectors import load_vector


@pytest.mark.parametrize(
    "name", ["anchors_c4", "anchors_fpn", "anchors_straddle_10", "anchors_straddle_neg"]
)
def test_anchors(name):
    meta, arrays = load_vector(name)
    arguments = meta["arguments"]
    generator = AnchorGenerator(
        arguments["sizes"],
        arguments["aspect_ratios"],
        arguments["anchor_strides"],
        arguments["straddle_thresh"],
    )
    assert generator.num_anchors_per_location() == arguments["num_anchors_per_location"]
    for level, cell in enumerate(generator.cell_anchors):
        np.testing.assert_array_equal(cell.numpy(), arrays[f"cell_anchors_{level}"])
    features = [torch.zeros(1, 1, *size) for size in arguments["feature_sizes_hw"]]
    for level, anchors in enumerate(generator(features)):
        np.testing.assert_array_equal(anchors.numpy(), arrays[f"anchors_level{level}"])
        for image, size in enumerate(arguments["image_sizes_hw"]):
            visible = generator.visibility(anchors, tuple(size))
            expected = arrays[f"visible_img{image}_level{level}"].astype(bool)
            np.testing.assert_array_equal(visible.numpy(), expected)


def test_anchor_errors():
    with pytest.raises(ValueError, match="2 ANCHOR_SIZES for 3 ANCHOR_STRIDE"):
        AnchorGenerator((32, 64), (1.0,), (4, 8, 16))
    with pytest.raises(ValueError, match="2 ANCHOR_STRIDE for 1 feature maps"):
        AnchorGenerator((32, 64), (1.0,), (4, 8))([torch.zeros(1, 1, 2, 2)])


def test_head():
    _, arrays = load_vector("rpn_head")
    head = RPNHead(6, 3)
    head.load_state_dict({k[2:]: torch.from_numpy(v) for k, v in arrays.items() if k[:2] == "w:"})
    logits, deltas = head([torch.from_numpy(arrays[f"f{i}"]) for i in range(2)])
    for i in range(2):
        np.testing.assert_allclose(logits[i].detach(), arrays[f"logits_{i}"], atol=1e-5)
        np.testing.assert_allclose(deltas[i].detach(), arrays[f"bbox_{i}"], atol=1e-5)


def recorded_output(arguments, arrays, levels, requires_grad=False):
    generator = AnchorGenerator(
        [arguments["anchor_sizes"][i] for i in levels],
        arguments["ratios"],
        [arguments["strides"][i] for i in levels],
    )
    objectness = [torch.from_numpy(arrays[f"objectness_{i}"].copy()) for i in levels]
    deltas = [torch.from_numpy(arrays[f"regression_{i}"].copy()) for i in levels]
    for tensor in objectness + deltas:
        tensor.requires_grad_(requires_grad)
    return generator, RPNOutput(objectness, deltas, generator(objectness))


def image_boxes(arguments, boxes, image):
    height, width = arguments["image_sizes_hw"][image]
    return BoxList(torch.from_numpy(boxes), (width, height))


def sorted_rows(boxes):
    return boxes[np.lexsort(boxes.round(3).T)]


@pytest.mark.parametrize(
    "run", load_vector("rpn_postprocess")[0]["arguments"]["runs"], ids=lambda run: run["key"]
)
def test_proposals(run):
    meta, arrays = load_vector("rpn_postprocess")
    arguments = meta["arguments"]
    _, output = recorded_output(arguments, arrays, run["levels"])
    sizes = [tuple(s) for s in arguments["image_sizes_hw"]]
    limits = ProposalLimits(
        run["pre_nms_top_n"],
        run["post_nms_top_n"],
        run["fpn_post_nms_top_n"],
        per_batch=run["mode"] == "train",
    )
    proposals = select_proposals(
        output,
        sizes,
        limits,
        box_coder=BoxCoder((1, 1, 1, 1)),
        nms_thresh=run["nms_thresh"],
        min_size=run["min_size"],
    )
    scores = [p.get_field("objectness") for p in proposals]
    if run["with_targets"]:
        targets = [image_boxes(arguments, arrays[f"gt_{i}"], i) for i in range(2)]
        proposals = append_gt_boxes(proposals, targets)
        scores = [torch.cat([s, torch.ones(len(t))]) for s, t in zip(scores, targets, strict=True)]
    for i in range(2):
        np.testing.assert_allclose(proposals[i].bbox, arrays[f"{run['key']}_boxes_{i}"], atol=1e-3)
        np.testing.assert_allclose(scores[i], arrays[f"{run['key']}_objectness_{i}"], atol=1e-5)


@pytest.mark.parametrize("rule", ["per_batch", "per_image"])
def test_recorded_selection_over_all_levels(rule):
    meta, arrays = load_vector(f"fpn_select_{rule}", "vectors_upstream")
    top_n = meta["arguments"]["fpn_post_nms_top_n"]
    coder = BoxCoder((1, 1, 1, 1))
    boxes = [torch.from_numpy(arrays[f"boxes{i}"]) for i in range(2)]
    deltas = torch.stack([coder.encode(own, boxes[0]) for own in boxes])  # [N, K, 4]
    logits = torch.stack([torch.from_numpy(arrays[f"scores{i}"]) for i in range(2)]).logit()
    levels = (slice(0, 8), slice(8, 15))
    output = RPNOutput(
        [logits[:, None, None, level] for level in levels],
        [deltas[:, level].permute(0, 2, 1)[:, :, None] for level in levels],
        [boxes[0][level] for level in levels],
    )
    for mode in ("train", "test"):
        limits = ProposalLimits(15, 15, top_n, per_batch=rule == "per_batch" and mode == "train")
        options = {"box_coder": coder, "nms_thresh": 0.0, "min_size": 0}
        for i, found in enumerate(select_proposals(output, [(9999, 9999)] * 2, limits, **options)):
            scores = found.get_field("objectness")
            recorded = arrays[f"{mode}_im{i}_scores"]
            if not limits.per_batch:  # sorted; else in the order of each level
                np.testing.assert_allclose(scores, recorded, atol=1e-6)
            order, other = scores.argsort(), recorded.argsort()
            np.testing.assert_allclose(scores[order], recorded[other], atol=1e-6)
            np.testing.assert_allclose(
                found.bbox[order], arrays[f"{mode}_im{i}_boxes"][other], atol=1e-3
            )


def test_images_of_a_batch_are_selected_alone_and_in_one_call(monkeypatch):
    """Each level of each image has separate suppression and a separate limit."""
    meta, arrays = load_vector("rpn_postprocess")
    arguments = meta["arguments"]
    _, output = recorded_output(arguments, arrays, [0, 1, 2])
    sizes = [tuple(s) for s in arguments["image_sizes_hw"]]
    limits = ProposalLimits(60, 7, 15, per_batch=False)
    options = {"box_coder": BoxCoder((1, 1, 1, 1)), "nms_thresh": 0.5, "min_size": 4}
    calls = []

    def counted(*args, **kwargs):
        calls.append(len(args[0]))
        return sorted_nms_mask(*args, **kwargs)

    monkeypatch.setattr(proposals_module, "sorted_nms_mask", counted)
    together = select_proposals(output, sizes, limits, **options)
    assert len(calls) == 1
    for image, size in enumerate(sizes):
        objectness = [o[image : image + 1] for o in output.objectness]
        deltas = [d[image : image + 1] for d in output.deltas]
        own = RPNOutput(objectness, deltas, output.anchors)
        (alone,) = select_proposals(own, [size], limits, **options)
        assert 7 < len(alone) <= 15
        assert together[image].bbox.equal(alone.bbox)
        assert together[image].size == alone.size
        scores = (p.get_field("objectness") for p in (together[image], alone))
        assert torch.equal(*scores)
    capped = ProposalLimits(60, 2, 15, per_batch=False)
    assert [len(p) for p in select_proposals(output, sizes, capped, **options)] == [6, 6]


class GivenHead(torch.nn.Module):
    """A head that returns given maps, and scores no single cells."""

    def __init__(self, output):
        super().__init__()
        self.output = output

    def forward(self, features):
        return self.output.objectness, self.output.deltas


def make_rpn(head, generator, matcher, sampler):
    limits = ProposalLimits(10, 10, 10, per_batch=False)
    return RPN(
        head,
        generator,
        matcher=matcher,
        sampler=sampler,
        train_limits=limits,
        test_limits=limits,
        nms_thresh=0.7,
        min_size=0,
        box_coder=BoxCoder((1, 1, 1, 1)),
    )


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("num_convs", [1, 2])
def test_losses_of_single_cells_are_those_of_the_whole_maps(num_convs, layout):
    """Also at the borders, on a level of one cell, and for an image without ground truth."""
    torch.manual_seed(0)
    head = RPNHead(4, 3, num_convs=num_convs)
    for weight in head.parameters():
        torch.nn.init.normal_(weight, std=0.5)
    generator = AnchorGenerator((8, 16, 32), (0.5, 1, 2), (4, 8, 32), straddle_thresh=-1)
    matcher = Matcher(0.5, 0.3, allow_low_quality_matches=True)
    sampler = BalancedPositiveNegativeSampler(40, 0.5)
    images = ImageList(torch.zeros(2, 3, 24, 28), [(24, 28), (20, 28)])
    targets = [
        BoxList(torch.tensor([[0.0, 0, 9, 9], [14, 8, 27, 23], [0, 0, 27, 23]]), (28, 24)),
        BoxList(torch.zeros(0, 4), (28, 20)),
    ]
    maps = [torch.randn(2, 4, *size) for size in ((6, 7), (3, 4), (1, 1))]
    found = []
    for sparse in (True, False):
        own = make_rpn(head if sparse else Whole(head), generator, matcher, sampler)
        features = [m.contiguous(memory_format=layout).requires_grad_() for m in maps]
        head.zero_grad()
        torch.manual_seed(1)
        losses, output = own.losses(images, features, targets)
        assert output.objectness[0].requires_grad == (not sparse)
        (losses["loss_objectness"] + 3 * losses["loss_rpn_box_reg"]).backward()
        gradients = [tensor.grad for tensor in (*features, *head.parameters())]
        found.append([*losses.values(), *gradients, *output.objectness, *output.deltas])
    assert all(tensor.abs().max() > 1e-3 for tensor in found[1])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


class Whole(torch.nn.Module):
    """A head without the method ``at``."""

    def __init__(self, head):
        super().__init__()
        self.head = head

    def forward(self, features):
        return self.head(features)


@pytest.mark.parametrize("sampled", [[], [0, 13, 4 * 5, 4 * 5 + 1, 2 * 4 * 5 + 3]])
def test_neighborhoods(sampled):
    """Compared with ``unfold``, which pads; cells are numbered by image, level, y and x."""
    maps = [torch.randn(2, 3, 4, 5), torch.randn(2, 3, 1, 2)]
    columns = [torch.nn.functional.unfold(m, 3, padding=1).mT for m in maps]  # [N, HW, C * 9]
    expected = torch.cat(columns, dim=1).flatten(0, 1)[sampled].reshape(-1, 3, 3, 3)
    found = neighborhoods(maps, torch.tensor(sampled, dtype=torch.int64))
    assert found.permute(0, 3, 1, 2).equal(expected)


def test_loss_and_gradients():
    meta, arrays = load_vector("rpn_loss")
    arguments = meta["arguments"]
    generator, output = recorded_output(arguments, arrays, [0, 1, 2], requires_grad=True)
    anchors = torch.cat(output.anchors)
    matcher = Matcher(arguments["fg_iou"], arguments["bg_iou"], allow_low_quality_matches=True)
    labels, offsets = [], []
    for i in range(2):
        visible = generator.visibility(anchors, tuple(arguments["image_sizes_hw"][i]))
        label, offset = anchor_targets(
            anchors,
            visible,
            torch.from_numpy(arrays[f"gt_{i}"]),
            matcher=matcher,
            box_coder=BoxCoder((1, 1, 1, 1)),
        )
        np.testing.assert_array_equal(label, arrays[f"labels_{i}"])
        np.testing.assert_allclose(offset, arrays[f"regression_targets_{i}"], rtol=1e-4, atol=1e-5)
        labels.append(label)
        offsets.append(offset)
    sampler = FirstNSampler(arguments["batch_size_per_image"], arguments["positive_fraction"])
    sampled = sampler(labels)
    for i in range(2):
        np.testing.assert_array_equal(sampled[0][i], arrays[f"pos_{i}"].nonzero()[0])
        np.testing.assert_array_equal(sampled[1][i], arrays[f"neg_{i}"].nonzero()[0])
    rpn = make_rpn(GivenHead(output), generator, matcher, sampler)
    images = ImageList(torch.zeros(2, 3, 8, 8), arguments["image_sizes_hw"])
    targets = [BoxList(torch.from_numpy(arrays[f"gt_{i}"]), (99, 99)) for i in range(2)]
    losses, _ = rpn.losses(images, output.objectness, targets)
    loss_objectness, loss_box = losses["loss_objectness"], losses["loss_rpn_box_reg"]
    np.testing.assert_allclose(loss_objectness.item(), arrays["loss_objectness"], rtol=1e-5)
    np.testing.assert_allclose(loss_box.item(), arrays["loss_rpn_box_reg"], rtol=1e-5)
    (loss_objectness + 2 * loss_box).backward()
    for level in range(3):
        for tensor, name in (
            (output.objectness[level], "obj"),
            (output.deltas[level], "reg"),
        ):
            np.testing.assert_allclose(tensor.grad, arrays[f"grad_{name}_{level}"], atol=1e-6)


def test_no_ground_truth_and_no_anchor():
    anchors = torch.tensor([[0.0, 0, 9, 9], [5, 5, 30, 30]])
    labels, offsets = anchor_targets(
        anchors,
        torch.tensor([True, False]),
        torch.zeros(0, 4),
        matcher=Matcher(0.7, 0.3, True),
        box_coder=BoxCoder((1, 1, 1, 1)),
    )
    assert labels.tolist() == [0, -1]
    assert offsets.tolist() == [[0] * 4] * 2
    objectness = torch.zeros(0, requires_grad=True)
    deltas = torch.zeros(0, 4, requires_grad=True)
    losses = rpn_losses(objectness, labels[:0], deltas, offsets[:0])
    assert [loss.item() for loss in losses] == [0, 0]
    sum(losses).backward()
    assert objectness.grad is not None and deltas.grad is not None


@pytest.mark.parametrize("per_batch", [False, True])
def test_a_small_or_nan_proposal_is_dropped_and_suppresses_none(per_batch):
    anchors = torch.tensor([[0.0, 0, 9, 3], [0, 0, 9, 9], [30, 30, 39, 39], [20, 0, 29, 3]])
    scores = torch.tensor([3.0, 2.0, torch.nan, 1.0]).reshape(1, 1, 1, 4)
    deltas = torch.zeros(1, 4, 1, 4)
    output = RPNOutput([scores] * 2, [deltas] * 2, [anchors, anchors + 50])
    limits = ProposalLimits(4, 4, 8, per_batch=per_batch)
    options = {"box_coder": BoxCoder((1, 1, 1, 1)), "nms_thresh": 0.3, "min_size": 5}
    (found,) = select_proposals(output, [(100, 100)], limits, **options)
    assert found.bbox.tolist() == [[0, 0, 9, 9], [50, 50, 59, 59]]
