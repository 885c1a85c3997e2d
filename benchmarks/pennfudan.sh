#!/usr/bin/env bash
# Fine-tunes Mask Scoring R-CNN (half-width ResNet-50-FPN) on PennFudan, about 20 minutes on 2 CPU
# cores, and evaluates it. Later KEY VALUE pairs win.
# Usage: benchmarks/pennfudan.sh DATA WEIGHTS OUTPUT [KEY VALUE ...]
#   DATA     folder with images/ and annotations/instances_{train,val}.json
#   WEIGHTS  half-width ResNet-50 of 104, 117, 123 mean BGR input, such as resnet50_thin.npz
set -euo pipefail
if [ $# -lt 3 ]; then
  sed -n '2,6s/^# //p' "$0" >&2
  exit 2
fi
data=$1 weights=$2 output=$3
shift 3
root=$(cd "$(dirname "$0")/.." && pwd)
python=$root/.venv/bin/python
[ -x "$python" ] || python=python3

exec "$python" "$root/tools/train_net.py" \
  --config-file "$root/configs/e2e_ms_rcnn_R_50_FPN_1x.yaml" \
  MODEL.WEIGHT "$weights" OUTPUT_DIR "$output" \
  MODEL.RESNETS.WIDTH_PER_GROUP 32 MODEL.RESNETS.RES2_OUT_CHANNELS 128 \
  MODEL.ROI_BOX_HEAD.NUM_CLASSES 2 MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE 128 \
  INPUT.PIXEL_MEAN "[104, 117, 123]" \
  INPUT.MIN_SIZE_TRAIN 320 INPUT.MAX_SIZE_TRAIN 540 INPUT.MIN_SIZE_TEST 320 INPUT.MAX_SIZE_TEST 540 \
  DATASETS.CUSTOM.pennfudan_train.ANN_FILE "$data/annotations/instances_train.json" \
  DATASETS.CUSTOM.pennfudan_train.IMG_DIR "$data/images" \
  DATASETS.CUSTOM.pennfudan_val.ANN_FILE "$data/annotations/instances_val.json" \
  DATASETS.CUSTOM.pennfudan_val.IMG_DIR "$data/images" \
  DATASETS.TRAIN "('pennfudan_train',)" DATASETS.TEST "('pennfudan_val',)" \
  DATALOADER.NUM_WORKERS 1 TEST.IMS_PER_BATCH 1 SOLVER.CHECKPOINT_PERIOD 300 \
  SOLVER.IMS_PER_BATCH 2 SOLVER.BASE_LR 0.005 SOLVER.WARMUP_ITERS 100 \
  SOLVER.MAX_ITER 900 SOLVER.STEPS "(630, 810)" "$@"
