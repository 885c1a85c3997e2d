"""Every configuration key with its default.

Names and defaults are those of the original Mask Scoring R-CNN; the group normalisation keys and
those of flips and colours are maskrcnn-benchmark's. A YAML file and the trailing
``KEY VALUE`` pairs of a command override them; ``checks.py`` refuses what does not fit together.
"""

from pathlib import Path

from maskrcnn_benchmark.config.node import CfgNode

_C = CfgNode()

# ---------------------------------------------------------------------------------------------
# MODEL
# ---------------------------------------------------------------------------------------------
_C.MODEL = CfgNode()
# Only the region proposal network; no box, mask or MaskIoU head
_C.MODEL.RPN_ONLY = False
# Predict instance masks
_C.MODEL.MASK_ON = False
# Predict the quality of each mask (Mask Scoring R-CNN); needs MASK_ON
_C.MODEL.MASKIOU_ON = False
# Device to run on: "cuda", "cuda:N" or "cpu"
_C.MODEL.DEVICE = "cuda"
# The detector class
_C.MODEL.META_ARCHITECTURE = "GeneralizedRCNN"
# Weight of loss_maskiou in the sum of the losses
_C.MODEL.MASKIOU_LOSS_WEIGHT = 1.0
# Width of a box minus (x2 - x1), in pixels: 1 for inclusive boxes (the original's and Detectron's
# weights), 0 for continuous coordinates (torchvision's, detectron2's and mmdetection's)
_C.MODEL.PIXEL_OFFSET = 1.0
# Bound dw and dh from below as well as from above when boxes are decoded: no box is less than
# 16 / 1000 of its reference (mmdetection's)
_C.MODEL.BOX_CODER_CLIP_BELOW = False
# Initial weights: a path (.pth .pkl .safetensors .npz), a URL or a catalog:// name; "" starts from
# random weights. An OUTPUT_DIR/last_checkpoint takes precedence
_C.MODEL.WEIGHT = ""
# Folder that downloaded weights are kept in
_C.MODEL.PRETRAINED_MODELS = "pretrained_models"

# -- backbone --------------------------------------------------------------------
_C.MODEL.BACKBONE = CfgNode()
# Backbone, each with -C4, -C5 or -FPN (R-18 and R-34 want
# RESNETS.RES2_OUT_CHANNELS 64); timm:NAME, a model of the timm library with FPN; or one that
# --import registered
_C.MODEL.BACKBONE.CONV_BODY = "R-50-C4"
# Stages kept at their initial weights: 0 none, 1 the stem, 2 the stem and layer1, ...; of a timm
# model n from 2 to 5 is all that the feature map of stride 2 ** n is computed from
_C.MODEL.BACKBONE.FREEZE_CONV_BODY_AT = 2
# Channels of the backbone's output features (256 for FPN)
_C.MODEL.BACKBONE.OUT_CHANNELS = 256 * 4

# -- ResNe(X)t --------------------------------------------------------------------
_C.MODEL.RESNETS = CfgNode()
# Groups of the 3x3 convolutions; more than 1 makes it a ResNeXt
_C.MODEL.RESNETS.NUM_GROUPS = 1
# Width of each group in the first stage
_C.MODEL.RESNETS.WIDTH_PER_GROUP = 64
# Put the stride into the first 1x1 convolution of a block (MSRA's weights) or into the 3x3 one
# (torchvision's, ResNeXt's)
_C.MODEL.RESNETS.STRIDE_IN_1X1 = True
# Residual block: BottleneckWithFixedBatchNorm or BottleneckWithGN
_C.MODEL.RESNETS.TRANS_FUNC = "BottleneckWithFixedBatchNorm"
# Stem: StemWithFixedBatchNorm or StemWithGN
_C.MODEL.RESNETS.STEM_FUNC = "StemWithFixedBatchNorm"
# Dilation of the last stage, of the body or of the heads; above 1 the stage keeps its input's size
_C.MODEL.RESNETS.RES5_DILATION = 1
# Output channels of the first stage; each further stage doubles them
_C.MODEL.RESNETS.RES2_OUT_CHANNELS = 256
# Output channels of the stem
_C.MODEL.RESNETS.STEM_OUT_CHANNELS = 64
# Which stages of layer1 ... layer4 use deformable 3x3 convolutions
_C.MODEL.RESNETS.STAGE_WITH_DCN = (False, False, False, False)
# Modulated deformable convolutions (version 2)
_C.MODEL.RESNETS.WITH_MODULATED_DCN = False
# Number of channel groups with separate offsets
_C.MODEL.RESNETS.DEFORMABLE_GROUPS = 1

