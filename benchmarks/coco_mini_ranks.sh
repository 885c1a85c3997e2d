#!/usr/bin/env bash
# Trains Mask Scoring R-CNN (half-width ResNet-50-FPN) on two gloo processes for 30 iterations, twice:
# one undisturbed job, and one whose second process is killed with -9 after iteration 20, which torchrun
# restarts from its last checkpoint. Both must end with the same weights, bit for bit. The second
# evaluates too. A few minutes on 2 CPU cores. Later KEY VALUE pairs win.
# Usage: benchmarks/coco_mini_ranks.sh DATA WEIGHTS OUTPUT [KEY VALUE ...]
#   DATA     folder with images/ and annotations/instances_{train,val}.json in COCO format
#   WEIGHTS  half-width ResNet-50 of 104, 117, 123 mean BGR input, such as resnet50_thin.npz
source "$(dirname "$0")/common.sh"
export OMP_NUM_THREADS=1

run() { # NAME OPTION... -- KEY VALUE...: two processes, into OUTPUT/NAME
  local name=$1 options=()
  shift
  while [ "$1" != -- ]; do options+=("$1") && shift; done
  shift
  exec "$python" -m torch.distributed.run --standalone --nproc-per-node=2 --max-restarts=1 \
    "${train[@]}" "${options[@]}" \
    --register coco_train "$data/annotations/instances_train.json" "$data/images" \
    --register coco_val "$data/annotations/instances_val.json" "$data/images" \
    "${model[@]}" OUTPUT_DIR "$output/$name" MODEL.DEVICE cpu \
    MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE 64 MODEL.ROI_HEADS.DETECTIONS_PER_IMG 20 \
    INPUT.MIN_SIZE_TRAIN 128 INPUT.MAX_SIZE_TRAIN 208 INPUT.MIN_SIZE_TEST 128 INPUT.MAX_SIZE_TEST 208 \
    TEST.IMS_PER_BATCH 2 SOLVER.CHECKPOINT_PERIOD 10 \
    SOLVER.IMS_PER_BATCH 2 SOLVER.BASE_LR 0.005 SOLVER.WARMUP_ITERS 10 \
    SOLVER.MAX_ITER 30 SOLVER.STEPS "(20, 25)" "$@"
}

second_process() { # PID of a launcher: the PID of its process of rank 1
  local pid
  for pid in $(pgrep -P "$1"); do
    if tr '\0' '\n' < "/proc/$pid/environ" | grep -qx RANK=1; then echo "$pid"; fi
  done
}

rm -rf "$output/peace" "$output/killed"
mkdir -p "$output"
(run peace --skip-test -- "$@") > "$output/peace.log" 2>&1 || { tail "$output/peace.log"; exit 1; }

run killed -- "$@" > "$output/killed.log" 2>&1 &
job=$!
while [ ! -e "$output/killed/model_0000020.pth" ]; do
  kill -0 $job 2> /dev/null || { tail "$output/killed.log"; exit 1; }
  sleep 0.2
done
sleep 1
kill -9 "$(second_process $job)"
began=$SECONDS
wait $job || { tail "$output/killed.log"; exit 1; }
echo "From the kill to the end of the job: $((SECONDS - began)) s"
grep -E "exitcode: -9|Resuming from|Training starts at|^(bbox|segm)" "$output/killed.log" | sed "s#$output/##"

"$python" - "$output" <<'PYTHON'
import sys
from pathlib import Path

import torch

peace, killed = (
    torch.load(Path(sys.argv[1]) / name / "model_final.pth", weights_only=True)["model"]
    for name in ("peace", "killed")
)
differing = [name for name in peace if not torch.equal(peace[name], killed[name])]
print(f"{len(peace)} tensors, {len(differing)} differ from the undisturbed job")
sys.exit(bool(differing))
PYTHON
