"""The cascade against a slow computation of its stages, and its training."""

import math

import pytest
import torch
import torch.nn.functional as F

from maskrcnn_benchmark.engine.train_only import TrainOnly
from maskrcnn_benchmark.modeling.detector import build_detection_model
from maskrcnn_benchmark.modeling.matcher import Matcher
from maskrcnn_benchmark.modeling.roi_heads.roi_heads import build_roi_heads
from maskrcnn_benchmark.modeling.roi_heads.sampling import match_proposals
from maskrcnn_benchmark.structures.bounding_box import BoxList
from tests.helpers.ops_oracles import nms as slow_nms
from tests.helpers.thin_model import two_objects
from tests.helpers.tiny_detector import tiny_config
from tests.helpers.whole_check import check_whole

SIDE, CLASSES = 128, 4
IOUS = (0.5, 0.6, 0.7)
# all proposals, so the objects among them too
DRAW_ALL = {
    "MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE": 512,
    "MODEL.ROI_HEADS.POSITIVE_FRACTION": 1.0,
}
CODERS = ((10, 10, 5, 5), (20, 20, 10, 10), (30, 30, 15, 15))


def cascade_config(masks=True, **options):
    cfg = tiny_config(CLASSES, MASK_ON=masks, MASKIOU_ON=masks)
    pairs = {
        "MODEL.ROI_BOX_HEAD.NAME": "CascadeBoxHead",
        "MODEL.ROI_BOX_HEAD.PREDICTOR": "ClassAgnosticPredictor",
        "MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE": 16,
        **options,
    }
    cfg.merge_from_list([part for pair in pairs.items() for part in pair])
    check_whole(cfg)
    return cfg


def random_heads(cfg):
    """Return ROI heads whose stages differ, refine by several pixels and detect."""
    torch.manual_seed(0)
    heads = build_roi_heads(cfg, 16, False).eval()
    with torch.no_grad():
        for stage in heads.box.stages:
            stage.predictor.cls_score.weight.normal_(std=1.5)
            stage.predictor.bbox_pred.weight.normal_(std=3.0)
            stage.predictor.bbox_pred.bias.normal_(std=0.5)
    return heads


