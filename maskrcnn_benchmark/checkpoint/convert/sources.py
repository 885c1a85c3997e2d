"""Parameter names of R-CNN detectors with FPN in torchvision, detectron2 and mmdetection.

The rules name convolutions as if there were no norms beside them, see ``norms.place_norms``.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

_ENDING = r"\.(weight|bias|running_mean|running_var)"
_BODY = "backbone.body"
_BLOCK = r"layer\d\.\d+\.(?:conv\d|bn\d|downsample\.\d)"  # as in ours
_BOX, _MASK, _IOU = "roi_heads.box", "roi_heads.mask", "roi_heads.maskiou"


@dataclass(frozen=True)
class Rule:
    """A rule that renames a module.

    Attributes:
        pattern: matches the source name without its last component.
        template: our name; ``{0}``, ``{1}``, ... are the groups of the pattern.
        shift: added to the number in the first group.
    """

    pattern: str
    template: str
    shift: int = 0

    def apply(self, name: str) -> str | None:
        """Return our name for a tensor; None if the rule does not apply."""
        match = re.fullmatch(self.pattern + _ENDING, name)
        if match is None:
            return None
        *groups, ending = match.groups()
        if self.shift:
            groups[0] = str(int(groups[0]) + self.shift)
        return f"{self.template.format(*groups)}.{ending}"


@dataclass(frozen=True)
class Source:
    """A project whose models can be converted.

    Attributes:
        name: name of the project.
        marker: a name present in every state dict of its models, and in none of the others.
        rules: renaming rules; the first match wins.
        dropped: pattern of names without a counterpart in our models.
        background_last: whether the background is the last class, for which only class scores are
            predicted; otherwise it is class 0 everywhere, as in our models.
        coco_classes: number of classes of its COCO models, background included.
        stage: pattern of the module and the stage of a cascade's box head at the start of a name.
    """

    name: str
    marker: str
    rules: tuple[Rule, ...]
    dropped: str
    background_last: bool
    coco_classes: int
    stage: str | None = None

    def our_name(self, name: str) -> str | None:
        """Return our name for a tensor; None if no rule applies."""
        match = re.match(self.stage, name) if self.stage else None
        if match is not None:
            name = match[1] + name[match.end() :]
        ours = next((ours for rule in self.rules if (ours := rule.apply(name))), None)
        if ours is None or match is None:
            return ours
        return ours.replace(f"{_BOX}.", f"{_BOX}.stages.{match[2]}.")


TORCHVISION = Source(
    name="torchvision",
    marker="backbone.body.conv1.weight",
    rules=(
        Rule(r"backbone\.body\.(conv1|bn1)", f"{_BODY}.stem.{{0}}"),
        Rule(rf"backbone\.body\.({_BLOCK})", f"{_BODY}.{{0}}"),
        # files from before torchvision 0.13 lack the last .0 and have mask_fcnN
        Rule(r"backbone\.fpn\.inner_blocks\.(\d)(?:\.0)?", "backbone.fpn.fpn_inner{0}", 1),
        Rule(r"backbone\.fpn\.inner_blocks\.(\d)\.1", "backbone.fpn.fpn_inner{0}.1", 1),
        Rule(r"backbone\.fpn\.layer_blocks\.(\d)(?:\.0)?", "backbone.fpn.fpn_layer{0}", 1),
        Rule(r"backbone\.fpn\.layer_blocks\.(\d)\.1", "backbone.fpn.fpn_layer{0}.1", 1),
        Rule(r"rpn\.head\.conv(?:\.0\.0)?", "rpn.head.conv"),
        Rule(r"rpn\.head\.conv\.([1-9])\.0", "rpn.head.conv{0}", 1),
        Rule(r"rpn\.head\.(cls_logits|bbox_pred)", "rpn.head.{0}"),
        Rule(r"roi_heads\.box_head\.(fc6|fc7)", f"{_BOX}.feature_extractor.{{0}}"),
        Rule(r"roi_heads\.box_head\.(\d)\.0", f"{_BOX}.feature_extractor.xconvs.conv{{0}}"),
        Rule(r"roi_heads\.box_head\.(\d)\.1", f"{_BOX}.feature_extractor.xconvs.norm{{0}}"),
        Rule(r"roi_heads\.box_head\.\d+", f"{_BOX}.feature_extractor.fc6"),
        Rule(r"roi_heads\.box_predictor\.(cls_score|bbox_pred)", f"{_BOX}.predictor.{{0}}"),
        Rule(r"roi_heads\.mask_head\.(\d)\.0", f"{_MASK}.feature_extractor.mask_fcn{{0}}", 1),
        Rule(r"roi_heads\.mask_head\.(\d)\.1", f"{_MASK}.feature_extractor.mask_fcn{{0}}.1", 1),
        Rule(r"roi_heads\.mask_head\.(mask_fcn\d)", f"{_MASK}.feature_extractor.{{0}}"),
        Rule(
            r"roi_heads\.mask_predictor\.(conv5_mask|mask_fcn_logits)", f"{_MASK}.predictor.{{0}}"
        ),
    ),
    dropped=r".*\.num_batches_tracked",
    background_last=False,
    coco_classes=91,
)

_D2_BLOCK = r"backbone\.bottom_up\.res(\d)\.(\d+)"
_D2_STEM = r"backbone\.bottom_up\.stem"
DETECTRON2 = Source(
    name="detectron2",
    marker="proposal_generator.rpn_head.objectness_logits.weight",
    rules=(
        Rule(rf"{_D2_STEM}\.conv1\.norm", f"{_BODY}.stem.bn1"),
        Rule(rf"{_D2_STEM}\.conv1", f"{_BODY}.stem.conv1"),
        Rule(rf"{_D2_BLOCK}\.shortcut\.norm", f"{_BODY}.layer{{0}}.{{1}}.downsample.1", -1),
        Rule(rf"{_D2_BLOCK}\.shortcut", f"{_BODY}.layer{{0}}.{{1}}.downsample.0", -1),
        Rule(rf"{_D2_BLOCK}\.conv(\d)\.norm", f"{_BODY}.layer{{0}}.{{1}}.bn{{2}}", -1),
        Rule(rf"{_D2_BLOCK}\.conv(\d)", f"{_BODY}.layer{{0}}.{{1}}.conv{{2}}", -1),
        Rule(r"backbone\.fpn_lateral(\d)", "backbone.fpn.fpn_inner{0}", -1),
        Rule(r"backbone\.fpn_lateral(\d)\.norm", "backbone.fpn.fpn_inner{0}.1", -1),
        Rule(r"backbone\.fpn_output(\d)", "backbone.fpn.fpn_layer{0}", -1),
        Rule(r"backbone\.fpn_output(\d)\.norm", "backbone.fpn.fpn_layer{0}.1", -1),
        Rule(r"proposal_generator\.rpn_head\.conv(?:\.conv0)?", "rpn.head.conv"),
        Rule(r"proposal_generator\.rpn_head\.conv\.conv([1-9])", "rpn.head.conv{0}", 1),
        Rule(r"proposal_generator\.rpn_head\.objectness_logits", "rpn.head.cls_logits"),
        Rule(r"proposal_generator\.rpn_head\.anchor_deltas", "rpn.head.bbox_pred"),
        Rule(r"roi_heads\.box_head\.conv(\d)", f"{_BOX}.feature_extractor.xconvs.conv{{0}}", -1),
        Rule(
            r"roi_heads\.box_head\.conv(\d)\.norm",
            f"{_BOX}.feature_extractor.xconvs.norm{{0}}",
            -1,
        ),
        Rule(r"roi_heads\.box_head\.fc(\d)", f"{_BOX}.feature_extractor.fc{{0}}", 5),
        Rule(r"roi_heads\.box_predictor\.(cls_score|bbox_pred)", f"{_BOX}.predictor.{{0}}"),
        Rule(r"roi_heads\.mask_head\.(mask_fcn\d)", f"{_MASK}.feature_extractor.{{0}}"),
        Rule(r"roi_heads\.mask_head\.(mask_fcn\d)\.norm", f"{_MASK}.feature_extractor.{{0}}.1"),
        Rule(r"roi_heads\.mask_head\.deconv", f"{_MASK}.predictor.conv5_mask"),
        Rule(r"roi_heads\.mask_head\.predictor", f"{_MASK}.predictor.mask_fcn_logits"),
    ),
    dropped=r"pixel_(mean|std)|.*\.cell_anchors\.\d+|.*\.num_batches_tracked",
    background_last=True,
    coco_classes=81,
    stage=r"(roi_heads\.box_(?:head|predictor))\.(\d)(?=\.)",
)

_MM_MASK = r"roi_head\.mask_head"
_STAGE = f"{_MASK}.predictor.stages.{{0}}"
MMDETECTION = Source(
    name="mmdetection",
    marker="rpn_head.rpn_cls.weight",
    rules=(
        Rule(r"backbone\.(conv1|bn1)", f"{_BODY}.stem.{{0}}"),
        Rule(rf"backbone\.({_BLOCK})", f"{_BODY}.{{0}}"),
        Rule(r"neck\.lateral_convs\.(\d)\.conv", "backbone.fpn.fpn_inner{0}", 1),
        Rule(r"neck\.fpn_convs\.(\d)\.conv", "backbone.fpn.fpn_layer{0}", 1),
        Rule(r"rpn_head\.rpn_conv", "rpn.head.conv"),
        Rule(r"rpn_head\.rpn_cls", "rpn.head.cls_logits"),
        Rule(r"rpn_head\.rpn_reg", "rpn.head.bbox_pred"),
        Rule(r"roi_head\.bbox_head\.shared_fcs\.(\d)", f"{_BOX}.feature_extractor.fc{{0}}", 6),
        Rule(r"roi_head\.bbox_head\.fc_cls", f"{_BOX}.predictor.cls_score"),
        Rule(r"roi_head\.bbox_head\.fc_reg", f"{_BOX}.predictor.bbox_pred"),
        Rule(rf"{_MM_MASK}\.convs\.(\d)\.conv", f"{_MASK}.feature_extractor.mask_fcn{{0}}", 1),
        Rule(rf"{_MM_MASK}\.upsample", f"{_MASK}.predictor.conv5_mask"),
        Rule(rf"{_MM_MASK}\.conv_logits", f"{_MASK}.predictor.mask_fcn_logits"),
        # a cascade has a mask head for each stage
        Rule(rf"{_MM_MASK}\.(\d)\.convs\.(\d)\.conv", f"{_STAGE}.convs.{{1}}"),
        Rule(rf"{_MM_MASK}\.(\d)\.upsample", f"{_STAGE}.predictor.conv5_mask"),
        Rule(rf"{_MM_MASK}\.(\d)\.conv_logits", f"{_STAGE}.predictor.mask_fcn_logits"),
        Rule(
            r"roi_head\.mask_iou_head\.convs\.(\d)(?:\.conv)?",
            f"{_IOU}.feature_extractor.maskiou_fcn{{0}}",
            1,
        ),
        Rule(r"roi_head\.mask_iou_head\.fcs\.(\d)", f"{_IOU}.feature_extractor.maskiou_fc{{0}}", 1),
        Rule(r"roi_head\.mask_iou_head\.fc_mask_iou", f"{_IOU}.predictor.maskiou"),
    ),
    dropped=r".*\.num_batches_tracked",
    background_last=True,
    coco_classes=81,
    stage=r"(roi_head\.bbox_head)\.(\d)(?=\.)",
)

SOURCES = (TORCHVISION, DETECTRON2, MMDETECTION)


def find_source(names: Iterable[str]) -> Source:
    """Return the project that a state dict comes from.

    Raises:
        ValueError: the project is unknown.
    """
    names = list(names)
    found = next((source for source in SOURCES if source.marker in names), None)
    if found is not None:
        return found
    known = ", ".join(source.name for source in SOURCES)
    if "backbone.body.stem.conv1.weight" in names:
        raise ValueError("these weights already have our names: there is nothing to convert")
    raise ValueError(
        f"these are not weights of a Faster or Mask R-CNN with FPN from {known} (2.0 or later for "
        f"mmdetection); the file has {len(names)} tensors: {', '.join(names[:5])}, ..."
    )
