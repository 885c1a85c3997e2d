#!/usr/bin/env bash
# Evaluates a trained model in one view of each image, in two (mirrored) and in eight (mirrored, at
# three more scales): box AP, and mask AP by both scores. Later KEY VALUE pairs win.
# Usage: benchmarks/test_time_augmentation.sh RUN OUTPUT [KEY VALUE ...]
#   RUN      output folder of a training, with config.yml and model_final.pth, as of pennfudan.sh;
#            relative paths of its data sets start at the current folder
#   OUTPUT   folder for the results; 320 pixels is the short side that pennfudan.sh tests at
# Without a GPU, add MODEL.DEVICE cpu: the config.yml of a run names its device.
set -euo pipefail
if [ $# -lt 2 ]; then
  sed -n '2,/^[^#]/s/^# //p' "$0" >&2
  exit 2
fi
run=$1 output=$2
shift 2
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=$root/.venv/bin/python
[ -x "$python" ] || python=python3

evaluate() {  # NAME [KEY VALUE ...]
  local name=$1
  shift
  "$python" "$root/tools/test_net.py" --config-file "$run/config.yml" \
    MODEL.WEIGHT "$run/model_final.pth" OUTPUT_DIR "$output/$name" "$@"
}
views=(TEST.BBOX_AUG.ENABLED True TEST.BBOX_AUG.H_FLIP True)
evaluate one_view "$@"
evaluate mirrored "${views[@]}" "$@"
evaluate scales "${views[@]}" TEST.BBOX_AUG.SCALES "(240, 400, 480)" TEST.BBOX_AUG.SCALE_H_FLIP True \
  TEST.BBOX_AUG.MAX_SIZE 900 "$@"
"$python" - "$output" <<'PYTHON'
import json
import sys
from pathlib import Path

columns = {"box AP": "bbox", "mask AP by class score": "segm_by_class_score", "mask AP by mask score": "segm"}
print(f"| views | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|", sep="\n")
for name in ("one_view", "mirrored", "scales"):
    for path in Path(sys.argv[1], name).glob("inference/*/results.json"):
        results = json.loads(path.read_text(encoding="utf-8"))["results"]
        found = [f"{100 * results[key]['AP']:.1f}" if key in results else "-" for key in columns.values()]
        print(f"| {name} | {' | '.join(found)} |")
PYTHON