def pyramid(images=2):
    generator = torch.Generator().manual_seed(1)
    sides = [SIDE // stride for stride in (4, 8, 16, 32, 64)]
    return [torch.randn(images, 16, side, side, generator=generator) for side in sides]


def proposals(offset=1.0, counts=(9, 6)):
    generator = torch.Generator().manual_seed(2)
    lists = []
    for count in counts:
        corners = torch.rand(count, 2, generator=generator) * 60
        sizes = 20 + torch.rand(count, 2, generator=generator) * 60
        boxes = torch.cat([corners, corners + sizes], dim=1)
        lists.append(BoxList(boxes, (SIDE, SIDE - 10), pixel_offset=offset))
    return lists


def slow_decode(box, deltas, weights, offset, size):
    """Apply the offsets of one box, with numbers alone."""
    x1, y1, x2, y2 = box
    width, height = x2 - x1 + offset, y2 - y1 + offset
    dx, dy, dw, dh = (d / w for d, w in zip(deltas, weights, strict=True))
    x, y = x1 + width / 2 + dx * width, y1 + height / 2 + dy * height
    limit = math.log(1000 / 16)
    width, height = width * math.exp(min(dw, limit)), height * math.exp(min(dh, limit))
    corners = [x - width / 2, y - height / 2]
    corners += [x + width / 2 - offset, y + height / 2 - offset]
    return [min(max(c, 0), size[i % 2] - offset) for i, c in enumerate(corners)]


def slow_stages(heads, features, boxes):
    """Return the logits and input boxes of each stage for one image, and its last boxes."""
    state = heads.box.state_dict()
    logits, inputs, offset = [], [], boxes.pixel_offset
    for number in range(3):
        inputs.append(boxes)
        names = f"stages.{number}"
        pooled = heads.box.stages[number].feature_extractor.pooler(features, [boxes])

        def layer(x, name, names=names):
            return x @ state[f"{names}.{name}.weight"].T + state[f"{names}.{name}.bias"]

        x = layer(pooled.flatten(1), "feature_extractor.fc6").relu()
        x = layer(x, "feature_extractor.fc7").relu()
        logits.append(layer(x, "predictor.cls_score"))
        offsets = layer(x, "predictor.bbox_pred").tolist()
        pairs = zip(boxes.bbox.tolist(), offsets, strict=True)
        refined = [slow_decode(b, d, CODERS[number], offset, boxes.size) for b, d in pairs]
        boxes = BoxList(refined, boxes.size, pixel_offset=offset)
    return logits, inputs, boxes


@pytest.mark.parametrize("average", ["probabilities", "logits"])
@pytest.mark.parametrize("offset", [1.0, 0.0])
def test_detections_are_those_of_the_stages_one_after_another(average, offset):
    options = {"MODEL.PIXEL_OFFSET": offset, "MODEL.ROI_BOX_CASCADE_HEAD.AVERAGE": average}
    cfg = cascade_config(masks=False, **options, **{"MODEL.ROI_HEADS.DETECTIONS_PER_IMG": 0})
    heads, features, given = random_heads(cfg), pyramid(), proposals(offset)
    with torch.no_grad():
        found = heads.predict(features, given)
        for index, (got, boxes) in enumerate(zip(found, given, strict=True)):
            logits, _, last = slow_stages(heads, [f[index : index + 1] for f in features], boxes)
            if average == "logits":
                scores = (sum(logits) / 3).softmax(dim=1)
            else:
                scores = sum(one.softmax(dim=1) for one in logits) / 3
            assert (last.bbox - boxes.bbox).abs().max() > 5
            expected = []
            for label in range(1, CLASSES):
                rows = (scores[:, label] > 0.05).nonzero().flatten()
                kept = slow_nms(
                    last.bbox[rows].numpy(), scores[rows, label].numpy(), 0.5, None, offset
                )
                rows = rows[torch.tensor(kept, dtype=torch.int64)].sort().values
                expected += [(label, scores[r, label], last.bbox[r]) for r in rows]
            assert len(got) == len(expected) > 5
            assert got.get_field("labels").tolist() == [label for label, _, _ in expected]
            close = {"rtol": 1e-4, "atol": 1e-3}  # the stages magnify differences of rounding
            torch.testing.assert_close(got.bbox, torch.stack([b for *_, b in expected]), **close)
            want = torch.stack([score for _, score, _ in expected])
            torch.testing.assert_close(got.get_field("scores"), want, **close)


def ground_truth(offset=1.0):
    target = two_objects(SIDE)
    first = BoxList(target.bbox, (SIDE, SIDE - 10), pixel_offset=offset)
    first.add_field("labels", torch.tensor([1, 3]))
    nothing = BoxList(torch.zeros(0, 4), (SIDE, SIDE - 10), pixel_offset=offset)
    nothing.add_field("labels", torch.zeros(0, dtype=torch.int64))
    return [first, nothing]


def slow_losses(logits, deltas, boxes, target, weights, iou):
    """Return the sums of both losses over the boxes of one image."""
    loss_class, loss_box = torch.zeros(()), torch.zeros(())
    for row, box in enumerate(boxes.bbox):
        best, label, match = -1.0, 0, None
        for gt, gt_label in zip(target.bbox, target.get_field("labels"), strict=True):
            low, high = torch.maximum(box[:2], gt[:2]), torch.minimum(box[2:], gt[2:])
            shared = (high - low + 1).clamp(min=0).prod()
            union = sum((b[2:] - b[:2] + 1).prod() for b in (box, gt)) - shared
            if shared / union > best:
                best, label, match = shared / union, int(gt_label), gt
        label = label if best >= iou else 0
        loss_class += F.cross_entropy(logits[row], torch.tensor(label))
        if label:
            size, gt_size = box[2:] - box[:2] + 1, match[2:] - match[:2] + 1
            centers = (match[:2] + gt_size / 2) - (box[:2] + size / 2)
            wanted = torch.cat([centers / size, (gt_size / size).log()]) * torch.tensor(weights)
            loss_box += F.smooth_l1_loss(deltas[row], wanted, reduction="sum")
    return loss_class, loss_box


def test_losses_of_each_stage_are_those_of_its_own_boxes():
    factors = (1.0, 0.3, 2.0)
    options = DRAW_ALL | {"MODEL.ROI_BOX_CASCADE_HEAD.LOSS_WEIGHTS": factors}
    heads, features = random_heads(cascade_config(masks=False, **options)), pyramid()
    targets, given = ground_truth(), proposals()
    with torch.no_grad():
        for stage in heads.box.stages:  # small steps, so that later stages have positives too
            stage.predictor.bbox_pred.weight.mul_(0.005)
            stage.predictor.bbox_pred.bias.mul_(0.05)
    # IoUs of 0.55 and 0.66 with an object 73 pixels wide: positive to the first one or two stages
    shifts = torch.tensor([[21.0, 0, 21, 0], [15, 0, 15, 0], [0, 21, 0, 21], [0, 15, 0, 15]])
    near = torch.cat([given[0].bbox, targets[0].bbox[:1] + shifts])
    given[0] = BoxList(near, given[0].size)
    sampled = heads.sampler(given, targets)
    output = heads.box(features, sampled.boxes)
    losses = heads.box.losses(output, sampled)
    assert len(losses) == 6
    positives = []
    for number, (of_stage, boxes) in enumerate(zip(output.stages, output.boxes, strict=True)):
        counts = [len(b) for b in boxes]
        parts = zip(
            of_stage.logits.split(counts),
            of_stage.deltas[:, :4].split(counts),
            boxes,
            targets,
            strict=True,
        )
        sums = [slow_losses(*part, CODERS[number], IOUS[number]) for part in parts]
        matched = match_proposals(Matcher(IOUS[number], IOUS[number]), boxes, targets)
        positives.append(int((matched.all_labels() > 0).sum()))
        for name, values in zip(("classifier", "box_reg"), zip(*sums, strict=True), strict=True):
            expected = factors[number] * sum(values) / sum(counts)
            got = losses[f"loss_{name}_stage{number + 1}"]
            torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)
    assert positives[0] > positives[1] > positives[2] > 0
    assert not output.boxes[1][0].bbox.equal(output.boxes[0][0].bbox)
    assert not output.boxes[2][0].bbox.requires_grad


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    options = DRAW_ALL | {"MODEL.RPN.FPN_POST_NMS_TOP_N_TRAIN": 100}
    built = build_detection_model(cascade_config(**options))
    with torch.no_grad():  # so that the objects among the proposals are positive to all stages
        for stage in built.roi_heads.box.stages:
            stage.predictor.bbox_pred.weight.zero_()
            stage.predictor.bbox_pred.bias.fill_(0.1)
    return built


