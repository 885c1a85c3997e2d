"""Every configuration key with its default.

Names and defaults are those of the original Mask Scoring R-CNN; the keys of group normalization,
FBNet, flips and color jitter are those of maskrcnn-benchmark. A YAML file and the trailing
``KEY VALUE`` pairs of a command override them; ``checks.py`` rejects inconsistent values.
"""

from pathlib import Path

from maskrcnn_benchmark.config.node import CfgNode

_C = CfgNode()

# ---------------------------------------------------------------------------------------------
# MODEL
# ---------------------------------------------------------------------------------------------
_C.MODEL = CfgNode()
# Build only the region proposal network, without box, mask and MaskIoU heads
_C.MODEL.RPN_ONLY = False
# Detect with RetinaNet, in one stage without ROI heads
_C.MODEL.RETINANET_ON = False
# Predict instance masks
_C.MODEL.MASK_ON = False
# Predict the quality of each mask (Mask Scoring R-CNN); requires MASK_ON
_C.MODEL.MASKIOU_ON = False
# Predict keypoints, beside masks or alone
_C.MODEL.KEYPOINT_ON = False
# Device to run on: "cuda", "cuda:N" or "cpu"
_C.MODEL.DEVICE = "cuda"
# The detector class
_C.MODEL.META_ARCHITECTURE = "GeneralizedRCNN"
# Weight of loss_maskiou in the sum of the losses
_C.MODEL.MASKIOU_LOSS_WEIGHT = 1.0
# Width of a box minus (x2 - x1), in pixels: 1 for inclusive boxes (weights of the original and of
# Detectron), 0 for continuous coordinates (torchvision, detectron2 and mmdetection)
_C.MODEL.PIXEL_OFFSET = 1.0
# Also bound dw and dh from below when boxes are decoded, so that no box is smaller than 16 / 1000
# of its reference (mmdetection)
_C.MODEL.BOX_CODER_CLIP_BELOW = False
# Refine a box by the same offsets for every class, instead of offsets of its own for each
_C.MODEL.CLS_AGNOSTIC_BBOX_REG = False
# Initial weights: a path (.pth .pkl .safetensors .npz), a URL or a catalog:// name; "" starts from
# random weights. An OUTPUT_DIR/last_checkpoint takes precedence
_C.MODEL.WEIGHT = ""
# Cache folder of downloaded weights
_C.MODEL.PRETRAINED_MODELS = "pretrained_models"

# -- backbone --------------------------------------------------------------------
_C.MODEL.BACKBONE = CfgNode()
# Backbone, each with -C4, -C5, -FPN or -FPN-RETINANET (R-18 and
# R-34 need RESNETS.RES2_OUT_CHANNELS 64); FBNet; timm:NAME, a model of the timm library with FPN;
# or one registered by --import
_C.MODEL.BACKBONE.CONV_BODY = "R-50-C4"
# Number of frozen stages: 0 none, 1 the stem, 2 the stem and layer1, ...; for a timm model, n from
# 2 to 5 freezes all layers up to the feature map of stride 2 ** n
_C.MODEL.BACKBONE.FREEZE_CONV_BODY_AT = 2
# Whether training keeps only the inputs of the stages of a ResNet, and computes the rest again for
# the gradient: less memory, more time, the same numbers
_C.MODEL.BACKBONE.ACTIVATION_CHECKPOINTING = False
# Channels of the backbone's output features (256 for FPN)
_C.MODEL.BACKBONE.OUT_CHANNELS = 256 * 4

# -- ResNe(X)t --------------------------------------------------------------------
_C.MODEL.RESNETS = CfgNode()
# Groups of the 3x3 convolutions; more than 1 for ResNeXt
_C.MODEL.RESNETS.NUM_GROUPS = 1
# Width of each group in the first stage
_C.MODEL.RESNETS.WIDTH_PER_GROUP = 64
# Place the stride in the first 1x1 convolution of a block (MSRA weights) instead of the 3x3 one
# (torchvision, ResNeXt)
_C.MODEL.RESNETS.STRIDE_IN_1X1 = True
# Residual block: BottleneckWithFixedBatchNorm or BottleneckWithGN
_C.MODEL.RESNETS.TRANS_FUNC = "BottleneckWithFixedBatchNorm"
# Stem: StemWithFixedBatchNorm or StemWithGN
_C.MODEL.RESNETS.STEM_FUNC = "StemWithFixedBatchNorm"
# Normalization of stem and blocks instead of that in TRANS_FUNC and STEM_FUNC: "FrozenBN" (fixed
# statistics and weights), "BN" (statistics of each process), "SyncBN" (statistics of all processes
# together; the same as BN with a single one) or "GN" (MODEL.GROUP_NORM). Frozen stages keep theirs
_C.MODEL.RESNETS.NORM = ""
# Dilation of the last stage, in the body or the heads; if above 1, the stage does not downsample
_C.MODEL.RESNETS.RES5_DILATION = 1
# Output channels of the first stage; each further stage doubles them
_C.MODEL.RESNETS.RES2_OUT_CHANNELS = 256
# Output channels of the stem
_C.MODEL.RESNETS.STEM_OUT_CHANNELS = 64
# Which stages of layer1 ... layer4 use deformable 3x3 convolutions
_C.MODEL.RESNETS.STAGE_WITH_DCN = (False, False, False, False)
# Use modulated deformable convolutions (version 2)
_C.MODEL.RESNETS.WITH_MODULATED_DCN = False
# Number of channel groups with separate offsets
_C.MODEL.RESNETS.DEFORMABLE_GROUPS = 1

