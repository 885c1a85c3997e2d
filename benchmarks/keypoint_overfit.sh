#!/usr/bin/env bash
# Overfits eight COCO photographs (a sanity check): Keypoint R-CNN (half-width ResNet-50-FPN, one class, narrow
# keypoint head) is trained on them without mirroring, in bfloat16, and evaluated on the same eight. The
# keypoints are drawn from the masks by extreme_keypoints.py. Later KEY VALUE pairs win;
# MODEL.MASK_ON True MODEL.MASKIOU_ON True adds masks and their scores.
# Usage: benchmarks/keypoint_overfit.sh DATA WEIGHTS OUTPUT [KEY VALUE ...]
#   DATA     folder with images/ and annotations/instances_train.json in COCO format
#   WEIGHTS  half-width ResNet-50 of 104, 117, 123 mean BGR input, such as resnet50_thin.npz
source "$(dirname "$0")/common.sh"

mkdir -p "$output"
"$python" "$root/benchmarks/extreme_keypoints.py" "$data/annotations/instances_train.json" \
  "$output/keypoints.json" --images 8

exec "$python" "$root/tools/train_net.py" --config-file "$root/configs/e2e_keypoint_rcnn_R_50_FPN_1x.yaml" \
  --register keypoints "$output/keypoints.json" "$data/images" \
  DATASETS.TRAIN "('keypoints',)" DATASETS.TEST "('keypoints',)" "${model[@]}" \
  MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE 32 MODEL.ROI_HEADS.POSITIVE_FRACTION 0.5 \
  MODEL.ROI_KEYPOINT_HEAD.CONV_LAYERS "(128, 128, 128, 128)" \
  MODEL.ROI_KEYPOINT_HEAD.MIN_KEYPOINTS_PER_IMAGE 1 \
  INPUT.HORIZONTAL_FLIP_PROB_TRAIN 0.0 DTYPE bfloat16 \
  INPUT.MIN_SIZE_TRAIN 256 INPUT.MAX_SIZE_TRAIN 432 INPUT.MIN_SIZE_TEST 256 INPUT.MAX_SIZE_TEST 432 \
  SOLVER.IMS_PER_BATCH 2 SOLVER.BASE_LR 0.015 SOLVER.WEIGHT_DECAY 0.0 SOLVER.WARMUP_ITERS 100 \
  SOLVER.CLIP_GRAD_NORM 10.0 \
  SOLVER.MAX_ITER 900 SOLVER.STEPS "(700, 820)" "$@"
