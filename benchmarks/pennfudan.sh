#!/usr/bin/env bash
# Fine-tunes Mask Scoring R-CNN (half-width ResNet-50-FPN) on PennFudan, about 20 minutes on 2 CPU
# cores, and evaluates it. Later KEY VALUE pairs win.
# Usage: benchmarks/pennfudan.sh DATA WEIGHTS OUTPUT [KEY VALUE ...]
#   DATA     folder with images/ and annotations/instances_{train,val}.json
#   WEIGHTS  half-width ResNet-50 of 104, 117, 123 mean BGR input, such as resnet50_thin.npz
source "$(dirname "$0")/common.sh"

exec "$python" "${train[@]}" \
  --register pennfudan_train "$data/annotations/instances_train.json" "$data/images" \
  --register pennfudan_val "$data/annotations/instances_val.json" "$data/images" \
  "${model[@]}" MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE 128 \
  INPUT.MIN_SIZE_TRAIN 320 INPUT.MAX_SIZE_TRAIN 540 INPUT.MIN_SIZE_TEST 320 INPUT.MAX_SIZE_TEST 540 \
  SOLVER.IMS_PER_BATCH 2 SOLVER.BASE_LR 0.005 SOLVER.WARMUP_ITERS 100 \
  SOLVER.MAX_ITER 900 SOLVER.STEPS "(630, 810)" "$@"