# -- models of timm --------------------------------------------------------------------
_C.MODEL.TIMM = CfgNode()
# Freeze the statistics and weights of BatchNorm, as in a ResNet; set False for large batches or to
# train from scratch
_C.MODEL.TIMM.FREEZE_BN = True

# -- FBNet --------------------------------------------------------------------
_C.MODEL.FBNET = CfgNode()
# Architecture of body and heads: default, xirb16d_dsmask, mobilenet_v2, fbnet_c, cham_v1a or
# cham_v2; or any other name, with ARCH_DEF
_C.MODEL.FBNET.ARCH = "default"
# Definition of an architecture of your own in maskrcnn-benchmark's JSON, see docs/FBNET.md
_C.MODEL.FBNET.ARCH_DEF = ""
# Normalization: "bn" (batch normalization, trained), "af" (fixed) or "gn" (MODEL.GROUP_NORM)
_C.MODEL.FBNET.BN_TYPE = "bn"
# Factor of all widths
_C.MODEL.FBNET.SCALE_FACTOR = 1.0
# Widths are rounded to a multiple of this
_C.MODEL.FBNET.WIDTH_DIVISOR = 1
# Omit the normalization after depthwise convolutions
_C.MODEL.FBNET.DW_CONV_SKIP_BN = True
# Omit the ReLU after depthwise convolutions
_C.MODEL.FBNET.DW_CONV_SKIP_RELU = True
# Width of the 1x1 convolution at the end of the box head: if positive, as a multiple of the width
# in the architecture ("last"); if negative, of that of the last block; 0 omits it
_C.MODEL.FBNET.DET_HEAD_LAST_SCALE = 1.0
# Numbers of the blocks used in the box head; empty for all
_C.MODEL.FBNET.DET_HEAD_BLOCKS = []
# Stride of the first block of the box head, 1 or 2; 0 for that of the architecture
_C.MODEL.FBNET.DET_HEAD_STRIDE = 0
# The same three settings of a keypoint head. None of the architectures has one
_C.MODEL.FBNET.KPTS_HEAD_LAST_SCALE = 0.0
# Numbers of its blocks
_C.MODEL.FBNET.KPTS_HEAD_BLOCKS = []
# Stride of its first block
_C.MODEL.FBNET.KPTS_HEAD_STRIDE = 0
# The same three settings of the mask head: the width of its last convolution
_C.MODEL.FBNET.MASK_HEAD_LAST_SCALE = 0.0
# Numbers of its blocks
_C.MODEL.FBNET.MASK_HEAD_BLOCKS = []
# Stride of its first block
_C.MODEL.FBNET.MASK_HEAD_STRIDE = 0
# Number of blocks of the RPN head, counted from the last; 0 for all
_C.MODEL.FBNET.RPN_HEAD_BLOCKS = 0
# BN_TYPE of the RPN head; "" for that of the model
_C.MODEL.FBNET.RPN_BN_TYPE = ""

# -- feature pyramid --------------------------------------------------------------------
_C.MODEL.FPN = CfgNode()
# Group normalization after each convolution of the pyramid
_C.MODEL.FPN.USE_GN = False
# Normalization after each convolution of the pyramid: a value of RESNETS.NORM; "" has GN with
# USE_GN and else none
_C.MODEL.FPN.NORM = ""
# ReLU after each convolution of the pyramid
_C.MODEL.FPN.USE_RELU = False

# -- group normalization --------------------------------------------------------------------
_C.MODEL.GROUP_NORM = CfgNode()
# Channels per group; -1 when the number of groups is given instead
_C.MODEL.GROUP_NORM.DIM_PER_GP = -1
# Number of groups; -1 when the channels per group are given instead
_C.MODEL.GROUP_NORM.NUM_GROUPS = 32
# Epsilon added to the variance
_C.MODEL.GROUP_NORM.EPSILON = 1e-5

