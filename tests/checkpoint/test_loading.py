import pytest
import torch
from torch import nn

from maskrcnn_benchmark.checkpoint.loading import (
    LoadReport,
    load_state_dict,
    match_suffixes,
    strip_module_prefix,
)
from tests.helpers.vectors import load_vector

CASES = load_vector("suffix_matching")[0]["data"]["cases"]


@pytest.mark.parametrize("case", CASES, ids=[case["why"] for case in CASES])
def test_matches_names_as_recorded(case):
    loaded = strip_module_prefix({name: torch.zeros(1) for name in case["loaded_keys"]})
    assert match_suffixes(case["model_keys"], loaded) == case["loaded_from"]


def test_equals_trying_every_pair():
    generator = torch.Generator().manual_seed(3)
    parts = ["a", "b", "ab", "conv", "weight"]

    def name() -> str:
        count = int(torch.randint(1, 5, (1,), generator=generator))
        return ".".join(parts[i] for i in torch.randint(5, (count,), generator=generator))

    model, loaded = [name() for _ in range(200)], [name() for _ in range(50)]
    for key, match in match_suffixes(model, loaded).items():
        ends = [other for other in loaded if key.endswith(other)]
        assert match == (max(ends, key=len) if ends else None)


def tiny() -> nn.Module:
    return nn.ModuleDict({"body": nn.Linear(2, 3), "head": nn.Linear(3, 2)})


def test_copies_matching_tensors_and_reports_the_others():
    model = tiny()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    loaded = {
        "module.body.weight": torch.ones(3, 2),
        "module.head.weight": torch.ones(4, 3),
        "module.extra": torch.ones(1),
        "module.head.bias": torch.full((2,), 7.0),
    }
    report = load_state_dict(model, loaded)
    assert report.matched == {"body.weight": "body.weight", "head.bias": "head.bias"}
    assert report.missing == ["body.bias"]
    assert report.unexpected == ["extra"]
    assert report.mismatched == [("head.weight", (2, 3), (4, 3))]
    assert not report.complete
    after = model.state_dict()
    assert torch.equal(after["body.weight"], torch.ones(3, 2))
    assert torch.equal(after["head.bias"], torch.full((2,), 7.0))
    assert torch.equal(after["head.weight"], before["head.weight"])
    assert torch.equal(after["body.bias"], before["body.bias"])
    for part in ("2 of the model's 4", "1: body.bias", "1: extra", "head.weight (2, 3) != (4, 3)"):
        assert part in report.summary()


def test_no_matching_tensor_is_an_error_that_names_both_sides():
    with pytest.raises(ValueError, match=r"none of the 1 loaded.*other.thing.*body.weight"):
        load_state_dict(tiny(), {"other.thing": torch.zeros(1)})


def test_an_empty_file_is_an_error():
    with pytest.raises(ValueError, match="no tensors"):
        load_state_dict(tiny(), {})


def test_deformable_convolutions_start_from_plain_ones_and_resume_from_their_own():
    ours = ["layer2.0.conv2.conv.weight", "layer2.0.conv2.offset.weight", "rpn.head.conv.weight"]
    plain = match_suffixes(ours, ["conv1.weight", "layer2.0.conv2.weight", "layer3.0.conv2.weight"])
    assert plain == {ours[0]: "layer2.0.conv2.weight", ours[1]: None, ours[2]: None}
    assert match_suffixes(ours, [*ours, "layer2.0.conv2.weight"]) == {name: name for name in ours}


def report(*, matched=(), missing=(), mismatched=()):
    return LoadReport({name: name for name in matched}, list(missing), [], list(mismatched))


def test_complete_means_all_but_what_the_config_determines():
    anchors = "rpn.anchor_generator.cell_anchors.0"
    assert report(matched=["a"], missing=[anchors]).complete
    assert not report(matched=["a"], missing=[anchors, "b"]).complete
    assert not report(matched=["a"], missing=["cell_anchors.weight"]).complete
    assert not report(matched=["a"], mismatched=[(anchors, (1, 4), (3, 4))]).complete


def test_a_backbone_is_distinguished_from_a_detector():
    resnet = ["stem.conv1.weight", "layer1.0.bn1.bias"]
    assert report(matched=resnet).backbone_only
    assert report(matched=["conv1.weight", "bn1.weight"]).backbone_only
    assert not report(matched=[*resnet, "rpn.head.conv.weight"]).backbone_only
    assert not report(matched=["backbone.body.stem.conv1.weight"]).backbone_only
    assert not report().backbone_only


def test_layers_of_other_classes_are_reinitialized():
    class Heads(nn.Module):
        def __init__(self):
            super().__init__()
            self.rpn, self.roi_heads = nn.ModuleDict(), nn.ModuleDict()
            self.rpn["bbox_pred"] = nn.Linear(1, 1)
            for name in ("cls_score", "bbox_pred", "mask_fcn_logits", "maskiou", "conv5_mask"):
                self.roi_heads[name] = nn.ModuleDict({name: nn.Linear(1, 1)})
            self.roi_heads["maskiou"]["maskiou_fc1"] = nn.Linear(1, 1)

    model, saved = Heads(), Heads().state_dict()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    report = load_state_dict(model, saved, same_classes=False)
    layers = ("cls_score", "bbox_pred", "mask_fcn_logits", "maskiou")
    kept = {f"roi_heads.{n}.{n}.{end}" for n in layers for end in ("weight", "bias")}
    assert set(report.of_classes) == kept
    assert not report.complete
    assert "of other classes, re-initialized: 8: roi_heads.cls_score" in report.summary()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, (before if name in kept else saved)[name]), name
    assert load_state_dict(model, saved).complete


def test_box_offsets_that_all_classes_share_survive_a_change_of_classes():
    def heads(classes: int) -> nn.Module:
        layers = {"cls_score": nn.Linear(2, classes), "bbox_pred": nn.Linear(2, 4)}
        return nn.ModuleDict({"roi_heads": nn.ModuleDict({"box": nn.ModuleDict(layers)})})

    model, saved = heads(3), heads(5).state_dict()
    report = load_state_dict(model, saved, same_classes=False)
    names = [
        f"roi_heads.box.{layer}.{leaf}"
        for layer in ("cls_score", "bbox_pred")
        for leaf in ("weight", "bias")
    ]
    assert report.of_classes == names[:2]
    assert list(report.matched) == names[2:]
    assert model.state_dict()[names[2]].equal(saved[names[2]])


def dense_head(*, towers):
    """Return a model with the names of an RPN or of a RetinaNet."""
    model = nn.Module()
    model.rpn = nn.Module()
    model.rpn.head = nn.Module()
    model.rpn.head.cls_logits = nn.Conv2d(2, 3, 1)
    if towers:
        model.rpn.head.cls_tower = nn.Sequential(nn.Conv2d(2, 2, 1))
    return model


@pytest.mark.parametrize("towers", [True, False])
def test_outputs_of_a_retinanet_are_of_classes_and_those_of_an_rpn_are_not(towers):
    model, other = dense_head(towers=towers), dense_head(towers=towers)
    report = load_state_dict(model, other.state_dict(), same_classes=False)
    logits = [f"rpn.head.cls_logits.{kind}" for kind in ("weight", "bias")]
    assert report.of_classes == (logits if towers else [])
    kept = not model.rpn.head.cls_logits.weight.equal(other.rpn.head.cls_logits.weight)
    assert kept == towers