# -- models of timm --------------------------------------------------------------------
_C.MODEL.TIMM = CfgNode()
# BatchNorm keeps its statistics and weights, as that of a ResNet does; False trains it, for large
# batches or from random weights
_C.MODEL.TIMM.FREEZE_BN = True

# -- feature pyramid --------------------------------------------------------------------
_C.MODEL.FPN = CfgNode()
# Group normalisation after each convolution of the pyramid
_C.MODEL.FPN.USE_GN = False
# ReLU after each convolution of the pyramid
_C.MODEL.FPN.USE_RELU = False

# -- group normalisation --------------------------------------------------------------------
_C.MODEL.GROUP_NORM = CfgNode()
# Channels per group; -1 when the number of groups is given instead
_C.MODEL.GROUP_NORM.DIM_PER_GP = -1
# Number of groups; -1 when the channels per group are given instead
_C.MODEL.GROUP_NORM.NUM_GROUPS = 32
# Added to the variance
_C.MODEL.GROUP_NORM.EPSILON = 1e-5

# -- region proposal network --------------------------------------------------------------------
_C.MODEL.RPN = CfgNode()
# Propose from all levels of a feature pyramid
_C.MODEL.RPN.USE_FPN = False
# Anchor sides in pixels of the resized image; one per level with FPN
_C.MODEL.RPN.ANCHOR_SIZES = (32, 64, 128, 256, 512)
# Stride in pixels of each feature level; one without FPN
_C.MODEL.RPN.ANCHOR_STRIDE = (16,)
# Height / width of the anchors
_C.MODEL.RPN.ASPECT_RATIOS = (0.5, 1.0, 2.0)
# Placement of the anchors: "legacy" (the original's), "centred" (detectron2's, mmdetection's) or
# "torchvision"
_C.MODEL.RPN.ANCHOR_RULE = "legacy"
# Exclude anchors from training that reach this many pixels beyond the image; -1 excludes none
_C.MODEL.RPN.STRADDLE_THRESH = 0
_C.MODEL.RPN.widen("STRADDLE_THRESH", float)
# An anchor with at least this IoU is foreground
_C.MODEL.RPN.FG_IOU_THRESHOLD = 0.7
# An anchor with less than this IoU is background; those between are ignored
_C.MODEL.RPN.BG_IOU_THRESHOLD = 0.3
# Anchors per image in the loss
_C.MODEL.RPN.BATCH_SIZE_PER_IMAGE = 256
# Share of foreground among them, at most
_C.MODEL.RPN.POSITIVE_FRACTION = 0.5
# Proposals (per level with FPN) kept by score before NMS, in training
_C.MODEL.RPN.PRE_NMS_TOP_N_TRAIN = 12000
# The same in testing
_C.MODEL.RPN.PRE_NMS_TOP_N_TEST = 6000
# Proposals (per level with FPN) kept after NMS, in training
_C.MODEL.RPN.POST_NMS_TOP_N_TRAIN = 2000
# The same in testing
_C.MODEL.RPN.POST_NMS_TOP_N_TEST = 1000
# NMS suppresses proposals above this IoU
_C.MODEL.RPN.NMS_THRESH = 0.7
# Drop proposals with a side below this many pixels of the resized image
_C.MODEL.RPN.MIN_SIZE = 0
_C.MODEL.RPN.widen("MIN_SIZE", float)
# Proposals kept over all levels of the pyramid, in training (of each image or of the batch: see
# FPN_POST_NMS_PER_BATCH)
_C.MODEL.RPN.FPN_POST_NMS_TOP_N_TRAIN = 2000
# The same of each image in testing
_C.MODEL.RPN.FPN_POST_NMS_TOP_N_TEST = 2000
# Whether the number of training counts over the whole batch, or for each image
_C.MODEL.RPN.FPN_POST_NMS_PER_BATCH = True
# The head class
_C.MODEL.RPN.RPN_HEAD = "SingleConvRPNHead"