# -- region proposal network --------------------------------------------------------------------
_C.MODEL.RPN = CfgNode()
# Use all levels of a feature pyramid
_C.MODEL.RPN.USE_FPN = False
# Anchor sizes in pixels of the resized image; one per level with FPN
_C.MODEL.RPN.ANCHOR_SIZES = (32, 64, 128, 256, 512)
# Stride in pixels of each feature level; a single one without FPN
_C.MODEL.RPN.ANCHOR_STRIDE = (16,)
# Aspect ratios (height / width) of the anchors
_C.MODEL.RPN.ASPECT_RATIOS = (0.5, 1.0, 2.0)
# Placement of the anchors: "legacy" (the original), "centered" (detectron2, mmdetection) or
# "torchvision"
_C.MODEL.RPN.ANCHOR_RULE = "legacy"
# Exclude anchors from training that extend this many pixels beyond the image; -1 excludes none
_C.MODEL.RPN.STRADDLE_THRESH = 0
_C.MODEL.RPN.widen("STRADDLE_THRESH", float)
# An anchor with at least this IoU is foreground
_C.MODEL.RPN.FG_IOU_THRESHOLD = 0.7
# An anchor with less than this IoU is background; those in between are ignored
_C.MODEL.RPN.BG_IOU_THRESHOLD = 0.3
# Number of anchors per image that are sampled for the losses
_C.MODEL.RPN.BATCH_SIZE_PER_IMAGE = 256
# Maximum fraction of foreground among them
_C.MODEL.RPN.POSITIVE_FRACTION = 0.5
# Number of top-scoring proposals (per level with FPN) kept before NMS in training
_C.MODEL.RPN.PRE_NMS_TOP_N_TRAIN = 12000
# As above, in testing
_C.MODEL.RPN.PRE_NMS_TOP_N_TEST = 6000
# Number of proposals (per level with FPN) kept after NMS in training
_C.MODEL.RPN.POST_NMS_TOP_N_TRAIN = 2000
# As above, in testing
_C.MODEL.RPN.POST_NMS_TOP_N_TEST = 1000
# IoU threshold of the NMS
_C.MODEL.RPN.NMS_THRESH = 0.7
# Drop proposals with a side below this many pixels of the resized image
_C.MODEL.RPN.MIN_SIZE = 0
_C.MODEL.RPN.widen("MIN_SIZE", float)
# Number of proposals kept over all levels of the pyramid in training, per batch or per image, see
# FPN_POST_NMS_PER_BATCH
_C.MODEL.RPN.FPN_POST_NMS_TOP_N_TRAIN = 2000
# As above, per image in testing
_C.MODEL.RPN.FPN_POST_NMS_TOP_N_TEST = 2000
# Whether FPN_POST_NMS_TOP_N_TRAIN applies to the whole batch, as in the original, or to each image
_C.MODEL.RPN.FPN_POST_NMS_PER_BATCH = True
# The head class: SingleConvRPNHead, MultiConvRPNHead with NUM_CONVS 3x3 convolutions, or
# FBNet.rpn_head
_C.MODEL.RPN.RPN_HEAD = "SingleConvRPNHead"
# Number of 3x3 convolutions of MultiConvRPNHead
_C.MODEL.RPN.NUM_CONVS = 2

# -- ROI heads --------------------------------------------------------------------
_C.MODEL.ROI_HEADS = CfgNode()
# Pool from all levels of a feature pyramid
_C.MODEL.ROI_HEADS.USE_FPN = False
# A proposal with at least this IoU is foreground
_C.MODEL.ROI_HEADS.FG_IOU_THRESHOLD = 0.5
# A proposal with less than this IoU is background
_C.MODEL.ROI_HEADS.BG_IOU_THRESHOLD = 0.5
# Weights of dx, dy, dw, dh in the box regression targets
_C.MODEL.ROI_HEADS.BBOX_REG_WEIGHTS = (10.0, 10.0, 5.0, 5.0)
# Number of proposals per image that are sampled for the losses
_C.MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE = 512
# Maximum fraction of foreground among them
_C.MODEL.ROI_HEADS.POSITIVE_FRACTION = 0.25
# Detections with a class score at or below this are dropped
_C.MODEL.ROI_HEADS.SCORE_THRESH = 0.05
# IoU threshold of the NMS within a class
_C.MODEL.ROI_HEADS.NMS = 0.5
_C.MODEL.ROI_HEADS.SOFT_NMS = CfgNode()
# Use Soft-NMS, which rescores overlapping boxes of a class instead of removing them
_C.MODEL.ROI_HEADS.SOFT_NMS.ENABLED = False
# With an IoU of o with a higher-scoring box, "linear" multiplies the score by 1 - o if o is at
# least ROI_HEADS.NMS, "gaussian" by exp(-o^2 / SIGMA)
_C.MODEL.ROI_HEADS.SOFT_NMS.METHOD = "linear"
# Width of the Gaussian
_C.MODEL.ROI_HEADS.SOFT_NMS.SIGMA = 0.5
# Detections whose lowered score is below this are dropped
_C.MODEL.ROI_HEADS.SOFT_NMS.MIN_SCORE = 0.001
# Maximum number of detections per image; 0 or less keeps all
_C.MODEL.ROI_HEADS.DETECTIONS_PER_IMG = 100
# Drop detections with a side below this many pixels of the resized image
_C.MODEL.ROI_HEADS.MIN_SIZE = 0.0

