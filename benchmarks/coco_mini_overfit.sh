#!/usr/bin/env bash
# Overfits 20 COCO photographs (a sanity check): Mask Scoring R-CNN (half-width ResNet-50-FPN, 80 classes) is
# trained on them without mirroring, in bfloat16, and evaluated on the same 20. About 45 minutes on 2
# CPU cores. Which photographs these are: clear_images.py. Later KEY VALUE pairs win.
# Usage: benchmarks/coco_mini_overfit.sh DATA WEIGHTS OUTPUT [KEY VALUE ...]
#   DATA     folder with images/ and annotations/instances_train.json in COCO format
#   WEIGHTS  half-width ResNet-50 of 104, 117, 123 mean BGR input, such as resnet50_thin.npz
source "$(dirname "$0")/common.sh"

mkdir -p "$output"
"$python" "$root/benchmarks/clear_images.py" "$data/annotations/instances_train.json" "$output/twenty.json"

exec "$python" "${train[@]}" --register coco_twenty "$output/twenty.json" "$data/images" \
  DATASETS.TRAIN "('coco_twenty',)" DATASETS.TEST "('coco_twenty',)" "${model[@]}" \
  MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE 32 MODEL.ROI_HEADS.POSITIVE_FRACTION 0.5 \
  INPUT.HORIZONTAL_FLIP_PROB_TRAIN 0.0 DTYPE bfloat16 \
  INPUT.MIN_SIZE_TRAIN 256 INPUT.MAX_SIZE_TRAIN 432 INPUT.MIN_SIZE_TEST 256 INPUT.MAX_SIZE_TEST 432 \
  SOLVER.IMS_PER_BATCH 2 SOLVER.BASE_LR 0.015 SOLVER.WEIGHT_DECAY 0.0 SOLVER.WARMUP_ITERS 100 \
  SOLVER.CLIP_GRAD_NORM 10.0 \
  SOLVER.MAX_ITER 2400 SOLVER.STEPS "(1900, 2200)" "$@"