# -- RoI heads --------------------------------------------------------------------
_C.MODEL.ROI_HEADS = CfgNode()
# Pool from the levels of a feature pyramid
_C.MODEL.ROI_HEADS.USE_FPN = False
# A proposal with at least this IoU is foreground
_C.MODEL.ROI_HEADS.FG_IOU_THRESHOLD = 0.5
# A proposal with less than this IoU is background
_C.MODEL.ROI_HEADS.BG_IOU_THRESHOLD = 0.5
# Weights of dx, dy, dw, dh in the box regression targets
_C.MODEL.ROI_HEADS.BBOX_REG_WEIGHTS = (10.0, 10.0, 5.0, 5.0)
# Proposals per image in the losses
_C.MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE = 512
# Share of foreground among them, at most
_C.MODEL.ROI_HEADS.POSITIVE_FRACTION = 0.25
# Detections with a class score up to this are dropped
_C.MODEL.ROI_HEADS.SCORE_THRESH = 0.05
# NMS within a class suppresses detections above this IoU
_C.MODEL.ROI_HEADS.NMS = 0.5
_C.MODEL.ROI_HEADS.SOFT_NMS = CfgNode()
# Soft-NMS instead of NMS: overlapping boxes of a class are rescored instead of removed
_C.MODEL.ROI_HEADS.SOFT_NMS.ENABLED = False
# "linear": an IoU of o with a better box, ROI_HEADS.NMS or more, leaves 1 - o of the score;
# "gaussian": exp(-o^2 / SIGMA) of it
_C.MODEL.ROI_HEADS.SOFT_NMS.METHOD = "linear"
# Width of the Gaussian
_C.MODEL.ROI_HEADS.SOFT_NMS.SIGMA = 0.5
# Detections whose score falls below this are dropped
_C.MODEL.ROI_HEADS.SOFT_NMS.MIN_SCORE = 0.001
# Detections kept per image; 0 or less keeps all
_C.MODEL.ROI_HEADS.DETECTIONS_PER_IMG = 100
# Drop detections with a side below this many pixels of the resized image
_C.MODEL.ROI_HEADS.MIN_SIZE = 0.0

# -- box head --------------------------------------------------------------------
_C.MODEL.ROI_BOX_HEAD = CfgNode()
# FPN2MLPFeatureExtractor or FPNXconv1fcFeatureExtractor (FPN, C5);
# ResNet50Conv5ROIFeatureExtractor (C4)
_C.MODEL.ROI_BOX_HEAD.FEATURE_EXTRACTOR = "ResNet50Conv5ROIFeatureExtractor"
# FPNPredictor (FPN, C5) or FastRCNNPredictor (C4)
_C.MODEL.ROI_BOX_HEAD.PREDICTOR = "FastRCNNPredictor"
# Side of the pooled feature
_C.MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION = 14
# Samples per bin and axis in RoIAlign; 0 adapts to the size of the box
_C.MODEL.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO = 0
# Shift the boxes by half a cell, where the centres of the cells are (detectron2's ROIAlignV2)
_C.MODEL.ROI_BOX_HEAD.POOLER_ALIGNED = False
# 1 / stride of each feature level pooled from
_C.MODEL.ROI_BOX_HEAD.POOLER_SCALES = (1.0 / 16,)
# Classes, the background included
_C.MODEL.ROI_BOX_HEAD.NUM_CLASSES = 81
# Width of the fully connected layers
_C.MODEL.ROI_BOX_HEAD.MLP_HEAD_DIM = 1024
# Group normalisation in the head
_C.MODEL.ROI_BOX_HEAD.USE_GN = False
# Dilation of the convolutions of FPNXconv1fcFeatureExtractor
_C.MODEL.ROI_BOX_HEAD.DILATION = 1
# Width of those convolutions
_C.MODEL.ROI_BOX_HEAD.CONV_HEAD_DIM = 256
# Number of those convolutions
_C.MODEL.ROI_BOX_HEAD.NUM_STACKED_CONVS = 4