# -- box head --------------------------------------------------------------------
_C.MODEL.ROI_BOX_HEAD = CfgNode()
# The head class: ROIBoxHead, or CascadeBoxHead, a sequence of them (MODEL.ROI_BOX_CASCADE_HEAD)
_C.MODEL.ROI_BOX_HEAD.NAME = "ROIBoxHead"
# FPN2MLPFeatureExtractor or FPNXconv1fcFeatureExtractor (FPN, C5);
# ResNet50Conv5ROIFeatureExtractor (C4); FBNet.roi_head
_C.MODEL.ROI_BOX_HEAD.FEATURE_EXTRACTOR = "ResNet50Conv5ROIFeatureExtractor"
# FPNPredictor (FPN, C5), FastRCNNPredictor (C4, FBNet) or ClassAgnosticPredictor (a cascade), whose
# box is the same for every class
_C.MODEL.ROI_BOX_HEAD.PREDICTOR = "FastRCNNPredictor"
# Size of the pooled features
_C.MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION = 14
# Samples per bin and axis in ROIAlign; 0 adapts to the box size
_C.MODEL.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO = 0
# Shift the boxes by half a cell, so that cell centers match (ROIAlignV2 of detectron2)
_C.MODEL.ROI_BOX_HEAD.POOLER_ALIGNED = False
# 1 / stride of each feature level to pool from
_C.MODEL.ROI_BOX_HEAD.POOLER_SCALES = (1.0 / 16,)
# Number of classes, background included
_C.MODEL.ROI_BOX_HEAD.NUM_CLASSES = 81
# Width of the fully connected layers
_C.MODEL.ROI_BOX_HEAD.MLP_HEAD_DIM = 1024
# Group normalization in the head
_C.MODEL.ROI_BOX_HEAD.USE_GN = False
# Normalization in the head: a value of RESNETS.NORM; "" has GN with USE_GN and else none
_C.MODEL.ROI_BOX_HEAD.NORM = ""
# Dilation of the convolutions of FPNXconv1fcFeatureExtractor
_C.MODEL.ROI_BOX_HEAD.DILATION = 1
# Width of those convolutions
_C.MODEL.ROI_BOX_HEAD.CONV_HEAD_DIM = 256
# Number of those convolutions
_C.MODEL.ROI_BOX_HEAD.NUM_STACKED_CONVS = 4

# -- cascade of box heads --------------------------------------------------------------------
_C.MODEL.ROI_BOX_CASCADE_HEAD = CfgNode()
# IoU from which the boxes of each stage are foreground in training; the first is that of ROI_HEADS
_C.MODEL.ROI_BOX_CASCADE_HEAD.IOUS = (0.5, 0.6, 0.7)
# Weights of dx, dy, dw, dh in the box regression targets of each stage, instead of those of
# ROI_HEADS
_C.MODEL.ROI_BOX_CASCADE_HEAD.BBOX_REG_WEIGHTS = (
    (10.0, 10.0, 5.0, 5.0),
    (20.0, 20.0, 10.0, 10.0),
    (30.0, 30.0, 15.0, 15.0),
)
# Weight of the losses of each stage
_C.MODEL.ROI_BOX_CASCADE_HEAD.LOSS_WEIGHTS = (1.0, 0.5, 0.25)
# What the class scores of a detection are the mean of over the stages: "probabilities"
# (detectron2) or "logits" (mmdetection)
_C.MODEL.ROI_BOX_CASCADE_HEAD.AVERAGE = "probabilities"

