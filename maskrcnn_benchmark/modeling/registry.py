"""Registries of the model parts that a config can name; see docs/EXTENDING.md.

Each builder takes the whole config as its first argument; the comment at each registry lists the
others. The ``check`` of an entry validates the config keys that the entry reads.
"""

from yacs.config import CfgNode

from maskrcnn_benchmark.config.registry import Registry

# (cfg, paste_masks) -> the detector; see ``build_detection_model``
META_ARCHITECTURES = Registry("MODEL.META_ARCHITECTURE")
# (cfg) -> module from images [N, 3, H, W] to a list of feature maps, with ``out_channels``.
# ``strides``: strides of the maps in pixels, a tuple or a function of the config; several maps form
# a feature pyramid. ``heads``: settings of the heads that belong to the body, a function of the
# config that returns values by key; see ``derive_settings``
BACKBONES = Registry("MODEL.BACKBONE.CONV_BODY", facts=("strides",), optional={"heads": None})
# (cfg, in_channels, num_anchors) -> module from feature maps to logits and offsets, see ``RPNHead``
RPN_HEADS = Registry("MODEL.RPN.RPN_HEAD")
# (cfg, in_channels) -> module from feature maps and boxes to class scores and refined boxes, with
# ``losses`` and ``detections``, see ``ROIBoxHead``
ROI_BOX_HEADS = Registry("MODEL.ROI_BOX_HEAD.NAME")
# (cfg, in_channels) -> module from feature maps and boxes to ``(pooled, features)``, with
# ``out_channels`` and ``pooler``
ROI_BOX_FEATURE_EXTRACTORS = Registry("MODEL.ROI_BOX_HEAD.FEATURE_EXTRACTOR")
# of the mask head also ``side``: a function of the config and the pooled size that returns the size
# of the features; None if it is the pooled size
ROI_MASK_FEATURE_EXTRACTORS = Registry(
    "MODEL.ROI_MASK_HEAD.FEATURE_EXTRACTOR", optional={"side": None}
)
ROI_KEYPOINT_FEATURE_EXTRACTORS = Registry("MODEL.ROI_KEYPOINT_HEAD.FEATURE_EXTRACTOR")
# (cfg, in_channels) -> module from features to logits [R, K] and offsets [R, 4K], or [R, 8] with
# CLS_AGNOSTIC_BBOX_REG
ROI_BOX_PREDICTOR = Registry("MODEL.ROI_BOX_HEAD.PREDICTOR")
# (cfg, in_channels) -> module from features to mask logits [R, K, M, M]. ``upsampling``: M divided
# by the size of the features
ROI_MASK_PREDICTOR = Registry("MODEL.ROI_MASK_HEAD.PREDICTOR", optional={"upsampling": 2})
# (cfg, in_channels) -> module from features to heat maps [R, K, M, M] of K keypoints
ROI_KEYPOINT_PREDICTOR = Registry("MODEL.ROI_KEYPOINT_HEAD.PREDICTOR")


def make_strides(cfg: CfgNode) -> tuple[int, ...]:
    """Return the stride in pixels of each feature map of ``MODEL.BACKBONE.CONV_BODY``.

    Raises:
        ValueError: there is no such body.
    """
    strides = BACKBONES.entry(cfg.MODEL.BACKBONE.CONV_BODY).facts["strides"]
    return tuple(strides(cfg) if callable(strides) else strides)
