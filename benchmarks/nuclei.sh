#!/usr/bin/env bash
# Fine-tunes Mask Scoring R-CNN (half-width ResNet-50-FPN) on microscope images with many small nuclei
# (Data Science Bowl 2018) and evaluates it. The data come by --register alone: that there is one
# class is read from them. COCO's metric counts 100 detections an image, some images have more nuclei.
# Later KEY VALUE pairs win.
# Usage: benchmarks/nuclei.sh DATA WEIGHTS OUTPUT [KEY VALUE ...]
#   DATA     folder with images/ and annotations/instances_{train,val}.json
#   WEIGHTS  half-width ResNet-50 of 104, 117, 123 mean BGR input, such as resnet50_thin.npz
set -euo pipefail
if [ $# -lt 3 ]; then
  sed -n '2,8s/^# //p' "$0" >&2
  exit 2
fi
data=$1 weights=$2 output=$3
shift 3
root=$(cd "$(dirname "$0")/.." && pwd)
python=$root/.venv/bin/python
[ -x "$python" ] || python=python3

exec "$python" "$root/tools/train_net.py" \
  --config-file "$root/configs/e2e_ms_rcnn_R_50_FPN_1x.yaml" \
  --register nuclei_train "$data/annotations/instances_train.json" "$data/images" \
  --register nuclei_val "$data/annotations/instances_val.json" "$data/images" \
  MODEL.WEIGHT "$weights" OUTPUT_DIR "$output" \
  MODEL.RESNETS.WIDTH_PER_GROUP 32 MODEL.RESNETS.RES2_OUT_CHANNELS 128 \
  MODEL.RPN.ANCHOR_SIZES "(16, 32, 64, 128, 256)" MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE 128 \
  INPUT.PIXEL_MEAN "[104, 117, 123]" INPUT.VERTICAL_FLIP_PROB_TRAIN 0.5 \
  INPUT.MIN_SIZE_TRAIN 400 INPUT.MAX_SIZE_TRAIN 600 INPUT.MIN_SIZE_TEST 400 INPUT.MAX_SIZE_TEST 600 \
  DATALOADER.NUM_WORKERS 1 TEST.IMS_PER_BATCH 1 SOLVER.CHECKPOINT_PERIOD 300 \
  SOLVER.IMS_PER_BATCH 2 SOLVER.BASE_LR 0.005 SOLVER.WARMUP_ITERS 100 \
  SOLVER.MAX_ITER 900 SOLVER.STEPS "(630, 810)" "$@"