# -- mask head --------------------------------------------------------------------
_C.MODEL.ROI_MASK_HEAD = CfgNode()
# MaskRCNNFPNFeatureExtractor (FPN, C5), ResNet50Conv5ROIFeatureExtractor (C4) or
# FBNet.roi_head_mask; PooledFeatureExtractor (with MeanMaskPredictor)
_C.MODEL.ROI_MASK_HEAD.FEATURE_EXTRACTOR = "ResNet50Conv5ROIFeatureExtractor"
# MaskRCNNC4Predictor (upsamples by 2), MaskRCNNConv1x1Predictor, or MeanMaskPredictor, whose masks
# are the mean over a head for each stage of the cascade
_C.MODEL.ROI_MASK_HEAD.PREDICTOR = "MaskRCNNC4Predictor"
# Size of the pooled features
_C.MODEL.ROI_MASK_HEAD.POOLER_RESOLUTION = 14
# Samples per bin and axis in ROIAlign; 0 adapts to the box size
_C.MODEL.ROI_MASK_HEAD.POOLER_SAMPLING_RATIO = 0
# Shift the boxes by half a cell, so that cell centers match (ROIAlignV2 of detectron2)
_C.MODEL.ROI_MASK_HEAD.POOLER_ALIGNED = False
# 1 / stride of each feature level to pool from
_C.MODEL.ROI_MASK_HEAD.POOLER_SCALES = (1.0 / 16,)
# Width of the fully connected layers; unused, kept for configs that set it
_C.MODEL.ROI_MASK_HEAD.MLP_HEAD_DIM = 1024
# Widths of the convolutions before the upsampling
_C.MODEL.ROI_MASK_HEAD.CONV_LAYERS = (256, 256, 256, 256)
# Size of the predicted masks: twice POOLER_RESOLUTION with FPN and FBNet, POOLER_RESOLUTION with C4
_C.MODEL.ROI_MASK_HEAD.RESOLUTION = 14
# Share the feature extractor of the box head (C4)
_C.MODEL.ROI_MASK_HEAD.SHARE_BOX_FEATURE_EXTRACTOR = True
# Paste the masks into the resized image inside the model, for scripts that call it directly; the
# evaluation and the Predictor ignore this and paste into the original image
_C.MODEL.ROI_MASK_HEAD.POSTPROCESS_MASKS = False
# Probability threshold of the pixels of pasted masks
_C.MODEL.ROI_MASK_HEAD.POSTPROCESS_MASKS_THRESHOLD = 0.5
# How masks are pasted into the image: False resizes them to the box rounded to whole pixels
# (the original), True samples them at pixel centers (detectron2, mmdetection)
_C.MODEL.ROI_MASK_HEAD.PASTE_ALIGNED = False
# Dilation of the convolutions before the upsampling
_C.MODEL.ROI_MASK_HEAD.DILATION = 1
# Group normalization in the head
_C.MODEL.ROI_MASK_HEAD.USE_GN = False
# Normalization in the mask head and, unless it is frozen, in the MaskIoU head: a value of
# RESNETS.NORM; "" has GN with USE_GN and else none
_C.MODEL.ROI_MASK_HEAD.NORM = ""

# -- RetinaNet --------------------------------------------------------------------
_C.MODEL.RETINANET = CfgNode()
# Number of classes, background included
_C.MODEL.RETINANET.NUM_CLASSES = 81
# Smallest anchor size of each level, in pixels of the resized image
_C.MODEL.RETINANET.ANCHOR_SIZES = (32, 64, 128, 256, 512)
# Aspect ratios (height / width) of the anchors
_C.MODEL.RETINANET.ASPECT_RATIOS = (0.5, 1.0, 2.0)
# Stride in pixels of each feature level
_C.MODEL.RETINANET.ANCHOR_STRIDES = (8, 16, 32, 64, 128)
# Has no effect, as in maskrcnn-benchmark: anchors that cross the border are always trained
_C.MODEL.RETINANET.STRADDLE_THRESH = 0
_C.MODEL.RETINANET.widen("STRADDLE_THRESH", float)
# Size of the first anchor of a level that would follow the last, as a multiple of the level's size
_C.MODEL.RETINANET.OCTAVE = 2.0
# Number of anchor sizes per level, evenly spaced within an octave on a logarithmic scale
_C.MODEL.RETINANET.SCALES_PER_OCTAVE = 3
# Compute P6 from C5 instead of from P5 (bodies that end in -FPN-RETINANET)
_C.MODEL.RETINANET.USE_C5 = True
# Number of convolutions of each of the two towers of the head
_C.MODEL.RETINANET.NUM_CONVS = 4
# Divisor of the box loss
_C.MODEL.RETINANET.BBOX_REG_WEIGHT = 4.0
# Threshold between the quadratic and the linear part of the box loss
_C.MODEL.RETINANET.BBOX_REG_BETA = 0.11
# Number of top-scoring pairs of anchor and class per level that are kept before NMS
_C.MODEL.RETINANET.PRE_NMS_TOP_N = 1000
# An anchor with at least this IoU is foreground
_C.MODEL.RETINANET.FG_IOU_THRESHOLD = 0.5
# An anchor with less than this IoU is background; those in between are ignored
_C.MODEL.RETINANET.BG_IOU_THRESHOLD = 0.4
# Weight of an anchor's own class in the focal loss; the other classes have 1 - LOSS_ALPHA
_C.MODEL.RETINANET.LOSS_ALPHA = 0.25
# Exponent of the focal loss
_C.MODEL.RETINANET.LOSS_GAMMA = 2.0
# Probability that a new model gives to each class of each anchor
_C.MODEL.RETINANET.PRIOR_PROB = 0.01
# Detections with a class score at or below this are dropped
_C.MODEL.RETINANET.INFERENCE_TH = 0.05
# IoU threshold of the NMS within a class
_C.MODEL.RETINANET.NMS_TH = 0.4