def batch():
    target = two_objects(SIDE)
    nothing = target[torch.zeros(0, dtype=torch.int64)]
    return torch.randn(2, 3, SIDE, SIDE), [target, nothing]


def test_a_training_step_changes_every_stage_and_the_mask_heads(model):
    model.train()
    parts = [f"roi_heads.box.stages.{i}." for i in range(3)]
    parts += ["roi_heads.mask.", "roi_heads.maskiou.", "rpn.", "backbone.fpn.fpn_layer1."]
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    torch.manual_seed(0)
    losses = model(*batch())
    assert {f"loss_box_reg_stage{i}" for i in (1, 2, 3)} < set(losses)
    assert {"loss_mask", "loss_maskiou"} < set(losses)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    sum(losses.values()).backward()
    optimizer.step()
    optimizer.zero_grad()
    for part in parts:
        names = [name for name in before if name.startswith(part)]
        assert names
        parameters = dict(model.named_parameters())
        changed = [name for name in names if not parameters[name].equal(before[name])]
        assert len(changed) == len(names), set(names) - set(changed)


def test_images_without_objects_and_without_proposals(model):
    images, (_, nothing) = batch()
    losses = model.train()(images, [nothing, nothing])
    assert all(loss.isfinite() for loss in losses.values())
    sum(losses.values()).backward()
    model.zero_grad()
    heads, features = model.roi_heads.eval(), pyramid()
    empty = proposals(counts=(0, 0))
    with torch.no_grad():
        assert [len(d) for d in heads.predict(features, empty)] == [0, 0]
        found = heads.predict(features, proposals(counts=(0, 5)))
    assert [d.has_field("mask_scores") for d in found] == [True, True]


def test_the_box_part_alone_trains_all_stages(model):
    learner = TrainOnly(model, "box").train()
    torch.manual_seed(0)
    losses = learner(*batch())
    names = [f"loss_{kind}_stage{i}" for i in (1, 2, 3) for kind in ("classifier", "box_reg")]
    assert sorted(losses) == sorted(names)
    model.requires_grad_(True)


def test_boxes_stay_where_a_diverged_stage_gives_nan(model):
    heads, given = model.roi_heads.eval(), proposals()
    weight = heads.box.stages[0].predictor.bbox_pred.weight
    kept = weight.detach().clone()
    with torch.no_grad():
        weight.fill_(math.nan)
        output = heads.box(pyramid(), given)
        weight.copy_(kept)
    for before, after in zip(*output.boxes[:2], strict=True):
        assert after.bbox.equal(before.bbox)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"ROI_BOX_HEAD.PREDICTOR": "FPNPredictor"}, "PREDICTOR must be ClassAgnosticPredictor"),
        ({"ROI_BOX_CASCADE_HEAD.IOUS": (0.6, 0.7, 0.8)}, "IOUS .* the first must be"),
        ({"ROI_BOX_CASCADE_HEAD.IOUS": (0.5, 0.6)}, "BBOX_REG_WEIGHTS .* a value for each of"),
        ({"ROI_BOX_CASCADE_HEAD.LOSS_WEIGHTS": (1.0,)}, "LOSS_WEIGHTS .* a value for each of"),
        ({"ROI_BOX_CASCADE_HEAD.AVERAGE": "both"}, "AVERAGE is 'both'; it must be one of"),
        ({"ROI_BOX_HEAD.NAME": "Cascade"}, "NAME is 'Cascade', which is not registered"),
    ],
)
def test_settings_that_do_not_fit_are_refused(options, problem):
    with pytest.raises(ValueError, match=problem):
        cascade_config(**{f"MODEL.{key}": value for key, value in options.items()})
