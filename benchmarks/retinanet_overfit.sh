#!/usr/bin/env bash
# Overfits eight COCO photographs (a sanity check): a RetinaNet (half-width ResNet-50-FPN, 80 classes,
# pyramid and head of half the width, towers of two convolutions) is trained on them without
# mirroring, in bfloat16, and evaluated on the same eight. Which photographs these are: clear_images.py.
# Later KEY VALUE pairs win.
# Usage: benchmarks/retinanet_overfit.sh DATA WEIGHTS OUTPUT [KEY VALUE ...]
#   DATA     folder with images/ and annotations/instances_train.json in COCO format
#   WEIGHTS  half-width ResNet-50 of 104, 117, 123 mean BGR input, such as resnet50_thin.npz
source "$(dirname "$0")/common.sh"

mkdir -p "$output"
"$python" "$root/benchmarks/clear_images.py" "$data/annotations/instances_train.json" "$output/eight.json" --images 8

exec "$python" "$root/tools/train_net.py" \
  --config-file "$root/configs/retinanet/retinanet_R-50-FPN_1x.yaml" \
  --register coco_eight "$output/eight.json" "$data/images" \
  DATASETS.TRAIN "('coco_eight',)" DATASETS.TEST "('coco_eight',)" "${model[@]}" \
  MODEL.BACKBONE.OUT_CHANNELS 128 MODEL.RETINANET.NUM_CONVS 2 MODEL.RETINANET.NMS_TH 0.6 \
  INPUT.HORIZONTAL_FLIP_PROB_TRAIN 0.0 DTYPE bfloat16 \
  INPUT.MIN_SIZE_TRAIN 256 INPUT.MAX_SIZE_TRAIN 432 INPUT.MIN_SIZE_TEST 256 INPUT.MAX_SIZE_TEST 432 \
  SOLVER.IMS_PER_BATCH 2 SOLVER.BASE_LR 0.03 SOLVER.WEIGHT_DECAY 0.0 SOLVER.WARMUP_ITERS 100 \
  SOLVER.CLIP_GRAD_NORM 5.0 \
  SOLVER.MAX_ITER 900 SOLVER.STEPS "(700, 820)" "$@"
