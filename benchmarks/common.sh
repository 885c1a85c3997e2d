# Sourced by the scripts beside it that train: takes DATA WEIGHTS OUTPUT from their arguments into
# $data $weights $output, the KEY VALUE pairs stay in "$@", and
#   $root $python   this repository, and the interpreter of its .venv if it has one
#   "${train[@]}"   tools/train_net.py with Mask Scoring R-CNN R-50-FPN
#   "${model[@]}"   KEY VALUE pairs of its half-width ResNet-50 and of OUTPUT
set -euo pipefail
if [ $# -lt 3 ]; then
  sed -n '2,/^[^#]/s/^# //p' "$0" >&2
  exit 2
fi
data=$1 weights=$2 output=$3
shift 3
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=$root/.venv/bin/python
[ -x "$python" ] || python=python3
train=("$root/tools/train_net.py" --config-file "$root/configs/e2e_ms_rcnn_R_50_FPN_1x.yaml")
model=(
  MODEL.WEIGHT "$weights" OUTPUT_DIR "$output" INPUT.PIXEL_MEAN "[104, 117, 123]"
  MODEL.RESNETS.WIDTH_PER_GROUP 32 MODEL.RESNETS.RES2_OUT_CHANNELS 128
  DATALOADER.NUM_WORKERS 1 TEST.IMS_PER_BATCH 1 SOLVER.CHECKPOINT_PERIOD 300
)