# -- mask head --------------------------------------------------------------------
_C.MODEL.ROI_MASK_HEAD = CfgNode()
# MaskRCNNFPNFeatureExtractor (FPN, C5) or ResNet50Conv5ROIFeatureExtractor (C4)
_C.MODEL.ROI_MASK_HEAD.FEATURE_EXTRACTOR = "ResNet50Conv5ROIFeatureExtractor"
# The predictor class
_C.MODEL.ROI_MASK_HEAD.PREDICTOR = "MaskRCNNC4Predictor"
# Side of the pooled feature
_C.MODEL.ROI_MASK_HEAD.POOLER_RESOLUTION = 14
# Samples per bin and axis in RoIAlign; 0 adapts to the size of the box
_C.MODEL.ROI_MASK_HEAD.POOLER_SAMPLING_RATIO = 0
# Shift the boxes by half a cell, where the centres of the cells are (detectron2's ROIAlignV2)
_C.MODEL.ROI_MASK_HEAD.POOLER_ALIGNED = False
# 1 / stride of each feature level pooled from
_C.MODEL.ROI_MASK_HEAD.POOLER_SCALES = (1.0 / 16,)
# Width of fully connected layers of a mask head; no current head has any
_C.MODEL.ROI_MASK_HEAD.MLP_HEAD_DIM = 1024
# Widths of the convolutions before the upsampling
_C.MODEL.ROI_MASK_HEAD.CONV_LAYERS = (256, 256, 256, 256)
# Side of the predicted mask: twice POOLER_RESOLUTION with FPN, POOLER_RESOLUTION with C4
_C.MODEL.ROI_MASK_HEAD.RESOLUTION = 14
# Use the box head's feature extractor (C4)
_C.MODEL.ROI_MASK_HEAD.SHARE_BOX_FEATURE_EXTRACTOR = True
# Paste the masks into the image inside the model, for scripts that call it; the evaluation and the
# Predictor build it without, as they paste into the original image
_C.MODEL.ROI_MASK_HEAD.POSTPROCESS_MASKS = False
# Probability above which a pasted pixel belongs to the mask
_C.MODEL.ROI_MASK_HEAD.POSTPROCESS_MASKS_THRESHOLD = 0.5
# How masks are pasted into the image: False resizes them into the box of whole pixels (the
# original's rule), True samples them at the centers of the pixels (detectron2's, mmdetection's)
_C.MODEL.ROI_MASK_HEAD.PASTE_ALIGNED = False
# Dilation of the convolutions before the upsampling
_C.MODEL.ROI_MASK_HEAD.DILATION = 1
# Group normalisation in the head
_C.MODEL.ROI_MASK_HEAD.USE_GN = False

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
# How the sides of the resized image become whole pixels: "down" truncates the long one (the
# original's rule), "nearest" rounds (detectron2's, mmdetection's)
_C.INPUT.SIZE_ROUNDING = "down"
# Subtracted from the pixels, in the channel order and range that TO_BGR255 gives
_C.INPUT.PIXEL_MEAN = [102.9801, 115.9465, 122.7717]
# The pixels minus the mean are divided by it
_C.INPUT.PIXEL_STD = [1.0, 1.0, 1.0]
# Feed BGR of 0 ... 255 (Caffe2's weights); otherwise RGB of 0 ... 1
_C.INPUT.TO_BGR255 = True
# Probability of a horizontal flip of a training image
_C.INPUT.HORIZONTAL_FLIP_PROB_TRAIN = 0.5
# Probability of a vertical flip of a training image
_C.INPUT.VERTICAL_FLIP_PROB_TRAIN = 0.0
# Brightness of training images: the factor is drawn from 1 - value ... 1 + value; 0 leaves it alone
_C.INPUT.BRIGHTNESS = 0.0
# Contrast of training images, about their mean gray; likewise
_C.INPUT.CONTRAST = 0.0
# Saturation of training images; likewise
_C.INPUT.SATURATION = 0.0
# The hue is shifted by -value ... value of the whole circle, value at most 0.5
_C.INPUT.HUE = 0.0