# -- keypoint head --------------------------------------------------------------------
_C.MODEL.ROI_KEYPOINT_HEAD = CfgNode()
# The feature extractor class
_C.MODEL.ROI_KEYPOINT_HEAD.FEATURE_EXTRACTOR = "KeypointRCNNFeatureExtractor"
# The predictor class
_C.MODEL.ROI_KEYPOINT_HEAD.PREDICTOR = "KeypointRCNNPredictor"
# Size of the pooled features
_C.MODEL.ROI_KEYPOINT_HEAD.POOLER_RESOLUTION = 14
# Samples per bin and axis in ROIAlign; 0 adapts to the box size
_C.MODEL.ROI_KEYPOINT_HEAD.POOLER_SAMPLING_RATIO = 0
# Shift the boxes by half a cell, so that cell centers match (ROIAlignV2 of detectron2)
_C.MODEL.ROI_KEYPOINT_HEAD.POOLER_ALIGNED = False
# 1 / stride of each feature level to pool from
_C.MODEL.ROI_KEYPOINT_HEAD.POOLER_SCALES = (1.0 / 16,)
# Width of the fully connected layers; unused, kept for configs that set it
_C.MODEL.ROI_KEYPOINT_HEAD.MLP_HEAD_DIM = 1024
# Widths of the convolutions before the upsampling
_C.MODEL.ROI_KEYPOINT_HEAD.CONV_LAYERS = (512,) * 8
# Size of the heat maps: four times POOLER_RESOLUTION
_C.MODEL.ROI_KEYPOINT_HEAD.RESOLUTION = 14
# Number of keypoints of an instance
_C.MODEL.ROI_KEYPOINT_HEAD.NUM_CLASSES = 17
# Share the feature extractor of the box head; not supported: must be False for a keypoint head
_C.MODEL.ROI_KEYPOINT_HEAD.SHARE_BOX_FEATURE_EXTRACTOR = True
# Training images with fewer annotated keypoints over all instances are left out
# (DATALOADER.FILTER_EMPTY)
_C.MODEL.ROI_KEYPOINT_HEAD.MIN_KEYPOINTS_PER_IMAGE = 10

# ---------------------------------------------------------------------------------------------
# INPUT
# ---------------------------------------------------------------------------------------------
_C.INPUT = CfgNode()
# Short side of the image in training, in pixels; if several are given, one is drawn per image
_C.INPUT.MIN_SIZE_TRAIN = 800
_C.INPUT.widen("MIN_SIZE_TRAIN", tuple)
# Maximum long side of the image in training
_C.INPUT.MAX_SIZE_TRAIN = 1333
# Short side of the image in testing
_C.INPUT.MIN_SIZE_TEST = 800
# Maximum long side of the image in testing
_C.INPUT.MAX_SIZE_TEST = 1333
# Rounding of the resized image: "down" truncates the long side (the original), "nearest" rounds
# both sides (detectron2, mmdetection)
_C.INPUT.SIZE_ROUNDING = "down"
# Mean subtracted from the pixels, in the channel order and range given by TO_BGR255
_C.INPUT.PIXEL_MEAN = [102.9801, 115.9465, 122.7717]
# Standard deviation that the pixels are then divided by
_C.INPUT.PIXEL_STD = [1.0, 1.0, 1.0]
# Use BGR in [0, 255] (Caffe2 weights) instead of RGB in [0, 1]
_C.INPUT.TO_BGR255 = True
# Probability of a horizontal flip of a training image
_C.INPUT.HORIZONTAL_FLIP_PROB_TRAIN = 0.5
# Probability of a vertical flip of a training image
_C.INPUT.VERTICAL_FLIP_PROB_TRAIN = 0.0
# Brightness jitter in training: the factor is drawn from [1 - value, 1 + value]; 0 switches it off
_C.INPUT.BRIGHTNESS = 0.0
# Contrast jitter in training around the mean gray value; the factor is drawn as above
_C.INPUT.CONTRAST = 0.0
# Saturation jitter in training; the factor is drawn as above
_C.INPUT.SATURATION = 0.0
# Hue jitter in training: a shift drawn from [-value, value] of the color circle; at most 0.5
_C.INPUT.HUE = 0.0

