#!/usr/bin/env bash
# Fine-tunes Mask Scoring R-CNN (half-width ResNet-50-FPN) in bfloat16 on microscope images with many
# small nuclei (Data Science Bowl 2018) and evaluates it. The data come by --register alone: that
# there is one class is read from them. COCO's metric counts 100 detections an image, some images
# have more nuclei. Later KEY VALUE pairs win.
# Usage: benchmarks/nuclei.sh DATA WEIGHTS OUTPUT [KEY VALUE ...]
#   DATA     folder with images/ and annotations/instances_{train,val}.json
#   WEIGHTS  half-width ResNet-50 of 104, 117, 123 mean BGR input, such as resnet50_thin.npz
source "$(dirname "$0")/common.sh"

exec "$python" "${train[@]}" \
  --register nuclei_train "$data/annotations/instances_train.json" "$data/images" \
  --register nuclei_val "$data/annotations/instances_val.json" "$data/images" \
  "${model[@]}" MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE 128 \
  MODEL.RPN.ANCHOR_SIZES "(16, 32, 64, 128, 256)" INPUT.VERTICAL_FLIP_PROB_TRAIN 0.5 DTYPE bfloat16 \
  INPUT.MIN_SIZE_TRAIN 400 INPUT.MAX_SIZE_TRAIN 600 INPUT.MIN_SIZE_TEST 400 INPUT.MAX_SIZE_TEST 600 \
  SOLVER.IMS_PER_BATCH 2 SOLVER.BASE_LR 0.005 SOLVER.WARMUP_ITERS 100 \
  SOLVER.MAX_ITER 900 SOLVER.STEPS "(630, 810)" "$@"