# -- large-scale jitter --------------------------------------------------------------------
_C.INPUT.LARGE_SCALE_JITTER = CfgNode()
# Resize training images by a random scale, then crop or pad them to a square (Ghiasi et al., 2021);
# MIN_SIZE_TRAIN and MAX_SIZE_TRAIN have no effect then
_C.INPUT.LARGE_SCALE_JITTER.ENABLED = False
# Side of the square in pixels; at scale 1 the image just fits
_C.INPUT.LARGE_SCALE_JITTER.SIZE = 1024
# Lowest and highest scale
_C.INPUT.LARGE_SCALE_JITTER.SCALES = (0.1, 2.0)

# ---------------------------------------------------------------------------------------------
# DATASETS
# ---------------------------------------------------------------------------------------------
_C.DATASETS = CfgNode()
# Data sets to train on, by name (config/paths_catalog.py or CUSTOM)
_C.DATASETS.TRAIN = ()
# Data sets to test on
_C.DATASETS.TEST = ()
# Your own data in COCO format: NAME: {ANN_FILE: path of the json, IMG_DIR: folder of the images};
# in another one with FACTORY beside them: a class that is registered in DATASETS by --import
_C.DATASETS.CUSTOM = CfgNode(new_allowed=True)

# ---------------------------------------------------------------------------------------------
# DATALOADER
# ---------------------------------------------------------------------------------------------
_C.DATALOADER = CfgNode()
# Data loading workers per training process; 0 loads in the training process
_C.DATALOADER.NUM_WORKERS = 4
# Pad the batch to a multiple of this many pixels; FPN needs 32
_C.DATALOADER.SIZE_DIVISIBILITY = 0
# Put landscape and portrait images into separate training batches, which saves padding; in testing
# the images of a batch have one padded shape in any case
_C.DATALOADER.ASPECT_RATIO_GROUPING = True
# Leave training images without any annotation out (those with crowds alone stay); False trains on
# them as background
_C.DATALOADER.FILTER_EMPTY = True