# -- large-scale jitter --------------------------------------------------------------------
_C.INPUT.LARGE_SCALE_JITTER = CfgNode()
# Resize training images by a random scale, then crop or pad them to a square (Ghiasi et al., 2021);
# MIN_SIZE_TRAIN and MAX_SIZE_TRAIN have no effect then
_C.INPUT.LARGE_SCALE_JITTER.ENABLED = False
# Side of the square in pixels; at scale 1 the image just fits
_C.INPUT.LARGE_SCALE_JITTER.SIZE = 1024
# Smallest and largest scale
_C.INPUT.LARGE_SCALE_JITTER.SCALES = (0.1, 2.0)
# Share of the training images that get objects of another image pasted in along their masks, after
# resizing and flips (simple copy-paste, Ghiasi et al., 2021); 0 switches it off
_C.INPUT.COPY_PASTE = 0.0

# ---------------------------------------------------------------------------------------------
# DATASETS
# ---------------------------------------------------------------------------------------------
_C.DATASETS = CfgNode()
# Data sets to train on, by name (config/paths_catalog.py or CUSTOM)
_C.DATASETS.TRAIN = ()
# Data sets to test on
_C.DATASETS.TEST = ()
# Your own data in COCO format: NAME: {ANN_FILE: path of the JSON, IMG_DIR: folder of the images};
# for other formats add FACTORY: name of a class registered in DATASETS by --import
_C.DATASETS.CUSTOM = CfgNode(new_allowed=True)

# ---------------------------------------------------------------------------------------------
# DATALOADER
# ---------------------------------------------------------------------------------------------
_C.DATALOADER = CfgNode()
# Data loading workers per training process; 0 loads in the training process
_C.DATALOADER.NUM_WORKERS = 4
# Pad the batch to a multiple of this many pixels; FPN needs 32
_C.DATALOADER.SIZE_DIVISIBILITY = 0
# Put landscape and portrait images into separate training batches, which saves padding; test
# batches always have images of the same padded shape
_C.DATALOADER.ASPECT_RATIO_GROUPING = True
# Leave out training images without annotations (images with only crowds are kept); False trains on
# them as background
_C.DATALOADER.FILTER_EMPTY = True
# Repeat images with rare classes (Gupta et al., 2019): a class in a share f < REPEAT_THRESHOLD of
# the images is seen sqrt(REPEAT_THRESHOLD / f) times as often; LVIS uses 0.001, 0 switches it off
_C.DATALOADER.REPEAT_THRESHOLD = 0.0

# ---------------------------------------------------------------------------------------------
# SOLVER
# ---------------------------------------------------------------------------------------------
_C.SOLVER = CfgNode()
# Iterations to train for
_C.SOLVER.MAX_ITER = 40000
# Learning rate after the warm-up, for a batch of IMS_PER_BATCH images
_C.SOLVER.BASE_LR = 0.001
# Learning rate of the biases as a multiple of BASE_LR
_C.SOLVER.BIAS_LR_FACTOR = 2
_C.SOLVER.widen("BIAS_LR_FACTOR", float)
# Train only one part, "rpn", "box", "mask", "maskiou" or "keypoint", and freeze everything else,
# including the layers that it shares (SHARE_BOX_FEATURE_EXTRACTOR); "" trains the whole model
_C.SOLVER.TRAIN_ONLY = ""
# Momentum of SGD
_C.SOLVER.MOMENTUM = 0.9
# Weight decay (L2) of the weights
_C.SOLVER.WEIGHT_DECAY = 0.0005
# Weight decay (L2) of the biases
_C.SOLVER.WEIGHT_DECAY_BIAS = 0
_C.SOLVER.widen("WEIGHT_DECAY_BIAS", float)
# Factor of the learning rate at each of the STEPS
_C.SOLVER.GAMMA = 0.1
# Iterations at which the learning rate is multiplied by GAMMA, in ascending order
_C.SOLVER.STEPS = (30000,)
# Factor of the learning rate at the start of the warm-up
_C.SOLVER.WARMUP_FACTOR = 1.0 / 3
# Length of the warm-up in iterations; 0 disables it
_C.SOLVER.WARMUP_ITERS = 500
# Course of the warm-up factor: "linear" or "constant" (a jump to 1 at the end)
_C.SOLVER.WARMUP_METHOD = "linear"
# Learning rate schedule: "WarmupMultiStepLR" (by GAMMA at STEPS) or "WarmupCosineLR" (half a cosine
# to 0 at MAX_ITER; ignores GAMMA and STEPS)
_C.SOLVER.LR_SCHEDULER_NAME = "WarmupMultiStepLR"
# Gradient accumulation: number of parts that each rank splits its batch into to save memory. The
# gradient is the mean over the parts; an iteration is still one batch of IMS_PER_BATCH images and
# one update
_C.SOLVER.ACCUMULATE = 1
# Type in which the ranks exchange gradients: "float32", or "bfloat16", half the bytes between nodes
_C.SOLVER.ALLREDUCE_DTYPE = "float32"
# Clip the global L2 norm of the gradients to this value; 0 disables it
_C.SOLVER.CLIP_GRAD_NORM = 0.0
# Clip each element of the gradients to this absolute value; 0 disables it
_C.SOLVER.CLIP_GRAD_VALUE = 0.0
# Decay of an exponential moving average of the weights, such as 0.999, where each iteration has the
# weight 1 - EMA_DECAY; the averaged weights are evaluated. 0 disables it
_C.SOLVER.EMA_DECAY = 0.0
# Number of iterations between evaluations of DATASETS.TEST; 0 evaluates only at the end
_C.SOLVER.TEST_PERIOD = 0
# model_best.pth is the model with the highest value of this metric of metrics.jsonl on the first
# data set of DATASETS.TEST. "" chooses segm_AP for a model with masks, box_proposal_AR@1000 for an
# RPN-only model, and bbox_AP otherwise
_C.SOLVER.BEST_METRIC = ""
# Number of iterations between checkpoints
_C.SOLVER.CHECKPOINT_PERIOD = 10000
# Number of images per batch over all ranks
_C.SOLVER.IMS_PER_BATCH = 16
# Batch size that BASE_LR, MAX_ITER, STEPS, WARMUP_ITERS, EMA_DECAY, CHECKPOINT_PERIOD and
# TEST_PERIOD are given for, such as 16; with another IMS_PER_BATCH they are scaled so that training
# covers the same number of images. 0 uses them unscaled
_C.SOLVER.REFERENCE_BATCH = 0

# ---------------------------------------------------------------------------------------------
# TEST
# ---------------------------------------------------------------------------------------------
_C.TEST = CfgNode()
# Expected results of the evaluation: [[task, metric, mean, std], ...], task "bbox", "segm" or
# "keypoints"
_C.TEST.EXPECTED_RESULTS = []
# Allowed deviation of a result from its mean, in standard deviations
_C.TEST.EXPECTED_RESULTS_SIGMA_TOL = 4
_C.TEST.widen("EXPECTED_RESULTS_SIGMA_TOL", float)
# What computes COCO's metrics of boxes and masks: "pycocotools", or "fast" (faster-coco-eval: the
# same numbers sooner)
_C.TEST.COCO_EVALUATOR = "pycocotools"
# Write a report on the quality of the masks and their scores (docs/MASK_QUALITY.md) to
# OUTPUT_DIR/inference/<data set>/mask_quality after each evaluation; for data sets in COCO's format
_C.TEST.MASK_QUALITY = False
# Number of images per batch over all ranks
_C.TEST.IMS_PER_BATCH = 8
# Sigma of each keypoint in the object keypoint similarity. (): those of COCO for its 17 keypoints
# of a person, and their mean for other keypoints
_C.TEST.KEYPOINT_OKS_SIGMAS = ()
# -- test-time augmentation --------------------------------------------------------------------
_C.TEST.BBOX_AUG = CfgNode()
# Detect in several views of each image: boxes of all views are merged before the NMS, masks and
# predicted mask IoUs are averaged over the views; keypoints are those of the first view
_C.TEST.BBOX_AUG.ENABLED = False
# Add the image flipped left to right
_C.TEST.BBOX_AUG.H_FLIP = False
# Add the image with a short side of each of these lengths in pixels
_C.TEST.BBOX_AUG.SCALES = ()
# Maximum long side of the views of SCALES
_C.TEST.BBOX_AUG.MAX_SIZE = 4000
# Add each view of SCALES flipped as well
_C.TEST.BBOX_AUG.SCALE_H_FLIP = False
# Maximum number of detections per image of a RetinaNet (others: MODEL.ROI_HEADS); 0 keeps all
_C.TEST.DETECTIONS_PER_IMG = 100

# ---------------------------------------------------------------------------------------------
# Other
# ---------------------------------------------------------------------------------------------
# Seed of weight initialization, data order, augmentation and sampling
_C.SEED = 0
# Precision of the model: "float32", or mixed precision with "float16" (with loss scaling in
# training) or "bfloat16"; weights are always float32
_C.DTYPE = "float32"
# Folder for checkpoints, logs and results
_C.OUTPUT_DIR = "models/"
# File with the DatasetCatalog and ModelCatalog
_C.PATHS_CATALOG = str(Path(__file__).with_name("paths_catalog.py"))

# name of the same key in later versions of maskrcnn-benchmark
_C.register_renamed_key("MODEL.RESNETS.BACKBONE_OUT_CHANNELS", "MODEL.BACKBONE.OUT_CHANNELS")

cfg = _C.as_defaults()
_UNTOUCHED = cfg.clone()


def make_default_config() -> CfgNode:
    """Return a new tree of defaults, independent of values merged into ``cfg``."""
    return _UNTOUCHED.clone()