# ---------------------------------------------------------------------------------------------
# SOLVER
# ---------------------------------------------------------------------------------------------
_C.SOLVER = CfgNode()
# Iterations to train for
_C.SOLVER.MAX_ITER = 40000
# Learning rate after the warm-up, for a batch of IMS_PER_BATCH images
_C.SOLVER.BASE_LR = 0.001
# Learning rate of the biases as a multiple of that of the weights
_C.SOLVER.BIAS_LR_FACTOR = 2
_C.SOLVER.widen("BIAS_LR_FACTOR", float)
# Train one part, "rpn", "box", "mask" or "maskiou", and leave everything else as it is, what it
# shares with another part included (SHARE_BOX_FEATURE_EXTRACTOR); "" trains the whole model
_C.SOLVER.TRAIN_ONLY = ""
# Momentum of SGD
_C.SOLVER.MOMENTUM = 0.9
# L2 decay of the weights
_C.SOLVER.WEIGHT_DECAY = 0.0005
# L2 decay of the biases
_C.SOLVER.WEIGHT_DECAY_BIAS = 0
_C.SOLVER.widen("WEIGHT_DECAY_BIAS", float)
# The rate is multiplied by GAMMA at each of the STEPS
_C.SOLVER.GAMMA = 0.1
# Iterations, in order
_C.SOLVER.STEPS = (30000,)
# The first WARMUP_ITERS iterations start at WARMUP_FACTOR times the rate
_C.SOLVER.WARMUP_FACTOR = 1.0 / 3
# Length of the warm-up in iterations; 0: none
_C.SOLVER.WARMUP_ITERS = 500
# How the factor gets from there to 1: "linear" or "constant" (a jump)
_C.SOLVER.WARMUP_METHOD = "linear"
# How the rate falls: "WarmupMultiStepLR" (by GAMMA at STEPS) or "WarmupCosineLR" (half a cosine, to
# 0 at MAX_ITER; GAMMA and STEPS do not count)
_C.SOLVER.LR_SCHEDULER_NAME = "WarmupMultiStepLR"
# Number of parts in which a process computes its batch, to save memory: the gradient is the
# mean over the parts. An iteration remains one batch of IMS_PER_BATCH images and one update
_C.SOLVER.ACCUMULATE = 1
# Clip the gradient of all weights together to this L2 norm; 0: never
_C.SOLVER.CLIP_GRAD_NORM = 0.0
# Clip each element of the gradient to this absolute value; 0: never
_C.SOLVER.CLIP_GRAD_VALUE = 0.0
# The weights are averaged over the iterations, those of an iteration counting for (1 - EMA_DECAY),
# such as 0.999; the averaged ones are evaluated. 0: no average
_C.SOLVER.EMA_DECAY = 0.0
# Evaluate DATASETS.TEST every this many iterations, and at the last one; 0: only at the end
_C.SOLVER.TEST_PERIOD = 0
# model_best.pth is the model with the largest value of this metric of metrics.jsonl, on the first
# set of DATASETS.TEST. "": segm_AP of a model with masks, bbox_AP of another, box_proposal_AR@1000
# of an RPN alone
_C.SOLVER.BEST_METRIC = ""
# Iterations between two checkpoints
_C.SOLVER.CHECKPOINT_PERIOD = 10000
# Images in a batch, over all training processes
_C.SOLVER.IMS_PER_BATCH = 16
# The batch that BASE_LR, MAX_ITER, STEPS, WARMUP_ITERS, EMA_DECAY, CHECKPOINT_PERIOD and
# TEST_PERIOD are meant for, such as 16: for another IMS_PER_BATCH they are scaled to see as many
# images. 0: they are meant as is
_C.SOLVER.REFERENCE_BATCH = 0

# ---------------------------------------------------------------------------------------------
# TEST
# ---------------------------------------------------------------------------------------------
_C.TEST = CfgNode()
# Expected results of the evaluation: [[task, metric, mean, std], ...], task "bbox" or "segm"
_C.TEST.EXPECTED_RESULTS = []
# Allowed deviation of a result from its mean, in standard deviations
_C.TEST.EXPECTED_RESULTS_SIGMA_TOL = 4
_C.TEST.widen("EXPECTED_RESULTS_SIGMA_TOL", float)
# Images in a batch, over all processes
_C.TEST.IMS_PER_BATCH = 8

# ---------------------------------------------------------------------------------------------
# Other
# ---------------------------------------------------------------------------------------------
# Seed of the initial weights, the order of the data, augmentation and sampling
_C.SEED = 0
# Arithmetic of the model: "float32", or mixed precision with "float16" (the loss is scaled while
# training) or "bfloat16"; the weights are float32 in any case
_C.DTYPE = "float32"
# Folder for checkpoints, logs and results
_C.OUTPUT_DIR = "models/"
# File with the DatasetCatalog and ModelCatalog
_C.PATHS_CATALOG = str(Path(__file__).with_name("paths_catalog.py"))

# maskrcnn-benchmark's later name of the same key
_C.register_renamed_key("MODEL.RESNETS.BACKBONE_OUT_CHANNELS", "MODEL.BACKBONE.OUT_CHANNELS")

cfg = _C.as_defaults()
_UNTOUCHED = cfg.clone()


def make_default_config() -> CfgNode:
    """Return a new tree of defaults, independent of what was merged into ``cfg``."""
    return _UNTOUCHED.clone()
